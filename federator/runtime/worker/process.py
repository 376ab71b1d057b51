"""The process of a site's worker: it has the author's code and the data, and no network.

The worker waits for its link, follows its instructions, and ends when the link disconnects: its
supervisor (Docker, or ``federator run``) then starts another. The full text of an exception stays
in its log, at the site.
"""

import json
import logging
import os
import select
import signal
import sys
import threading
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

from federator.runtime import app_files
from federator.runtime.app_config import app_config
from federator.runtime.options import Parser, begin_log
from federator.runtime.protocol.handover import Channel, HandoverError, connect
from federator.runtime.protocol.instructions import Instruction
from federator.runtime.protocol.outcomes import Failure
from federator.runtime.protocol.privacy.settings import PrivacySettings
from federator.runtime.protocol.shared_memory import Memory
from federator.runtime.weights.format import Weights, WeightsError
from federator.runtime.worker.author_code import reporting_failures
from federator.runtime.worker.sandbox import system_calls
from federator.runtime.worker.sandbox.import_trace import ImportTrace
from federator.runtime.worker.sandbox.isolation import has_network, is_read_only
from federator.runtime.worker.sandbox.scratch import imported_from, settle
from federator.runtime.worker.trainer import Trainer

if TYPE_CHECKING:
    from flwr.clientapp import ClientApp

log = logging.getLogger("federator")

_CGROUP = Path("/sys/fs/cgroup")


