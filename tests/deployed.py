"""A federation in containers, set up by the commands of its documents as they are written there.

Only what stands for a name in them is replaced: registry, server, folder of the data.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
_LONGEST = timedelta(hours=6)  # of a test run
# At the beginning of the author's train(): it goes on when the test lets it.
_WAIT = """\
    import time
    while Path("gate/closed").exists():
        time.sleep(0.05)
"""
_BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_PATH = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"


def commands(document: str) -> dict[str, list[str]]:
    """Return the commands of a document, by section ("1", "2", …)."""
    sections = re.split(r"^## (?=\d)", (DOCS / document).read_text(), flags=re.MULTILINE)[1:]
    return {
        section[0]: [line for block in _BLOCK.findall(section) for line in block.splitlines()]
        for section in sections
    }


def wait_for(look):
    """Look again and again until there is something to see, however slow the machine; return it.

    What never comes ends with the test's own time limit, which says where it waited.
    """
    while not (seen := look()):
        time.sleep(0.3)
    return seen


@dataclass
class Desk:
    """A shell in a folder of one machine, that of a site or of the server.

    Attributes:
        folder: where commands are run.
        names: what to write for the names that stand in the documents.
        said: what was run, and what it printed.
    """

    folder: Path
    names: Mapping[str, str]
    said: list[tuple[str, str]] = field(default_factory=list)

    def run(self, command: str, status: int = 0) -> str:
        """Run a command of a document; return what it prints."""
        for name, ours in self.names.items():
            command = command.replace(name, ours)
        done = subprocess.run(
            ["bash", "-o", "pipefail", "-c", command],
            cwd=self.folder,
            env={**os.environ, "PATH": _PATH},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        said = done.stdout + done.stderr
        self.said.append((command, said))
        assert done.returncode == status, f"{command}: {done.returncode}\n{said}"
        return done.stdout

    def follow(self, document: str, *sections: str) -> None:
        """Run all commands of sections of a document, one after the other."""
        for section in sections:
            for command in commands(document)[section]:
                self.run(command)


@dataclass
class Deployed:
    """A federation: the server's desk, one of each site, and how to look inside."""

    server: Desk
    sites: dict[str, Desk]
    name: str

    def compose(self, *arguments: str) -> str:
        """Run Docker Compose on the server's file."""
        file = f"compose/{self.name}/server.yaml"
        return self.server.run(f"docker compose -f {file} {' '.join(arguments)}")

    def container(self, service: str, site: str = "server") -> str:
        """Return a running or stopped container of a service."""
        return f"{self.name}-{site}-{service}-1"

    def events(self, kind: str | None = None) -> list[dict]:
        """Return the events of the newest run's journal."""
        show = f"cat $(ls -d /results/{self.name}/2*/ | tail -1)rounds.jsonl"
        lines = self.compose("exec", "-T", "server", f"sh -c '{show}'").splitlines()
        read = [json.loads(line) for line in lines]
        return [event for event in read if kind in (None, event["event"])]


@contextmanager
def to_ourselves(engine, name: str, sites: Iterable[str]) -> Iterator[None]:
    """Have a federation's name for this test run alone; leave nothing of it on the engine.

    The documents give all test runs the same names, and what one that was killed left there (keys,
    database, results) would be taken for this run's: it is removed. What is somebody's who works on
    this machine stays, and the test stops instead. An empty volume of a test run's tells the two
    apart: what was made long after it is not that run's.
    """
    label, mark = "com.docker.compose.project", f"tests-of-{name}"
    projects = [f"{name}-{one}" for one in ("server", *sites)]

    def born(volume: str) -> datetime:
        created = engine("volume", "inspect", "--format={{.CreatedAt}}", volume)
        return datetime.fromisoformat(created)

    marked = mark in engine("volume", "ls", "--quiet", f"--filter=name={mark}").splitlines()
    for project in projects:
        of_project = f"--filter=label={label}={project}"
        folders = f'--format={{{{.Label "{label}.working_dir"}}}}'
        containers = engine("container", "ls", "--all", of_project, folders).splitlines()
        volumes = engine("volume", "ls", "--quiet", of_project).splitlines()
        ours = all("/pytest-" in folder for folder in containers) and (
            not volumes or (marked and all(born(one) - born(mark) < _LONGEST for one in volumes))
        )
        assert ours, f"the tests would remove your {project}"

    def remove() -> None:
        for project in projects:
            engine("compose", f"--project-name={project}", "down", "--volumes", "--timeout=2")
        if mark in engine("volume", "ls", "--quiet").splitlines():
            engine("volume", "rm", mark)

    remove()
    engine("volume", "create", mark)
    try:
        yield
    finally:
        remove()


