"""The doctor's checks of a site's data, and of the machine that computes on them."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from federator.runtime import app_files
from federator.runtime.app_config import app_config
from federator.runtime.doctor.finding import Finding
from federator.runtime.protocol.evaluation.settings import EvaluationSettings
from federator.runtime.protocol.instructions import Instruction
from federator.runtime.protocol.notices import SET_NAMES
from federator.runtime.protocol.outcomes import Failure
from federator.runtime.worker.loaders import Drawn
from federator.runtime.worker.sandbox.isolation import is_read_only
from federator.runtime.worker.trainer import Trainer

_GIB = 2**30
_LEAST = 64 * 2**20  # bytes; PyTorch's DataLoader passes batches through /dev/shm
_CGROUP = Path("/sys/fs/cgroup")


def look(folder: Path, app: Path, site: str) -> Iterator[Finding]:
    """Look at the data folder, then run the author's ``load_data`` on it, then at the machine."""
    yield (readable := _folder(folder, app))
    if readable.passed:
        yield Finding(
            is_read_only(folder),
            "the data folder is mounted read-only",
            "start this from the site's own file: there, it is",
        )
        yield from _contents(folder, app, site)
    yield from _machine()


def _folder(folder: Path, app: Path) -> Finding:
    me = f"{os.geteuid()}:{os.getegid()}"
    remedy = f"the worker runs as user {me}: set DATA_USER in .env to one that may read the folder"
    try:
        count = sum(1 for _ in folder.iterdir())
    except OSError as error:
        return Finding(False, f"{folder} cannot be read: {error.strerror}", remedy)
    if not count:
        remedy = f"set DATA_DIR in .env to the data's folder{app_files.layout(app)}"
        return Finding(False, f"{folder} is empty", remedy)
    for path in folder.rglob("*"):
        if not os.access(path, os.R_OK):
            return Finding(False, f"{path} cannot be read", remedy)
    return Finding(True, f"{folder} can be read, with {count} entries")


def _contents(folder: Path, app: Path, site: str) -> Iterator[Finding]:
    config = app_config(app)
    try:
        trainer = Trainer(app, config, folder, site)
        outcome, _ = trainer.follow(Instruction("join", 0, 0.0), None)
        drawn = trainer.label_counts()
    except Failure as failure:
        remedy = f"see the lines above{app_files.layout(app)}"
        yield Finding(False, f"the data cannot be loaded: {failure}", remedy)
        return
    names = EvaluationSettings.of(config).names
    for part in SET_NAMES:
        yield _set(part, outcome.examples[f"{part}set"], drawn.get(part), names)
    for notice in outcome.warnings:
        if notice.code == "last-batch":
            yield Finding(False, "a round of training would fail at this site", str(notice))


def _set(part: str, said: int, drawn: Drawn | None, labels: tuple[str, ...]) -> Finding:
    """Say how many examples a set has, by label where labels are known, and what that means."""
    what = f"{part} set: {said} examples"
    if drawn is None:
        return Finding(True, f"{what}: there will be no figures of it")
    if drawn.counts is None:
        what += " (labels cannot be counted)"
    else:
        counted = ", ".join(f"{n} {label}" for n, label in zip(drawn.counts, labels, strict=True))
        what += f" ({counted}{', as the sampler draws them' if drawn.sampled else ''})"
        if lacking := [label for n, label in zip(drawn.counts, labels, strict=True) if not n]:
            what += f": figures that need an example of {', '.join(lacking)} will be missing"
    given = " or ".join(map(str, sorted(drawn.sizes)))
    remedy = f"the loader gives {given}: load_data counts otherwise than it loads"
    return Finding(not drawn.sizes or said in drawn.sizes, what, remedy)


def _machine() -> Iterator[Finding]:
    """Look at memory, room for files and the GPU, with the data loaded."""
    used, most = _memory()
    remedy = "raise WORKER_MEMORY in .env; training needs more than loading"
    yield Finding(
        used < 0.7 * most, f"memory: {used / _GIB:.1f} of {most / _GIB:.1f} GiB are taken", remedy
    )
    for path, remedy in (
        ("/tmp", "raise WORKER_SCRATCH in .env, and WORKER_MEMORY by as much"),
        ("/dev/shm", "raise WORKER_SHM in .env"),
    ):
        free = shutil.disk_usage(path).free
        yield Finding(free >= _LEAST, f"{path}: {free / _GIB:.1f} GiB are free", remedy)
    yield _gpu()


def _memory() -> tuple[int, int]:
    """Return the bytes that are taken, and those there are: the container's, or the machine's."""
    limit = _CGROUP / "memory.max"
    if limit.exists() and (most := limit.read_text().strip()) != "max":
        return int((_CGROUP / "memory.current").read_text()), int(most)
    lines = (line.split() for line in Path("/proc/meminfo").read_text().splitlines())
    sizes = {words[0]: int(words[1]) * 1024 for words in lines}
    return sizes["MemTotal:"] - sizes["MemAvailable:"], sizes["MemTotal:"]


def _gpu() -> Finding:
    import torch

    if torch.version.cuda is None:
        return Finding(True, "this image computes on the processor")
    remedy = "does nvidia-smi work on this machine, and is NVIDIA's container toolkit installed?"
    if not torch.cuda.is_available():
        return Finding(False, "the GPU is not visible in the container", remedy)
    return Finding(True, f"GPU: {torch.cuda.get_device_name()}")