def spare_processors(cgroup: Path = _CGROUP) -> None:
    """Have numerical libraries start as many threads as a container's limit has processors.

    They count the machine's; more threads than processors wait for each other, spinning.
    """
    files = [cgroup / "cpu.max"]
    if not files[0].exists():  # version 1, as on older machines
        files = [cgroup / "cpu" / f"cpu.cfs_{name}_us" for name in ("quota", "period")]
    try:
        quota, period = (int(word) for file in files for word in file.read_text().split())
    except (OSError, ValueError):  # there is no limit
        return
    if quota > 0:
        os.environ.setdefault("OMP_NUM_THREADS", str(max(1, quota // period)))


class Worker:
    """Answers one link."""

    def __init__(
        self,
        app: Path,
        data: Path,
        site: str,
        imported: Path | None = None,
        personal: Path | None = None,
    ) -> None:
        self._app, self._data, self._site, self._personal = app, data, site, personal
        self._run: tuple[object, object] | None = None
        self._trainer: Trainer | None = None
        self._trace: ImportTrace | None = None
        if imported is not None:  # a local run
            self._trace = ImportTrace(imported, _own_modules(app))
            sys.meta_path.insert(0, self._trace)

    def answer(
        self, packet: Mapping[str, object], weights: Weights | None
    ) -> tuple[dict[str, object], Weights | None]:
        """Return the answer to one packet: an outcome, or what may be told of a failure."""
        try:
            with reporting_failures():
                trainer = self._warm(packet["run"], packet["overrides"])
                instruction = Instruction.read(str(packet["instruction"]))
                outcome, trained = trainer.follow(instruction, weights)
            return {**asdict(outcome), "loads": trainer.loads}, trained
        except Failure as failure:
            return {"failure": asdict(failure)}, None
        finally:
            if self._trace is not None:
                self._trace.write()

    def _warm(self, run: object, overrides: object) -> Trainer:
        """Return the trainer of this run: imported and loaded once for all its instructions."""
        if self._trainer is None or self._run != (run, overrides):
            changed = overrides if isinstance(overrides, dict) else {}
            config = {**app_config(self._app), **changed}
            self._trainer, self._run = None, None
            self._trainer = Trainer(self._app, config, self._data, self._site, self._personal)
            self._run = (run, overrides)
        return self._trainer


def _own_modules(app: Path) -> frozenset[str]:
    """Return the top-level names of the modules in an app's folder."""
    return frozenset(path.stem for path in app.iterdir()) if app.is_dir() else frozenset()


def serve(worker: Worker, channel: Channel) -> None:
    """Answer until the link hangs up."""
    while True:
        packet, memory = channel.receive()
        watch = _end_with(channel)
        answer, trained = worker.answer(packet, memory[0].weights if memory else None)
        watch.set()
        channel.send({**answer, "update": trained is not None and _written(trained, memory[-1])})
        del memory, trained


def _written(trained: Weights, memory: Memory) -> bool:
    """Tell whether an update could be written where the link wants it."""
    try:
        memory.fill(trained)
    except WeightsError as error:
        log.warning("the update is not what the link waits for: %s", error)
        return False
    return True


def _end_with(channel: Channel) -> threading.Event:
    """End the process if the link hangs up while the author's code, uninterruptible, runs."""
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.5):
            poll = select.poll()
            poll.register(channel, select.POLLHUP)
            if poll.poll(0) and not done.is_set():
                log.error("the link hung up: ending")
                os._exit(os.EX_TEMPFAIL)

    threading.Thread(target=watch, daemon=True).start()
    return done


def client_app(module: str) -> "ClientApp":
    """Return a Flower ClientApp around the author's code, for stock SuperNodes.

    A stock SuperNode has no link and no worker: it starts this app for each message, with the
    node's configuration ``site="…" data-dir="…"``. It answers the same instructions with the
    same replies; what a link would check, nobody checks, and what the rounding of an update leaves
    over (encoding.py) is lost, since nothing outlasts a message.
    """
    from flwr.app import Context, Message
    from flwr.clientapp import ClientApp

    from federator.runtime.protocol import messages, replies

    if module != "task":
        raise ValueError("the author's code is in the module 'task'")
    app = ClientApp()

    def follow(message: Message, context: Context) -> Message:
        site = str(context.node_config.get("site", context.node_id))
        data = Path(str(context.node_config.get("data-dir", "/data"))).resolve()
        kept = context.node_config.get("personal-dir")
        personal = None if kept is None else Path(str(kept)).resolve()
        try:
            require_assets(imported_from())
            with reporting_failures():
                received = messages.Received.of(message)
                instruction = Instruction.read(received.instruction)
                instruction = replace(instruction, survey=False)  # no link lets it out
                if PrivacySettings.in_config(context.run_config):
                    raise Failure("privacy-link")  # nobody holds the site's budget
                trainer = Trainer(None, context.run_config, data, site, personal)
                outcome, trained = trainer.follow(instruction, received.weights)
        except Failure as failure:
            raise RuntimeError(json.dumps([site, failure.write()])) from None
        return replies.outcome_reply(message, replies.site_record(site), outcome, trained)

    app.train()(follow)
    app.evaluate()(follow)
    app.query()(follow)
    return app


def require_assets(app: Path) -> None:
    """See that the files that came from beside the notebook are there, whoever laid out the app.

    Raises:
        Failure: if one is missing: Flower bundles files of some types only.
    """
    if not all((app / app_files.ASSETS / name).is_file() for name in app_files.listed(app)):
        raise Failure("assets")


def _app_hash(folder: Path) -> str:
    from federator.runtime.flower import app_hash  # slow to import, and only needed here

    return app_hash(folder)


def main(arguments: list[str] | None = None) -> int:
    """Run a worker until its link goes away."""
    parser = Parser(prog="federator-worker", description=__doc__)
    parser.add_argument("--app", type=Path, required=True, help="folder of the Flower App")
    parser.add_argument("--app-hash", help="SHA-256 of the app that this site took")
    parser.add_argument("--data", type=Path, required=True, help="the site's data folder")
    parser.add_argument("--site", required=True, help="the site's name")
    parser.add_argument("--socket", type=Path, required=True, help="where the link listens")
    parser.add_argument("--personal", type=Path, help="folder of what stays at this site")
    parser.add_argument("--imported", type=Path, help="file to list what was imported in")
    options = parser.parse_args(arguments)
    begin_log()
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))  # nothing here is worth waiting for
    if options.app_hash and options.app_hash != _app_hash(options.app.resolve()):
        log.error("the code in this image is not that of the app that this site took")
        return 1
    spare_processors()
    data = options.data.resolve()
    if has_network():
        log.warning("this machine does not let a process leave the network: not isolated")
    if data.is_dir() and not is_read_only(data):
        log.warning("this machine does not let a folder be made read-only: not the data, either")
    if not system_calls.restrict():
        log.warning("this machine takes no filter of system calls: the author's code has all")
    settle()
    try:
        channel = connect(options.socket, 60)
        log.info("connected to the link")
        worker = Worker(
            options.app.resolve(), data, options.site, options.imported, options.personal
        )
        serve(worker, channel)
    except (HandoverError, WeightsError) as error:
        log.info("ended: %s", error)
    return os.EX_TEMPFAIL  # start me again


if __name__ == "__main__":
    sys.exit(main())
