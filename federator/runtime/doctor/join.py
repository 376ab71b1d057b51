"""The command ``join``: what a site lacks before it can take part, step by step, up to the first.

It runs where the link does, with key and network, and sees no data. The last step is done by the
command ``check`` (check.py), where the worker runs: it begins when ``join`` lets it, after all the
others, and ``join`` shows what it says and does nothing else with it.

A file cannot vouch for itself: whoever changed it has also chosen what this command is, and what
it prints. So the fingerprint that counts is computed outside, before anything of the file runs.
"""

import argparse
import time
from collections.abc import Iterator
from pathlib import Path

from federator.errors import FederatorError, Problem, Where
from federator.runtime.doctor.check import LOG, SOCKET
from federator.runtime.doctor.command import of_network, options_of
from federator.runtime.doctor.finding import Finding
from federator.runtime.files import COMMAND, fingerprint
from federator.runtime.keys import site_key
from federator.runtime.protocol.handover import HandoverError, WorkerListener
from federator.runtime.review.changes import visible

_FILE = Path("/run/federator/compose.yaml")
_PAUSE = 5.0  # seconds between two questions whether the key is admitted
_CONNECTED = 30.0  # seconds until the check, which was started before, must be there
_LONGEST = 86400.0  # seconds that the check may take: data are read over slow lines, too


def main(arguments: list[str] | None = None) -> int:
    """Walk through all that this site needs before it takes part; 1 if something is missing."""
    parser = options_of("join", main.__doc__, "server")
    add = parser.add_argument
    add("--file", type=Path, default=_FILE, help="the site's compose file")
    add("--socket", type=Path, required=True, help="where the link listens")
    add("--wait", type=float, default=15.0, metavar="MINUTES",
        help="how long to wait until the coordinator has admitted the key")  # fmt: skip
    options = parser.parse_args(arguments)
    listener = _listen(options.socket.with_name(SOCKET))
    walk = _Walk(60 * options.wait)
    steps: dict[str, Iterator[Finding | str]] = {
        "The file": _file(options.file),
        "This site's key": _key(options),
        "The network": of_network(options, walk.again),
        "The data": _data(listener),
    }
    for number, (title, step) in enumerate(steps.items(), 1):
        walk.show(f"\n{number}. {title}")
        for told in step:
            walk.show(told)
        if not walk.passed:
            print("\nThat comes first. Then run this again: docker compose run --rm join")
            return 1
    print("\nNothing is in the way. The site takes part with: docker compose up -d")
    return 0


class _Walk:
    """The steps as they are shown.

    Args:
        patience: seconds to wait for the coordinator.

    Attributes:
        passed: whether nothing was missing yet.
    """

    def __init__(self, patience: float) -> None:
        self.passed = True
        self._patience, self._until = patience, 0.0

    def show(self, told: Finding | str) -> None:
        """Show a finding, or what is to be said beside one."""
        print(told, flush=True)
        self.passed &= isinstance(told, str) or told.passed

    def again(self) -> bool:
        """Wait a little for the coordinator to admit the key; False if that is not to be awaited.

        It is not if something else is missing, which comes first.
        """
        now = time.monotonic()
        if not self._until:
            self._until = now + self._patience
            if self.passed and self._patience > 0:
                self.show(
                    "wait  for the coordinator to admit this site's key, for "
                    f"{self._patience / 60:.0f} minutes at most (Ctrl-C ends it)"
                )
        if not self.passed or now >= self._until:
            return False
        time.sleep(min(_PAUSE, self._until - now))
        return True


def _file(path: Path) -> Iterator[Finding | str]:
    """Show the file's fingerprint, and what it is worth here."""
    try:
        told = fingerprint(path.read_bytes())
    except OSError as error:
        what = f"compose.yaml cannot be read here: {error.strerror}"
        yield Finding(False, what, "let every user read it: chmod a+r compose.yaml")
        return
    yield (
        f"      The fingerprint of compose.yaml, as it is read here: {told}\n"
        "      A file that somebody has changed could print here what it likes. So compare by\n"
        "      telephone what this command prints, before anything of the file runs:\n"
        f"      {COMMAND.format('compose.yaml')}"
    )


def _key(options: argparse.Namespace) -> Iterator[Finding | str]:
    """Make the site's key, if there is none, and show its public half."""
    public = site_key.make(options.key).public_key()
    yield Finding(True, f"this site's key is {site_key.fingerprint(public)}")
    yield "      Read it to the coordinator in the same call, and send this line, unless you have:"
    yield site_key.line(public, options.site)


def _listen(place: Path) -> WorkerListener:
    """Return the end at which the check comes in.

    Raises:
        FederatorError: if there can be none.
    """
    try:
        return WorkerListener(place)
    except OSError as error:
        what, hint = f"cannot be made: {error.strerror}", "the volume handover must be writable"
        raise FederatorError(Problem(what, Where(str(place)), hint)) from None


def _data(listener: WorkerListener) -> Iterator[Finding | str]:
    """Have the check look at the data, and yield what it says."""
    yield "      The author's code loads them once, in a container without a network."
    try:
        check = listener.worker(time.time() + _CONNECTED)
        if check is None:
            yield Finding(False, "the container that looks at the data is not there", f"see {LOG}")
            return
        check.send({"look": True})
        found = 0
        while packet := listener.answer(time.time() + _LONGEST):
            if packet.get("done") and found:
                return
            yield _told(packet)
            found += 1
        yield Finding(False, "the data could not be looked at within a day", f"see {LOG}")
    except HandoverError:
        remedy = (
            f"see {LOG}; if that says nothing, it needed more memory (docker compose ps --all "
            "says code 137): raise WORKER_MEMORY in .env"
        )
        yield Finding(False, "the container that looks at the data has ended too early", remedy)


def _told(packet: dict[str, object]) -> Finding:
    """Return what the check says. Its words may be an author's: a terminal shall only show them."""
    what, remedy = (
        "\n".join(map(visible, str(packet.get(name, "")).splitlines()))
        for name in ("what", "remedy")
    )
    return Finding(packet.get("passed") is True, what, remedy)
