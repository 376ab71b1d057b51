"""The author's code: imported from ``task.py``, seeded, what is reported of its exceptions."""

import gc
import importlib
import logging
import random
import sys
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from traceback import walk_tb
from types import ModuleType

import numpy as np

from federator.errors import chain
from federator.runtime.protocol.outcomes import LIBRARIES, Failure
from federator.runtime.worker.sandbox.pretrained import is_fetch

log = logging.getLogger("federator")

# What torch says of BatchNorm and a batch of one example.
LONE_EXAMPLE = "Expected more than 1 value per channel when training"
FAILED = "the author's code failed"
"""What stands in a log before an exception of the author's in full."""


def import_task(folder: Path | None) -> ModuleType:
    """Import the author's ``task.py``, from a folder or from where Python finds it.

    PyPI's torchvision, next to a CPU-only torch, misses two operators at import. They are
    declared then, without an implementation: models, transforms and datasets do without.
    """
    if folder is not None and str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    sys.modules.pop("task", None)
    # What is imported stays: looking for garbage in it is a third of the time of torch's import.
    gc.disable()
    try:
        return importlib.import_module("task")
    except Exception as error:
        # transformers has it as the cause of a ModuleNotFoundError of its own.
        if not any("operator torchvision::nms does not exist" in str(one) for one in chain(error)):
            raise
        declare_torchvision_operators()
        return importlib.import_module("task")
    finally:
        gc.freeze()
        gc.enable()


def declare_torchvision_operators() -> None:
    """Declare the operators that torchvision asks for, after an import that missed them."""
    import torch

    for name in [n for n in sys.modules if n.partition(".")[0] == "torchvision"]:
        del sys.modules[name]
    sys.modules.pop("task", None)
    library = torch.library.Library("torchvision", "DEF")  # type: ignore[no-untyped-call]
    for name in ("nms", "qnms"):
        schema = f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
        library.define(schema)  # type: ignore[no-untyped-call]
    _declared.append(library)


_declared: list[object] = []  # torch takes the operators back when the library object goes


@contextmanager
def reporting_failures(reason: str = "exception", part: str = "") -> Iterator[None]:
    """Log the author's exceptions here, in full, and raise what may be told of them.

    Args:
        reason: why the failure is told, where nothing better is known.
        part: the author's part that is running.

    Raises:
        Failure: with the exception's type, and the last line of the author's that was running; or
            with the library that was, where none was.
    """
    try:
        yield
    except (Failure, KeyboardInterrupt):
        raise
    except BaseException as error:
        log.exception(FAILED)
        if LONE_EXAMPLE in str(error):
            reason = "last-batch"
        elif is_fetch(error):
            reason = "fetch"
        file, line = _author_line(traceback.extract_tb(error.__traceback__))
        file = file or _library(error)
        raise Failure(reason, type(error).__name__, file, line, part) from None


def at_author_line(failure: Failure) -> Failure:
    """Return a failure with the line of the author's that is running, if one is."""
    file, line = _author_line(traceback.extract_stack())
    return replace(failure, file=file, line=line) if file else failure


def _author_line(frames: Iterable[traceback.FrameSummary]) -> tuple[str, int]:
    """Return file and line of the last frame that is in the author's code; none as ("", 0)."""
    own = [frame for frame in frames if _is_author(Path(frame.filename))]
    return (Path(own[-1].filename).name, own[-1].lineno or 0) if own else ("", 0)


def _library(error: BaseException) -> str:
    """Name the known library that was running last; empty if none was."""
    modules = [str(frame.f_globals.get("__name__")) for frame, _ in walk_tb(error.__traceback__)]
    names = [name.partition(".")[0] for name in modules]
    return next((name for name in reversed(names) if name in LIBRARIES), "")


def _is_author(path: Path) -> bool:
    return path.name in ("task.py", "aggregation.py")


def seed_all(*parts: object) -> None:
    """Seed torch, numpy and random from any values, the same on every machine."""
    import torch

    seed = int.from_bytes(sha256("\0".join(map(str, parts)).encode()).digest()[:4], "little")
    torch.manual_seed(seed)
    np.random.seed(seed)
    random.seed(seed)
