"""The ServerApp: what Flower starts on the server to run the rounds (rounds.py)."""

import gc
import logging
import platform
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import flwr
from flwr.app import Context
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import Strategy

import federator
from federator.errors import RunError
from federator.runtime.app_config import Setting, choose
from federator.runtime.flower import prepare_grid
from federator.runtime.options import begin_log
from federator.runtime.protocol.evaluation.settings import EvaluationSettings
from federator.runtime.protocol.replies import NO_MESSAGE
from federator.runtime.protocol.signing.connection import SignerClient
from federator.runtime.server.aggregation import plain
from federator.runtime.server.aggregation.own_strategy import OwnStrategy, name_of
from federator.runtime.server.exchange import Exchange
from federator.runtime.server.journal import End, Line, Start, Waiting, append, now
from federator.runtime.server.plan import Plan
from federator.runtime.server.proof.manifest import end as end_run
from federator.runtime.server.proof.receipts import ReceiptCheck
from federator.runtime.server.rounds import Rounds
from federator.runtime.server.session import Session
from federator.runtime.server.settings import ServerSettings
from federator.runtime.server.sites import Sites
from federator.runtime.server.storage.checkpoints import Checkpoint, RunFolder
from federator.runtime.server.storage.store import STORE, Store
from federator.runtime.weights.block_file import WeightFile
from federator.runtime.weights.buffers import Buffers, read_buffers
from federator.runtime.weights.encoding import MASKED
from federator.runtime.weights.format import Weights
from federator.runtime.weights.local_tensors import LocalTensors, LocalTensorsError

log = logging.getLogger("federator")

_LAST_WORDS = 5.0  # seconds to wait for the manifest's signature, before the run's last line

FirstModel = Callable[[int, LocalTensors], tuple[Weights, Buffers]]
"""Builds the author's ``Model()`` from a seed; returns its shared weights and which are buffers."""


def server_app(module: str, first_model: FirstModel) -> ServerApp:
    """Return a Flower ServerApp that runs the federation with a module's ``strategy``.

    Args:
        module: the module that defines ``strategy``.
        first_model: builds the first model, where no file of it was made before.
    """
    app = ServerApp()

    @app.main()
    def main(grid: Grid, context: Context) -> None:
        begin_log()
        gc.freeze()  # what was imported stays; looking it through again takes longer than a fold
        prepare_grid(NO_MESSAGE)
        name = grid.run.fab_id.rpartition("/")[2]
        settings = ServerSettings.read(name, context.run_id)
        folder = RunFolder(Path(settings.run))
        started, about = time.monotonic(), {"run": folder.path.name}
        end: Line = {"state": "failed", "reason": "the server broke down"}
        try:
            end |= _run(grid, context, settings, folder, module, first_model, about)
        except RunError as error:
            end |= {"reason": str(error)}
            raise
        except SystemExit:  # Flower's answer to a signal, or to the run being stopped
            end |= {"state": "stopped", "reason": "the run was stopped"}
            raise
        except Exception as error:
            log.exception("the server broke down")
            end |= {"reason": f"the server broke down: {type(error).__name__}: {error}"}
            raise
        finally:
            seconds = round(time.monotonic() - started, 3)
            ended = End(time=now(), **end, seconds=seconds, flower_run=context.run_id)
            _end(folder.path, ended, about, _signer(settings, _LAST_WORDS))
            shutil.rmtree(folder.path / STORE, ignore_errors=True)

    return app


