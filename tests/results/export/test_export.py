"""A run for other programs: what these read is what the journal says."""

import csv
import hashlib
import json
import sys
from collections import defaultdict

import numpy as np
import pytest
from fixtures import exported
from fixtures.exported import PATIENT, RUN, SITES, told
from fixtures.paths import ROOT
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.util.tensor_util import make_ndarray

from federator.results import history, measured
from federator.results.export import source
from federator.results.export.export import export
from federator.results.export.measurements import measurements
from federator.results.export.target import Target

OPEN = "publish: {sites: true, model: true}\n"


def rows(folder):
    with (folder / "measurements.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def whole(folder):
    """Return the names and the content of all files in a folder."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return b"".join(str(path.relative_to(folder)).encode() + path.read_bytes() for path in files)


def crate(folder):
    read = json.loads((folder / "ro-crate-metadata.json").read_text())
    return {entity["@id"]: entity for entity in read["@graph"]}


@pytest.mark.parametrize("target", Target)
def test_the_page_s_commands_work(target, tmp_path, monkeypatch):
    exported.repository(tmp_path)
    monkeypatch.chdir(tmp_path)
    written = exported.commands(ROOT / "docs" / "results.md", "export")
    (command,) = [line for line in written if f"--to {target}" in line]
    said = told(command.replace("breast-cancer", "tumours"))
    folder = tmp_path / said.splitlines()[0]
    assert json.loads((folder / "export.json").read_text())["to"] == target
    assert "`publish:` in federation.yaml does not allow them" in said


def test_the_table_has_what_the_journal_has(tmp_path):
    run = exported.repository(tmp_path, OPEN)
    found = rows(export(source.read(run), Target.CSV))
    journal = history.read(run)
    for site, result in journal.tests["federation"].sites.items():
        here = [
            r for r in found if (r["site"], r["set"], r["model"]) == (site, "test", "federation")
        ]
        values = {row["metric"]: float(row["value"]) for row in here}
        assert values["loss"] == result.loss and values["examples"] == result.examples
        for name, figure in measured.figures(journal.view, result).items():
            (row,) = [row for row in here if row["metric"] == name]
            assert values[name] == figure.value
            assert row["low"] == ("" if figure.low is None else str(figure.low))
            assert row["high"] == ("" if figure.high is None else str(figure.high))
    trained = [row for row in found if row["set"] == "training" and row["model"] == "federation"]
    delivered = {(r["site"], r["round"]): r["value"] for r in trained if r["metric"] == "delivered"}
    assert len(delivered) == 9 and delivered.pop(("south", "2")) == "0.0"
    assert set(delivered.values()) == {"1.0"}
    sums = {row["round"]: row["value"] for row in trained if row["metric"] == "sites"}
    assert sums == {"1": "3.0", "2": "2.0", "3": "3.0"}


def test_tensorboard_reads_back_what_the_journal_says(tmp_path):
    run = exported.repository(tmp_path, OPEN)
    read = source.read(run)
    folder = export(read, Target.TENSORBOARD)
    found = {}
    for place in {path.parent for path in folder.rglob("events.*")}:
        series = EventAccumulator(str(place), size_guidance={"tensors": 0}).Reload()
        for tag in series.Tags()["tensors"]:
            for event in series.Tensors(tag):
                value = float(make_ndarray(event.tensor_proto))
                found[place.relative_to(folder).as_posix(), tag, event.step] = (
                    value,
                    event.wall_time,
                )
    wanted = measurements(read.journal)
    assert len(found) == len(wanted) > 200
    for one in wanted:
        alone = "" if one.model == "federation" else f"model-{one.model}/"
        place = f"{alone}{one.site.replace(' ', '-')}/{one.set}"
        value, time = found[place, one.metric, one.round]
        assert value == np.float32(one.value) and time == one.time.timestamp()


def test_without_tensorboard_a_person_is_told_what_to_install(tmp_path, monkeypatch):
    run = exported.repository(tmp_path)
    monkeypatch.setitem(sys.modules, "tensorboard.summary", None)
    said = told(f"export {run} --to tensorboard", status=2)
    assert "TensorBoard is not installed" in said and "notebook-federator[tensorboard]" in said
    assert not (run / "export" / "tensorboard").exists()


def test_a_crate_describes_files_that_are_there_and_links_that_lead_somewhere(tmp_path):
    run = exported.repository(tmp_path, OPEN)
    folder = export(source.read(run), Target.ROCRATE)
    entities = crate(folder)
    assert entities["ro-crate-metadata.json"]["about"] == {"@id": "./"}

    def links(value):
        if isinstance(value, dict):
            yield from [value["@id"]] if set(value) == {"@id"} else links(list(value.values()))
        elif isinstance(value, list):
            for one in value:
                yield from links(one)

    for link in links(list(entities.values())):
        assert link in entities or link.startswith(("https://w3id.org/", "http://schema.org/"))
    parts = {part["@id"] for part in entities["./"]["hasPart"]}
    assert parts == {
        *("rounds.jsonl", "report.html", "manifest.json", "model.safetensors", "tumour.ipynb"),
        "app/",
    }
    for name in parts - {"app/"}:
        content = (folder / name).read_bytes()
        assert entities[name]["sha256"] == hashlib.sha256(content).hexdigest()
    run_entity = entities["#run"]
    assert run_entity["actionStatus"] == {"@id": "http://schema.org/CompletedActionStatus"}
    assert {"@id": "model.safetensors"} in run_entity["result"]
    assert {"@id": "tumour.ipynb"} in run_entity["instrument"]
    told_hash = json.loads((run / "manifest.json").read_text())["app_hash"]
    assert entities["app/"]["identifier"] == f"sha256:{told_hash}"
    journal = history.read(run)
    (pooled,) = [e for e in entities.values() if e["@id"] == "#test-all-sites-accuracy"]
    figure = measured.figures(journal.view, journal.tests["federation"].pooled())["accuracy"]
    assert (pooled["value"], pooled["minValue"]) == (figure.value, figure.low)
    assert PATIENT not in (folder / "tumour.ipynb").read_text()


def test_an_app_that_is_another_now_is_not_in_the_crate(tmp_path):
    run = exported.repository(tmp_path)
    task = tmp_path / "build" / "tumours" / "app" / "task.py"
    task.write_text(task.read_text() + "# changed\n")
    entities = crate(export(source.read(run), Target.ROCRATE))
    assert "app/" not in entities and entities["#app"]["identifier"].startswith("sha256:")


@pytest.mark.parametrize("target", Target)
def test_no_figure_of_a_single_site_is_exported_unless_it_is_allowed(target, tmp_path):
    run = exported.repository(tmp_path)
    read = source.read(run)
    folder = export(read, target)
    text = whole(folder)
    loss = history.read(run).tests["federation"].sites["north"].loss
    assert str(loss).encode() not in text
    by_set = defaultdict(set)
    for one in measurements(read.journal):
        by_set[one.set].add(one.site)
    assert by_set == {name: {"all sites"} for name in ("training", "validation", "test")}
    assert not {one.model for one in measurements(read.journal)} & set(SITES)
    assert not list(folder.rglob("*.safetensors"))
    everything = export(source.read(run, everything=True), target, tmp_path / "mine")
    assert b"north" in whole(everything) and len(whole(everything)) > len(text)


def test_without_a_federation_file_nothing_is_allowed(tmp_path, monkeypatch):
    run = exported.repository(tmp_path, OPEN)
    moved = run.rename(tmp_path / RUN)
    monkeypatch.chdir(moved)
    (tmp_path / "compose" / "tumours").rename(tmp_path / "elsewhere")
    said = told("export . --to csv")
    assert "no federation file was found" in said
    assert {row["site"] for row in rows(moved / "export" / "csv")} == {"all sites"}


def test_of_another_federation_no_file_counts(tmp_path):
    run = exported.repository(tmp_path / "one")
    exported.repository(tmp_path / "two")
    other = tmp_path / "two" / "compose" / "tumours"
    other.rename(other.with_name("lungs"))
    said = told(f"export {run} --to csv --federation {other.with_name('lungs')}", status=1)
    assert "is a run of the federation tumours, not of lungs" in said


def test_what_is_there_is_not_overwritten_without_being_told(tmp_path):
    run = exported.repository(tmp_path)
    told(f"export {run} --to csv")
    said = told(f"export {run} --to csv", status=2)
    assert "is there already" in said and "--overwrite" in said
    told(f"export {run} --to csv --overwrite")
    notes = tmp_path / "notes"
    notes.mkdir()
    (notes / "mine.txt").write_text("mine")
    said = told(f"export {run} --to csv --output {notes} --overwrite", status=2)
    assert "is no export" in said and (notes / "mine.txt").read_text() == "mine"


def test_an_export_that_fails_leaves_nothing_half_written(tmp_path, monkeypatch):
    run = exported.repository(tmp_path)
    folder = export(source.read(run), Target.CSV)
    before = (folder / "measurements.csv").read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("federator.results.export.table.measurements", full)
    said = told(f"export {run} --to csv --overwrite", status=1)
    assert "cannot be written: No space left on device" in said
    assert (folder / "measurements.csv").read_bytes() == before
    assert [path.name for path in (run / "export").iterdir()] == ["csv"]


def test_a_folder_that_is_no_run_is_told(tmp_path):
    assert "is it a run's folder?" in told(f"export {tmp_path} --to csv", status=1)


def test_a_site_s_name_leads_no_file_elsewhere(tmp_path):
    run = exported.repository(tmp_path, OPEN)
    journal = run / "rounds.jsonl"
    journal.write_text(journal.read_text().replace('"north"', '"../../../x"'))
    folder = export(source.read(run), Target.TENSORBOARD, tmp_path / "a" / "b" / "c")
    places = {path.parent.relative_to(folder).parts[0] for path in folder.rglob("events.*")}
    assert "---------x" in places and not list(tmp_path.glob("x"))
