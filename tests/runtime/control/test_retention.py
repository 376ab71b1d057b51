"""What runs left is removed when the federation file says so, and not before."""

from datetime import timedelta

import pytest
from fixtures.small_notebook import federate

from federator.federation import settings
from federator.results import history
from federator.runtime.control.retention import remove_old
from federator.runtime.server.journal import End, Start, append, now

LEFT = [
    *("model.safetensors", "round-000.safetensors", "round-001.safetensors"),
    *("round-002.safetensors", "round-002.state.safetensors", "report.html"),
]


def leave(runs, name, days, state="finished"):
    """Leave a run that ended so many days ago; None: it goes on."""
    folder = runs / name
    folder.mkdir()
    for file in LEFT:
        (folder / file).touch()
    fields = {"run": name, "federation": "f", "first_round": 1, "last_round": 2}
    began = now() - timedelta(days=(days or 900) + 1)
    append(folder, Start(time=began, strategy="FedAvg", sites=[], labels=["a"], **fields))
    if days is not None:
        append(folder, End(time=now() - timedelta(days=days), state=state))
    return folder


def left(folder):
    return sorted(path.name for path in folder.iterdir() if path.name != "rounds.jsonl")


@pytest.fixture
def runs(tmp_path):
    for name, days in (("1", 400), ("2", 40), ("3", 10), ("4", None), ("5", 500)):
        leave(tmp_path, f"2026-01-0{name}-001", days)
    return tmp_path


def names(runs):
    return [path.name[-5:-4] for path in sorted(runs.iterdir())]


def test_what_is_kept_for_good_stays(runs):
    remove_old(runs, None, None)
    assert names(runs) == list("12345")
    assert all(left(folder) == sorted(LEFT) for folder in runs.iterdir())


def test_checkpoints_go_and_the_journal_says_so(runs):
    remove_old(runs, 30, None)
    remove_old(runs, 30, None)
    first, second, third, open_one, newest = sorted(runs.iterdir())
    for folder in (first, second):
        assert left(folder) == ["model.safetensors", "report.html", "round-000.safetensors"]
        told = (folder / "rounds.jsonl").read_text().splitlines()
        assert sum('"removed"' in line for line in told) == 1
        assert all(file in told[-1] for file in LEFT[2:5]) and '"kept_days": 30' in told[-1]
        assert history.read(folder).state == "finished"
    for folder in (third, open_one, newest):
        assert left(folder) == sorted(LEFT), "too young, going on, or to be continued"


def test_whole_runs_go_by_the_days_since_their_end(runs):
    remove_old(runs, 30, None)  # whose note in the journal makes no run younger
    remove_old(runs, 30, 365)
    assert names(runs) == list("2345"), "the newest one is continued, however old it is"


def test_a_journal_that_cannot_be_read_keeps_its_run(runs):
    (runs / "2026-01-01-001" / "rounds.jsonl").write_text("?\n")
    remove_old(runs, 1, 1)
    assert names(runs) == list("145")


def test_the_federation_file_says_for_how_long(tmp_path):
    read = federate(tmp_path, "kept_for: {checkpoints: 30d, results: 365d}\n")
    said = settings.server(read)
    assert (said["checkpoints_kept"], said["results_kept"]) == (30, 365)
    assert settings.server(federate(tmp_path / "other"))["results_kept"] is None
