"""A strategy of a hostile author, in a local run: what it reaches of the server."""

import pytest
from fixtures.rehearsals import events, lay_out, lay_out_site, rehearse
from fixtures.small_notebook import MODEL
from fixtures.strategy_attacks import READS_EVERYTHING, READS_THE_SETTINGS, found

from federator.errors import NotebookError, RunError
from federator.runtime.worker.sandbox import isolation

SETTINGS = "strategy: own\nrounds: 1\nsurvey: false\n"


def sites(tmp_path):
    return {"north": lay_out_site(tmp_path / "data" / "north", 1, size=40)}


def test_a_strategy_that_looks_for_the_signing_key_gets_none(tmp_path):
    """The attack as it was: with the key, it could have the sites do anything."""
    attack = READS_THE_SETTINGS.replace("{folder}", str(tmp_path))
    federation = lay_out(tmp_path / "plain", sites(tmp_path), strategy=attack)
    with pytest.raises(NotebookError, match=r"cell 9, line 1: .* it imports `json`"):
        rehearse(federation)

    federation = lay_out(tmp_path / "own", federation_sites(tmp_path), SETTINGS, strategy=attack)
    run = rehearse(federation)
    with pytest.raises(RunError, match=r"KeyError: 'FEDERATOR_SETTINGS' .*cell 9, line 10"):
        list(run.events())
    assert not (tmp_path / "stolen.txt").exists()
    assert not [path for path in tmp_path.rglob("*") if path.name == "deadbeef"]
    assert events(run.folder, "start") == []


def federation_sites(tmp_path):
    return {"north": tmp_path / "data" / "north"}


SHOW_FILTER = """print(open("/proc/self/status").read())"""


def test_a_strategy_that_reads_everything_finds_no_key_and_writes_nowhere(tmp_path):
    if isolation.probe(tmp_path) != (True, True):
        pytest.skip("this machine lets no process be confined")
    attack = READS_EVERYTHING.replace('ROOTS = ("/",)', f"ROOTS = ({str(tmp_path)!r}, PLACE)")
    model = MODEL.replace("super()", f"{SHOW_FILTER}\n        super()", 1)
    attack = attack.replace("    for folder, ", f"    {SHOW_FILTER}\n    for folder, ", 1)
    federation = lay_out(tmp_path, sites(tmp_path), SETTINGS, strategy=attack, model=model)
    run = rehearse(federation)
    list(run.events())
    told = found((run.folder / "logs" / "strategy.log").read_text())
    assert told["keys"] == told["network"] == told["written"] == []
    assert not [name for name in told["variables"] if name.startswith(("FEDERATOR_S", "FLWR"))]
    assert events(run.folder, "end")[0]["state"] == "finished"
    for name in ("strategy", "initial", "north.worker"):
        log = (run.folder / "logs" / f"{name}.log").read_text()
        assert "Seccomp:\t2" in log, f"{name} has a filter of system calls"
