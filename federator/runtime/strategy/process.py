"""The process of the author's strategy: it has no network, no key, no results and no site's data.

It waits for the server, runs the strategy of one run, and ends; its supervisor (Docker, or
``federator run``) then starts another. What the author's code prints stays in its log.
"""

import importlib
import logging
import os
import signal
import sys
import time
import traceback
from pathlib import Path

from flwr.serverapp.strategy import QFedAvg, Strategy

from federator.errors import RunError
from federator.runtime.app_config import Setting, choose
from federator.runtime.flower import allow_messages
from federator.runtime.options import Parser, begin_log
from federator.runtime.protocol.handover import Channel, HandoverError, connect
from federator.runtime.strategy import grid
from federator.runtime.strategy.privacy import refuse_private
from federator.runtime.strategy.remote_sites import RemoteSites
from federator.runtime.weights.format import describe

log = logging.getLogger("federator")

MODULE = "aggregation"
_LOOK = 0.2  # seconds between two looks whether the server waits


def load(app: Path, parameters: dict[str, Setting]) -> Strategy:
    """Return the strategy of the author's ``aggregation.py``; what that raises is passed on.

    Raises:
        RunError: if it is no strategy of Flower's, or one that protects less than it says.
    """
    choose(parameters)
    sys.path.insert(0, str(app))
    strategy = importlib.import_module(MODULE).strategy
    if not isinstance(strategy, Strategy):
        raise RunError(f"the notebook's strategy is a {type(strategy).__name__}, none of Flower's")
    refuse_private(strategy)
    return strategy


def serve(channel: Channel, app: Path) -> None:
    """Run the strategy of one run; the server is told of what breaks down.

    Raises:
        HandoverError: if the server ends the run.
    """
    try:
        packet, _ = channel.receive()
        given = packet["parameters"]
        strategy = load(app, given if isinstance(given, dict) else {})
        channel.send(_described(strategy))
        packet, memory = channel.receive()
        first = memory[0].weights
        sites = RemoteSites(channel, describe(first), type(strategy).__name__)
        rounds, timeout = int(str(packet["rounds"])), float(str(packet["timeout"]))
        grid.run(strategy, sites, first, rounds, timeout)
        channel.send({"ask": "done"})
    except HandoverError:
        raise
    except RunError as error:
        channel.send({"failure": str(error)})
    except BaseException as error:
        log.exception("the notebook's strategy broke down")
        text = f"the notebook's strategy broke down: {type(error).__name__}: {error}"
        channel.send({"failure": text[:1_000], "line": _line(error)})


def _described(strategy: Strategy) -> dict[str, object]:
    """Return what the server has to know of a strategy."""
    return {
        "name": type(strategy).__name__,
        **{name: int(getattr(strategy, name, 0)) for name in grid.LEAST_SITES},
        "proximal_mu": float(getattr(strategy, "proximal_mu", 0.0)),
        "needs_train_loss": isinstance(strategy, QFedAvg),
    }


def _line(error: BaseException) -> int:
    """Return the last line of the author's cells that an exception passed, 0 if none."""
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno or 0 for frame in frames if Path(frame.filename).stem == MODULE]
    return lines[-1] if lines else 0


def main(arguments: list[str] | None = None) -> int:
    """Wait for the server, and run the strategy of one run."""
    parser = Parser(prog="federator-strategy", description=__doc__)
    parser.add_argument("--app", type=Path, required=True, help="folder of the Flower App")
    parser.add_argument("--socket", type=Path, required=True, help="where the server listens")
    options = parser.parse_args(arguments)
    begin_log()
    allow_messages()
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))  # nothing here is worth waiting for
    channel = None
    while channel is None:
        try:
            channel = connect(options.socket, 0)
        except HandoverError:
            time.sleep(_LOOK)
    log.info("connected to the server")
    try:
        serve(channel, options.app.resolve())
    except HandoverError as error:
        log.info("ended: %s", error)
    return os.EX_TEMPFAIL  # start me again
