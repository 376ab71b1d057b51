"""What reports say of personal models: tensors that stay at the sites, and Ditto."""

import json
from pathlib import Path

import pytest
from fakes import run_journal
from rich.console import Console

from federator.results import history, publication, report
from federator.results.comparison import compare
from federator.results.terminal import RunProgress
from federator.runtime.server.settings import ServerSettings

LOCAL = ["*.bn*", "head.*"]
LOAD = "strict=False"


def written(run: Path, local: list[str], ditto: bool = False) -> Path:
    """Write a run's journal, with tensors that stay, or with a personal model of each site."""
    run_journal.write(run)
    path = run / "rounds.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    for line in list(lines):
        if line["event"] == "start":
            line["local"] = local
        if ditto and line["event"] in ("validation", "test") and line["model"] == "federation":
            lines.insert(lines.index(line) + 1, {**line, "model": "personal"})
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return run


def table(journal: history.Journal) -> str:
    console = Console(width=80, record=True)
    console.print(report.comparison_table(journal))
    return console.export_text()


@pytest.mark.parametrize(("local", "label"), [(LOCAL, "Federation (personal)"), ([], "Federation")])
def test_the_federation_s_row_says_that_it_is_of_personal_models(tmp_path, local, label):
    run = written(tmp_path / "run", local)
    journal = history.read(run)
    for site in (None, *journal.sites):
        assert next(row.name for row in compare(journal, site)) == label
    page = report.write(run).read_text()
    text, told = table(journal), publication.summary(journal)
    for shown in (page, text, told):
        assert ("Federation (personal)" in shown) is bool(local)
    assert (LOAD in page) is ("`model.safetensors` has the shared ones only" in told) is bool(local)
    assert ("in model.safetensors, and each site's own" in text) is bool(local)
    assert ("<code>*.bn*</code>, <code>head.*</code> stay at the sites" in page) is bool(local)
    assert max(map(len, text.splitlines())) <= 80


def test_progress_says_what_was_validated(tmp_path):
    for local in (LOCAL, []):
        run = written(tmp_path / f"run-{len(local)}", local)
        console = Console(width=120, record=True)
        with RunProgress(console) as progress:
            for line in (run / "rounds.jsonl").read_text().splitlines():
                progress.show(json.loads(line))
        said = console.export_text()
        assert ("validation (personal): loss" in said) is bool(local)
        assert ("validation: loss" in said) is not bool(local)


def test_the_models_that_sites_train_for_themselves_have_a_row(tmp_path):
    run = written(tmp_path / "run", [], ditto=True)
    journal = history.read(run)
    assert [row.name for row in compare(journal)][:2] == ["Federation", "Personal (Ditto)"]
    assert "Personal (Ditto)" in table(journal)
    page = report.write(run).read_text()
    assert "at each site the model that it trained for itself" in page
    assert LOAD not in page
    (alder,) = compare(journal, "alder", ("personal",))
    assert alder.result.examples == 82


def test_their_pooled_figures_may_be_published_as_the_federation_s(tmp_path):
    run = written(tmp_path / "run", [], ditto=True)
    journal = publication.redacted(run, ServerSettings("made-up", str(run)))
    assert journal.tests.keys() == {"federation", "personal"}
    assert journal.tests["personal"].sites.keys() == {"all sites"}


def test_a_run_that_goes_on_does_them_again(tmp_path):
    run = written(tmp_path / "run", [], ditto=True)
    lines = (run / "rounds.jsonl").read_text().splitlines()
    start = {**json.loads(lines[0]), "first_round": 3}
    (run / "rounds.jsonl").write_text("\n".join([*lines, json.dumps(start)]) + "\n")
    journal = history.read(run)
    assert "personal" not in journal.tests
    assert [each.round for each in journal.curve("personal")] == [0, 1, 2]
