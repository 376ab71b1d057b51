"""A model card: what is known of a run, nothing of single sites, and what the author fills in."""

import hashlib
import json
import subprocess

import pytest
from fakes import run_journal
from fixtures import exported
from fixtures.exported import RUN, SITES, told
from fixtures.paths import ROOT
from ruamel.yaml import YAML

from federator.common import figures
from federator.results import history, measured
from federator.results.export import card, source
from federator.results.export.card import TO_FILL_IN

OPEN = "publish: {sites: true}\n"


def front_matter(text):
    _, found, body = text.split("---\n", 2)
    return YAML(typ="safe").load(found), body


def test_the_page_s_command_writes_a_card_with_places_to_fill_in(tmp_path, monkeypatch):
    run = exported.repository(tmp_path)
    monkeypatch.chdir(tmp_path)
    (command,) = exported.commands(ROOT / "docs" / "results.md", "card")
    said = told(command.replace("breast-cancer", "tumours"))
    text = (run / "card.md").read_text()
    assert f"card.md: {text.count(TO_FILL_IN)} places are yours" in said
    assert text.count(TO_FILL_IN) >= 4
    for heading in ("Intended use", "Limits", "Data", "Training", "Evaluation", "Provenance"):
        assert f"\n## {heading}\n" in text
    assert "\n\n\n" not in text and "None" not in text


def test_its_figures_are_the_journal_s(tmp_path):
    run = exported.repository(tmp_path)
    text = card.card(source.read(run)).text
    fields, body = front_matter(text)
    journal = history.read(run)
    pooled = journal.tests["federation"].pooled()
    found = measured.figures(journal.view, pooled)
    (model,) = fields["model-index"]
    (result,) = model["results"]
    assert {one["type"]: one["value"] for one in result["metrics"]} == {
        name: round(one.value, 4) for name, one in found.items()
    }
    (row,) = [line for line in body.splitlines() if line.startswith("| all sites | Federation |")]
    one = found["accuracy"]
    interval = f"({figures.number(one.low)}–{figures.number(one.high)})"
    assert f"| {figures.number(one.value)} {interval} |" in row and f"| {pooled.examples} |" in row
    sums = [sum(sizes[part] for sizes in SITES.values()) for part in range(3)]
    assert f"| all sites | {sums[0]} | {sums[1]} | {sums[2]} |" in body
    assert "FedAvg, 3 rounds of 2 local epochs, seed 1; the model is that of round 3." in body
    assert "without differential privacy" in body


def test_its_provenance_is_that_of_the_run(tmp_path):
    run = exported.repository(tmp_path)
    for command in ("init -q", "add .", "-c user.name=A -c user.email=a@b commit -qm x"):
        subprocess.run(["git", *command.split()], cwd=tmp_path, check=True)
    read = source.read(run)
    body = card.card(read).text
    head = subprocess.check_output(["git", "rev-parse", "HEAD"], cwd=tmp_path, text=True).strip()
    assert f"`{head}` |" in body and "`tumour.ipynb`" in body
    assert f"`{hashlib.sha256(b'the model').hexdigest()}`" in body
    manifest = json.loads((run / "manifest.json").read_text())
    assert f"`{manifest['app_hash']}`; `build/` has this app still" in body
    assert "torch 2.13.0" in body and RUN in body
    notebook = read.federation.notebook
    notebook.write_text(notebook.read_text() + " ")
    assert f"`{head}`, with changes that are not committed" in card.card(read).text


def test_no_site_s_name_or_figure_is_in_a_card_unless_it_is_allowed(tmp_path):
    run = exported.repository(tmp_path / "closed")
    run_journal.Writer(run)("site", site="south", state="warned", reason="4711 rows at south")
    run_journal.change(run, lambda line: line.update(time="2026-03-02T09:30:01.000+00:00"),
                       state="warned")  # fmt: skip
    text = card.card(source.read(run)).text
    losses = [str(one.loss) for one in history.read(run).tests["federation"].sites.values()]
    rounded = [figures.number(float(loss)) for loss in losses]
    for name in (*SITES, "4711"):
        assert name not in text
    assert not [value for value in rounded if f"| {value} |" in text]
    assert "3 sites, whose names and figures are not published" in text
    everything = card.card(source.read(run, everything=True)).text
    opened = card.card(source.read(exported.repository(tmp_path / "open", OPEN))).text
    for shown in (everything, opened):
        assert "Sites: north, south, west." in shown and "| north | Federation |" in shown
        assert "| south | 90 | 24 | 30 |" in shown


def test_texts_of_others_are_no_markup(tmp_path):
    run = exported.repository(tmp_path)
    label = "<img src=x> | `bad` [x](y)"
    run_journal.change(
        run, lambda line: line.update(labels=["benign", label], positive=label), event="start"
    )
    text = card.card(source.read(run)).text
    assert r"\<img src=x\> \| \`bad\` \[x\](y)" in text and "<img" not in text.replace(r"\<img", "")


def test_of_several_labels_each_has_its_figures(tmp_path):
    labels = ("glioma", "meningioma", "none")
    run = exported.repository(tmp_path, labels=labels)
    text = card.card(source.read(run)).text
    assert all(f"\n| {label} | " in text for label in labels)


def test_epsilon_is_told_where_there_is_one(tmp_path):
    run = exported.repository(tmp_path)
    settings = "epsilon=8.0 delta=1e-05 clip=1.0 noise=1.1 unit=record"
    run_journal.change(run, lambda line: line.update(privacy=settings), event="start")
    emit = run_journal.Writer(run)
    emit("privacy", site="south", training=2.5, evaluations=0.4, delta=1e-5)
    text = card.card(source.read(run)).text
    assert "epsilon 2.90, delta 1e-05 for the model" in text and "Not covered:" in text


def test_a_run_without_a_final_model_has_no_card(tmp_path):
    run = exported.repository(tmp_path, end="stopped", reason="by hand")
    assert "has no final model, since the run is stopped" in told(f"card {run}", status=2)


def test_what_was_filled_in_is_not_overwritten_without_being_told(tmp_path):
    run = exported.repository(tmp_path)
    told(f"card {run}")
    (run / "card.md").write_text("filled in")
    assert "is there already" in told(f"card {run}", status=2)
    assert (run / "card.md").read_text() == "filled in"
    told(f"card {run} --output {tmp_path / 'README.md'}")
    told(f"card {run} --overwrite")
    assert (run / "card.md").read_text() == (tmp_path / "README.md").read_text()


@pytest.mark.parametrize("end", ["open", "failed"])
def test_an_open_or_failed_run_is_exported_as_such(end, tmp_path):
    run = exported.repository(tmp_path, end=None if end == "open" else end, reason="too few sites")
    told(f"export {run} --to rocrate")
    read = json.loads((run / "export" / "rocrate" / "ro-crate-metadata.json").read_text())
    (action,) = [one for one in read["@graph"] if one["@id"] == "#run"]
    status = {"open": "ActiveActionStatus", "failed": "FailedActionStatus"}[end]
    assert action["actionStatus"]["@id"].endswith(status)
    assert action.get("error") == (None if end == "open" else "too few sites")
