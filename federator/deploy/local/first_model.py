"""The first model of a run, made in a process of its own: this one never runs the author's code."""

import time
from collections.abc import Mapping
from pathlib import Path

from federator.app.convert import Components
from federator.deploy.local.forks import Forks
from federator.deploy.local.processes import Processes
from federator.deploy.local.tracebacks import last_exception
from federator.errors import InputError, Problem, RunError
from federator.federation.schema import Federation
from federator.runtime.protocol.outcomes import Failure


def build(
    federation: Federation,
    components: Components,
    path: Path,
    processes: Processes,
    forks: Forks,
    env: Mapping[str, str],
) -> None:
    """Write the first model's weights to a file in the safetensors format.

    Args:
        federation: the federation file.
        components: what was converted.
        path: the file.
        processes: those of the run.
        forks: what makes processes that run the author's code.
        env: the environment of this one, which may fetch pretrained weights.

    Raises:
        InputError: if the weights to start from are not the model's, or what is to stay at the
            sites does not go with it.
        RunError: if the model could not be built, with the exception of the author's code.
    """
    arguments = ["initial", "--app", str(components.app), "--out", str(path)]
    if federation.initial_weights is not None:
        arguments += ["--from", str(federation.initial_weights)]
    forks.start("initial", arguments, env)
    while (status := processes.ended("initial")) is None:
        time.sleep(0.05)
    if status == 0:
        return
    *above, last = processes.tail("initial", 1_000).splitlines() or [""]
    if status == 2:
        raise InputError(Problem(last, federation.where("initial_weights")))
    if status == 1 and last.startswith("{"):
        failure = Failure.read(last)
        if failure.reason == "local":
            raise InputError(Problem(failure.type, federation.where("local")))
        where = components.source_map.locate(failure.file, failure.line)
        last = f"{failure} ({where})" if where else str(failure)
    exception = (last_exception("\n".join(above)) or "").splitlines()
    hint = "\n    ".join([*exception, f"full text: {processes.log('initial')}"])
    raise RunError(Problem(f"the first model could not be built: {last}", hint=hint))