class Gate:
    """Where training waits at one site, for as long as a test wants it to.

    Args:
        data: the site's data folder.
    """

    def __init__(self, data: Path) -> None:
        self._file = data / "gate" / "closed"

    def close(self) -> None:
        """Let no training begin from now on."""
        self._file.touch()

    def open(self) -> None:
        """Let training go on."""
        self._file.unlink(missing_ok=True)


class Rounds:
    """Rounds that are going on, in which something is to break."""

    def __init__(self, deployed, count=3):
        self.deployed = deployed
        file = deployed.server.folder / "compose" / deployed.name / "server.yaml"
        command = ["docker", "compose", "-f", str(file), "exec", "-T", "server"]
        self._earlier, self.began = len(deployed.events()), int(time.time())
        self.before = deployed.events("round")[-1]["round"]
        self.process = subprocess.Popen(
            [*command, "federator", "rounds", f"--rounds={count}", "--epochs=1"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def _log(self, site, number):
        """Return what a site's link has said since it was told to train in a round, from 1."""
        desk = self.deployed.sites[site]
        # A round of that number may have been stopped before.
        said = desk.run(f"docker compose logs --since={self.began} link")
        return said.partition(f"train, round {self.before + number}, ")[2]

    def wait_until_training(self, site, number):
        """Wait until a site trains in the round of that number, from 1, or waits at its gate."""
        wait_for(lambda: self._log(site, number))

    def wait_until_trained(self, site, number):
        """Wait until a site has trained in the round of that number, from 1."""
        wait_for(lambda: "leaves: " in self._log(site, number))

    def events(self, kind):
        """Return the events of one kind in the journal by now, of these rounds alone."""
        found = self.deployed.events()[self._earlier :]
        return [event for event in found if event["event"] == kind]

    def told(self):
        """Return the rounds as the journal has them by now, by number from 1."""
        return {event["round"] - self.before: event["sites"] for event in self.events("round")}

    def joined(self, site):
        """Return how often a site has joined by now."""
        return [e["site"] for e in self.events("site") if e["state"] == "joined"].count(site)

    def finish(self):
        """Wait for the end; return what the command said."""
        said = self.process.communicate()[0]
        assert self.process.returncode == 0, said
        return said

    def stop(self):
        """Stop them as another terminal does; return what the command said."""
        stop = "exec -T server federator rounds --stop"
        assert self.deployed.compose(stop) == "stopped\n"
        said = self.process.communicate()[0]
        assert self.process.returncode == 143, said
        return said

    def abandon(self):
        """Stop them if they are going on still: the test that began them has failed."""
        if self.process.poll() is None:
            self.deployed.compose("exec -T server federator rounds --stop || true")
            self.process.kill()
            self.process.communicate()


def repository(root: Path, data: Path) -> Iterator[str]:
    """Lay out a repository with the breast cancer federation; return the names of its sites.

    Each has a gate in its data folder, at which its training waits if that is closed.
    """
    for folder in ("notebooks", "compose"):
        shutil.copytree(ROOT / folder, root / folder)
    script = root / "notebooks" / "breast_cancer_sites.py"
    subprocess.run([sys.executable, script, data], check=True, stdout=subprocess.DEVNULL)
    notebook = root / "notebooks" / "breast_cancer.ipynb"
    read = json.loads(notebook.read_text())
    (train,) = (c for c in read["cells"] if "".join(c["source"]).startswith("def train("))
    head, end, body = "".join(train["source"]).partition('"""\n')
    train["source"] = f"{head}{end}{_WAIT}{body}"
    notebook.write_text(json.dumps(read))
    for site in data.iterdir():
        (site / "gate").mkdir()
    for one in (root, data, *data.rglob("*")):
        one.chmod(0o755 if one.is_dir() else 0o644)  # another user reads them in the containers
    git = ["git", "-C", str(root)]
    subprocess.run([*git, "init", "--quiet"], check=True)
    subprocess.run([*git, "config", "user.email", "ada@example.org"], check=True)
    subprocess.run([*git, "config", "user.name", "Ada"], check=True)
    return (path.name for path in sorted(data.glob("hospital-*")))
