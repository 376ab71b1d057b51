"""The runs of a federation: their folders, and following one while it goes on."""

import json
import logging
import signal
import sys
import time
from collections.abc import Iterator
from datetime import date
from pathlib import Path

from federator.errors import RunError
from federator.runtime.control.control_api import ENDED, Control
from federator.runtime.server.journal import FILE, End, Line, Start, append, events, now
from federator.runtime.server.storage.checkpoints import RunFolder

log = logging.getLogger("federator")

_LOGS = "see the logs of the SuperLink and the server"

_LOOK = 0.05  # seconds between two looks at a journal
_ASK = 10.0  # seconds without an event after which Flower is asked whether the run still exists
_START = 120.0  # seconds in which the server's part of a run begins, also on a busy machine


def new_folder(results: Path) -> Path:
    """Return a new folder for today's next run.

    Raises:
        RunError: if it cannot be made.
    """
    today = date.today().isoformat()
    for number in range(1, 1000):
        folder = results / f"{today}-{number:03d}"
        try:
            (folder / "logs").mkdir(parents=True)
        except FileExistsError:
            continue
        except OSError as error:
            raise RunError(f"{folder} cannot be made: {error.strerror}") from None
        return folder
    raise RunError(f"{results} has a thousand runs of today")


def folders(results: Path) -> list[Path]:
    """Return the folders of the runs that have a checkpoint, the newest last."""
    return sorted({path.parent for path in results.glob("*/round-*.safetensors")})


def last_folder(results: Path) -> Path:
    """Return the folder of the newest run that has a checkpoint.

    Raises:
        RunError: if there is none.
    """
    if not (runs := folders(results)):
        raise RunError(f"there is no run to resume in {results}: start one without --resume")
    return runs[-1]


def rounds_to_go(folder: Path, planned: int) -> int:
    """Return how many rounds finish what was planned, or, if it is finished, do it again."""
    last = RunFolder(folder).last()
    done = last.round if last else 0
    return planned - done if done < planned else planned


def had_baselines(folder: Path) -> bool:
    """Return whether a run was last started so that each site is also trained alone."""
    if not (folder / FILE).exists():
        return False
    starts = events(folder, Start)
    return bool(starts and starts[-1].baselines)


class Follower:
    """Reads the journal of a run as the server writes it, from where it now ends.

    Attributes:
        run_id: the Flower run's number; what an earlier one writes at its end is not its end.
        ended: whether the journal's end has been read.
    """

    run_id: int

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE
        self._offset = self._path.stat().st_size if self._path.exists() else 0
        self._ask_at = time.monotonic() + _ASK
        self._start_by = time.monotonic() + _START
        self._failed = False
        self.ended = False

    def news(self) -> Iterator[Line]:
        """Yield what was written since the last look, after a moment if that is nothing.

        Raises:
            RunError: after an end that is not a good one, with its reason.
        """
        seen = False
        for line, end in lines_after(self._path, self._offset):
            event, self._offset, seen = json.loads(line), end, True
            if event["event"] == "end" and event.get("flower_run") != self.run_id:
                continue
            yield event
            if event["event"] == "end":
                self.ended = True
                self._failed = event["state"] == "failed"
                if event["state"] != "finished":
                    raise RunError(str(event["reason"]))
        if seen:
            self._ask_at = time.monotonic() + _ASK
        else:
            time.sleep(_LOOK)

    def check(self, control: Control) -> None:
        """Ask now and then, while nothing is written, whether the run still goes on.

        Raises:
            RunError: if the server broke down without writing an end, or does not begin.
        """
        if time.monotonic() < self._ask_at:
            return
        self._ask_at = time.monotonic() + _ASK
        try:
            state = control.states().get(self.run_id)
        except RunError as error:  # it may be starting again, and the run goes on after that
            log.warning("%s: waiting", error)
            return
        if state is None or state.status == ENDED:
            told = [json.loads(line) for line, _ in lines_after(self._path, self._offset)]
            if all(event["event"] != "end" for event in told):
                said = f": {state.details}" if state and state.details else ""
                raise RunError(f"the server's part of the run ended without a word{said}: {_LOGS}")
        elif state.is_waiting and time.monotonic() > self._start_by:
            raise RunError(
                f"the server's part of the run has not begun within {_START:.0f} s, but is still "
                f"{state.status}: its SuperExec may have died: {_LOGS}"
            )

    def wait(self, seconds: float) -> None:
        """Wait for the end of a run that was stopped.

        Raises:
            RunError: with the end's reason.
        """
        deadline = time.monotonic() + seconds
        while not self.ended and time.monotonic() < deadline:
            for _ in self.news():
                pass

    def close(self, state: str, reason: str) -> None:
        """Write an end into the journal, if the server, killed or cut off, has not.

        A run that is stopped may have written that it failed: Flower sometimes reports the sites as
        lost before it stops the run.
        """
        if not self.ended or (state == "stopped" and self._failed):
            end = End(time=now(), state=state, reason=reason, flower_run=self.run_id)
            append(self._path.parent, end)


def lines_after(journal: Path, offset: int) -> Iterator[tuple[bytes, int]]:
    """Yield the complete lines of a journal from an offset on, and where each ends.

    Raises:
        OSError: if it cannot be read.
    """
    if not journal.exists() or journal.stat().st_size <= offset:  # nothing was added
        return
    with journal.open("rb") as opened:
        opened.seek(end := offset)
        for line in opened:
            if not line.endswith(b"\n"):
                return
            yield line, (end := end + len(line))


def end_on_sigterm() -> None:
    """Make a SIGTERM leave through ``finally``, as Ctrl-C does."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
