"""The doctor's checks of a site's data, and of the machine that computes on them."""

import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, replace
from pathlib import Path

from federator.runtime import app_files
from federator.runtime.app_config import Setting, app_config
from federator.runtime.doctor.finding import Finding
from federator.runtime.protocol.disclosure import Policy, filter_outcome
from federator.runtime.protocol.evaluation.settings import EvaluationSettings
from federator.runtime.protocol.evaluation.tasks import Task
from federator.runtime.protocol.instructions import Instruction
from federator.runtime.protocol.notices import SET_NAMES
from federator.runtime.protocol.outcomes import Failure, Outcome
from federator.runtime.protocol.privacy.settings import PrivacySettings
from federator.runtime.protocol.survey import Survey
from federator.runtime.worker.loaders import Drawn
from federator.runtime.worker.sandbox.isolation import is_read_only
from federator.runtime.worker.trainer import Trainer
from federator.runtime.worker.training.throughput import Throughput

Leaving = Callable[[Task], Policy]

_GIB = 2**30
_LEAST = 64 * 2**20  # bytes; PyTorch's DataLoader passes batches through /dev/shm
_CGROUP = Path("/sys/fs/cgroup")


def look(
    folder: Path, app: Path, site: str, rules: Leaving, errors: str = "the lines above"
) -> Iterator[Finding]:
    """Look at the data folder, then run the author's ``load_data`` on it, then at the machine.

    Args:
        folder: the data folder.
        app: the folder of the Flower App.
        site: the site's name.
        rules: returns what may leave the site, for a task.
        errors: where the full text of an error of the author's code is.
    """
    yield (readable := _folder(folder, app))
    if readable.passed:
        yield Finding(
            is_read_only(folder),
            "the data folder is mounted read-only",
            "start this from the site's own file: there, it is",
        )
        yield from _contents(folder, app, site, rules, errors)
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


def survey(folder: Path, app: Path, site: str, rules: Leaving) -> Survey | None:
    """Return all that the survey would send of the data, as the link would let it out.

    Args:
        folder: the data folder.
        app: the folder of the Flower App.
        site: the site's name.
        rules: returns what may leave the site, for a task.

    Returns:
        None if the site takes part in no survey.

    Raises:
        Failure: if the data cannot be loaded.
    """
    config = app_config(app)
    policy = _policy(rules, config)
    if not policy.survey:
        return None
    trainer = Trainer(app, config, folder, site)
    outcome, _ = trainer.follow(Instruction("join", 0, 0.0, survey=True), None)
    return _leaving(outcome, policy)


def _policy(rules: Leaving, config: Mapping[str, Setting]) -> Policy:
    """Return what may leave; under differential privacy no site tells a survey."""
    policy = rules(EvaluationSettings.of(config).task)
    private = PrivacySettings.in_config(config) is not None
    return replace(policy, survey=policy.survey and not private)


def _leaving(outcome: Outcome, policy: Policy) -> Survey | None:
    return filter_outcome(asdict(outcome), (), policy).survey


def _contents(folder: Path, app: Path, site: str, rules: Leaving, errors: str) -> Iterator[Finding]:
    config = app_config(app)
    policy = _policy(rules, config)
    try:
        trainer = Trainer(app, config, folder, site)
        join = Instruction("join", 0, 0.0, survey=policy.survey)
        outcome, _ = trainer.follow(join, None)
        drawn = trainer.label_counts()
        speed = trainer.throughput()
    except Failure as failure:
        remedy = f"see {errors}{app_files.layout(app)}"
        yield Finding(False, f"the data cannot be loaded: {failure}", remedy)
        return
    names = EvaluationSettings.of(config).names
    for part in SET_NAMES:
        yield _set(part, outcome.examples[f"{part}set"], drawn.get(part), names)
    for notice in outcome.warnings:
        if notice.code == "last-batch":
            yield Finding(False, "a round of training would fail at this site", str(notice))
    if speed is not None:
        yield _speed(speed)
    yield _survey(_leaving(outcome, policy))


def _speed(speed: Throughput) -> Finding:
    """Say whether training will wait for the data or for the model."""
    what = f"training set: a batch is read in {_duration(speed.reading)}"
    if speed.computing is None:
        return Finding(True, what)
    what += f"; the model takes {_duration(speed.computing)} for it"
    if speed.reading < speed.computing:
        return Finding(True, what)
    remedy = (
        "training will wait for the data: the author can give the loader num_workers and keep less "
        "work in the dataset; here, decoded or resized copies on a fast disk help"
    )
    return Finding(True, f"{what}: {remedy}")


def _duration(seconds: float) -> str:
    return f"{seconds * 1000:.3g} ms" if seconds < 1 else f"{seconds:.1f} s"


def _survey(told: Survey | None) -> Finding:
    """Say what the survey would send of these data, in short."""
    if told is None:
        return Finding(True, "survey: nothing of the data is told before training")
    kinds = Counter(name.partition(".")[0] for name in told.tables)
    tables = ", ".join(f"{kind} ({count})" for kind, count in kinds.items()) or "none"
    how = "`doctor --show-survey` prints all of it"
    return Finding(
        True, f"survey: if the server asks before training, these tables leave: {tables}; {how}"
    )


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
    free, most = torch.cuda.mem_get_info()
    memory = f"{free / _GIB:.1f} of {most / _GIB:.1f} GiB of its memory are free"
    return Finding(True, f"GPU: {torch.cuda.get_device_name()}; {memory}")
