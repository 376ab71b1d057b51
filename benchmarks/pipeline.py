"""From ``git push`` to committed compose files: the workflow federate.yml, run by act.

The first push is a cold build: the engine is given a base image of which it has no layers yet,
and the registry is a new one. Then one line of ``train`` is changed and pushed, all caches warm.
The runner's own start (checkout, Python, installing the library) is left out of both.
"""

import json
import os
import shutil
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.images import change_train, chosen, lay_out, new_base, registry
from federator.deploy.provision import provision
from federator.federation import schema
from federator.federation.schema import FILE, Federation
from federator.images import engine

sys.path.append(str(Path(__file__).parents[1] / "tests"))
from fixtures.hosted import WORKFLOWS, Repository, Run

PAPER_S = 15 * 60 + 45  # the two images of the paper of 2022
STEPS = {
    "Check and convert what these commits concern": "plan: check and convert",
    "Log in": "log in",
    "Build and push": "convert, build, push",
    "Write the compose files": "compose files and summary",
    "Fetch the compose files": "fetch them in the last job",
    "Commit them": "commit them",
}
COMMANDS = {"buildx": "  of it docker buildx", "push": "  of it docker push"}
# Stands before docker on the PATH, and notes how long each of its commands takes.
STOPWATCH = """\
#!/bin/bash
began=$(date +%s.%N)
{docker} "$@"
status=$?
echo "$1 $began $(date +%s.%N)" >> {log}
exit $status
"""


def main(arguments: list[str]) -> None:
    read, index = chosen("pipeline", __doc__, arguments)
    times: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        root = Path(folder)
        (root / "registry").mkdir()
        log = put_stopwatch(root / "bin")
        os.environ["DOCKER_CONFIG"] = folder
        with registry(root / "registry") as host:
            repository, base = Repository(root), new_base(read.build.base)
            workflows = repository.work / ".github" / "workflows"
            workflows.mkdir(parents=True)
            shutil.copy(WORKFLOWS / "federate.yml", workflows)
            copy = lay_out(read, repository.work, f"{host}/benchmark", base, index)
            with (copy.folder / FILE).open("a") as settings:
                settings.write("\nserver: fl.example.org\n")
            provision(schema.read(copy.folder))
            (repository.work / "requirements.txt").write_text("notebook-federator[author]\n")
            for name in ("cold", "changed train"):
                if name == "changed train":
                    change_train(copy.notebook)
                log.write_text("")
                times[name] = measured(push(repository, name, host), log)
            made = engine.docker("images", "--quiet", f"--filter=reference={host}/benchmark/*")
            engine.docker("rmi", "--force", base, *set(made.split()))
    show(copy, times)


def put_stopwatch(folder: Path) -> Path:
    """Put the stopwatch before docker; return the file that it writes."""
    folder.mkdir()
    shim, log = folder / "docker", folder / "log"
    shim.write_text(STOPWATCH.format(docker=shutil.which("docker"), log=log))
    shim.chmod(0o755)
    os.environ["PATH"] = f"{folder}{os.pathsep}{os.environ['PATH']}"
    return log


def push(repository: Repository, name: str, host: str) -> Run:
    run = repository.run(
        "push",
        repository.push(name),
        "--workflows=.github/workflows/federate.yml",
        f"--var=REGISTRY={host}",
        "--secret=DOCKERHUB_USERNAME=anybody",
        "--secret=DOCKERHUB_TOKEN=anything",
        DOCKER_CONFIG=os.environ["DOCKER_CONFIG"],
    )
    if set(run.jobs.values()) != {"success"}:
        sys.exit(run.log)
    repository.pull()
    return run


def measured(run: Run, log: Path) -> dict[str, float]:
    """Return the seconds of each step, and of docker's part in them."""
    took = {STEPS[step]: seconds for step, seconds in run.seconds.items() if step in STEPS}
    commands = [line.split() for line in log.read_text().splitlines()]
    for command, name in COMMANDS.items():
        took[name] = sum(
            float(end) - float(began) for one, began, end in commands if one == command
        )
    return took


def show(read: Federation, times: dict[str, dict[str, float]]) -> None:
    table = Table(title=f"from a push of {read.name} to its committed compose files, s")
    for column in ("", *times):
        table.add_column(column, justify="left" if not column else "right")
    names = [*STEPS.values()]
    names[3:3] = COMMANDS.values()
    for name in names:
        table.add_row(name, *(f"{took[name]:.1f}" for took in times.values()))
    totals = {name: sum(took[step] for step in STEPS.values()) for name, took in times.items()}
    table.add_row("together", *(f"{total:.1f}" for total in totals.values()), style="bold")
    Console().print(table)
    print(f"the two images of the paper of 2022: {PAPER_S} s")
    ratio = round(totals["changed train"] / totals["cold"], 4)
    result = {"benchmark": "pipeline", "ratio": ratio, "s": times, "together_s": totals}
    print(json.dumps(result))
