"""Following a run by its journal."""

from contextlib import suppress

import pytest
from rehearsals import events

from federator.errors import RunError
from federator.runtime.checkpoints import RunFolder
from federator.runtime.runs import Follower


@pytest.fixture
def follower(tmp_path):
    made = Follower(tmp_path)
    made.run_id = 7
    return made


@pytest.mark.parametrize(
    ("said", "asked", "kept"),
    [
        ([], "stopped", ["stopped"]),
        ([], "failed", ["failed"]),
        (["failed"], "stopped", ["failed", "stopped"]),
        (["failed"], "failed", ["failed"]),
        (["stopped"], "stopped", ["stopped"]),
        (["finished"], "stopped", ["finished"]),
    ],
    ids=lambda states: "-".join(states) if isinstance(states, list) else states,
)
def test_a_run_that_is_stopped_ends_so_whatever_broke_meanwhile(
    tmp_path, follower, said, asked, kept
):
    for state in said:
        RunFolder(tmp_path).record("end", state=state, reason="the sites are lost", flower_run=7)
    with suppress(RunError):
        follower.wait(0.2)
    follower.close(asked, "the run was stopped")
    assert [event["state"] for event in events(tmp_path, "end")] == kept