def _run(
    grid: Grid,
    context: Context,
    settings: ServerSettings,
    folder: RunFolder,
    module: str,
    first_model: FirstModel,
    about: Line,
) -> Line:
    """Run the rounds; return how they ended, and add to ``about`` what the manifest says."""
    plan = Plan.of(context.run_config)
    choose(context.run_config)
    strategy = _strategy(settings, plain.find(module), context.run_config)
    shared = settings.store
    store = Store(Path(shared) if shared else folder.path / STORE)
    start = folder.last()
    if start is not None:
        buffers = folder.buffers(start.weights.tensors)
    else:
        weights, buffers = _first_model(settings, plan, store, first_model)
        start = Checkpoint(0, weights)
    try:
        plan.local.require_shared_only(start.weights.tensors)
    except LocalTensorsError as error:
        raise RunError(f"{error}: start a new run, from the first model") from None
    versions = {
        "python": platform.python_version(),
        "flwr": flwr.__version__,
        "federator": federator.__version__,
    }
    described: Line = {
        "run": folder.path.name,
        "federation": settings.federation,
        "strategy": name_of(strategy),
        **_evaluated(plan.settings),
        "seed": plan.seed,
        "local_epochs": plan.epochs,
        "local_steps": plan.steps,
        "baselines": settings.baselines,
        "select": plan.select,
        "local": list(plan.local.patterns),
        "versions": versions,
        "encoding": settings.encoding,
        "model_bytes": start.weights.size,
    }
    about |= {**described, "app_hash": grid.run.fab_hash}
    receipts = ReceiptCheck(
        Path(settings.site_keys) if settings.site_keys else None, grid.run.fab_hash
    )
    signer = _signer(settings)
    last = start.round + plan.rounds
    names = sorted(settings.sites)
    first = start.round + 1
    told: Line = {"warnings": list(settings.warnings)} if settings.warnings else {}
    if written := context.run_config.get("privacy"):
        told["privacy"] = str(written)
    if settings.site_privacy:
        told["site_privacy"] = settings.site_privacy
    append(
        folder.path,
        Start(
            time=now(), first_round=first, last_round=last, sites=names, by=settings.by,
            coordinator="" if signer is None else signer.public_key(),
            keys=receipts.public(settings.sites),
            rehearsal=settings.local_only, **described, **told,
        ),
    )  # fmt: skip
    sites = Sites(
        grid,
        Exchange(grid, context.run_id, signer, store, plan.policy),
        believe=settings.local_only,
        by_files=lambda site: shared is not None and site not in settings.messages,
        tell=lambda sites, until: append(
            folder.path, Waiting(time=now(), sites=list(sites), until=until)
        ),
        receipts=receipts,
    )
    session = Session(sites, settings, plan, strategy, folder, buffers)
    if settings.survey == "only":
        session.attendance.join()
        return {"state": "finished", "reason": None}
    chosen = Rounds(session).run(start)
    folder.finish(chosen)
    about |= {"rounds": last, "model_round": chosen.round}
    return {"state": "finished", "reason": None, "round": last, "model_round": chosen.round}


def _signer(settings: ServerSettings, patience: float | None = None) -> SignerClient | None:
    return SignerClient(Path(settings.signer), patience) if settings.signer else None


def _end(run: Path, event: End, about: Line, signer: SignerClient | None) -> None:
    """Write the end of a run, with a manifest; if nobody signs that, the journal still ends."""
    try:
        end_run(run, event, about, None if signer is None else signer.sign_manifest)
    except RunError as error:
        log.error("the manifest is not signed: %s", error)


def _evaluated(settings: EvaluationSettings) -> Line:
    """Return the fields of ``Start`` that say what is evaluated."""
    positive = settings.positive
    return {
        "task": settings.task.name,
        "labels": list(settings.names),
        "positive": None if positive is None else settings.names[positive],
        "ranges": [list(one) for one in settings.ranges],
        "horizon": settings.horizon,
        "surfaces": settings.surfaces and str(settings.surfaces),
    }


def _strategy(
    settings: ServerSettings, module: Path, config: Mapping[str, Setting]
) -> Strategy | OwnStrategy:
    """Return the strategy: made here of a plain text, or as its own process tells of it.

    Raises:
        RunError: if it cannot be made.
    """
    if settings.strategy != "own":
        return plain.make(module, settings.source_map, sums=settings.encoding == MASKED)
    if settings.strategy_socket is None:
        raise RunError("a strategy of the notebook's own runs by `federator run`, or at a server")
    return OwnStrategy(Path(settings.strategy_socket), config, module, settings.source_map)


def _first_model(
    settings: ServerSettings, plan: Plan, store: Store, build: FirstModel
) -> tuple[WeightFile, Buffers]:
    """Return the first model: from the file that was made for it, or from the author's Model().

    With it go the names of its tensors that are no parameters.

    Raises:
        RunError: if it cannot be built here, or the file has not these names beside it.
    """
    if settings.initial_weights is not None:
        file = WeightFile(path := Path(settings.initial_weights))
        return file, read_buffers(path, file.tensors)
    if not settings.local_only:  # the author's code makes it in a container of its own
        raise RunError("the first model is missing: see the logs of the service init")
    try:
        weights, buffers = build(plan.seed, plan.local)
        return store.keep(weights), buffers
    except ImportError as error:
        raise RunError(
            f"the first model cannot be built here ({error}): give initial_weights"
        ) from None
