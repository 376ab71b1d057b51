"""What rounds.yml does with the server's checkout: its own script, with a stand-in for Docker."""

import os
import subprocess

import pytest
from fixtures.hosted import WORKFLOWS, Repository, git
from ruamel.yaml import YAML

NAME, FOLDER = "tumours", "compose/tumours"
STEP = "Bring checkout and server to the approved commit"


class Server:
    """The server's checkout of a repository, and the step of rounds.yml that works on it."""

    def __init__(self, root):
        self.github = Repository(root)
        self.commit("server.yaml", "services: {}\n")
        self.commit("nginx.conf", "events {}\n")
        (self.github.work / ".gitignore").write_text("keys/\n.env\n")
        self.github.push("a federation")
        self.home = self.github.clone(root / "home")
        self.ups = root / "ups"
        docker = root / "bin" / "docker"
        docker.parent.mkdir()
        docker.write_text(f'#!/bin/sh\ncat "$COMPOSE_FILE" >> {self.ups}\n')
        docker.chmod(0o755)
        (self.home / FOLDER / "keys").mkdir()
        self.note()

    def commit(self, name, text):
        """Push a file of the federation; return the commit."""
        path = self.github.work / FOLDER / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return self.github.push(f"another {name}")["after"]

    def note(self):
        """Note what was started, as `federator approve` does."""
        command = "sha256sum server.yaml nginx.conf > keys/started"
        subprocess.run(["sh", "-c", command], cwd=self.home / FOLDER, check=True)

    def job(self, approved, federation=NAME):
        """Run the step as GitHub does, for an approved commit; return its error, if it has one."""
        workflow = YAML(typ="safe").load((WORKFLOWS / "rounds.yml").read_text())
        steps = {step.get("name"): step for step in workflow["jobs"]["rounds"]["steps"]}
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", steps[STEP]["run"]],
            env={
                "PATH": f"{self.ups.parent / 'bin'}:{os.environ['PATH']}",
                "HOME": str(self.ups.parent),
                "GITHUB_SHA": approved,
                "GITHUB_TOKEN": "a-token",
                "GITHUB_SERVER_URL": "https://github.com",
                "FEDERATOR_HOME": str(self.home),
                "FEDERATION": federation,
                "COMPOSE_FILE": str(self.home / FOLDER / "server.yaml"),
            },
            capture_output=True,
            text=True,
        )
        errors = [line for line in done.stdout.splitlines() if line.startswith("::error::")]
        assert (done.returncode == 0) == (not errors), done.stdout + done.stderr
        assert "a-token" not in done.stdout + done.stderr
        return errors[0] if errors else ""

    @property
    def started(self):
        return self.ups.read_text() if self.ups.exists() else ""


@pytest.fixture
def server(tmp_path):
    return Server(tmp_path)


def test_the_approved_commit_is_what_runs(server):
    approved = server.commit("sites/north.pub", "a key\n")
    assert server.job(approved) == ""
    assert git(server.home, "rev-parse", "HEAD") == approved
    assert server.started == "services: {}\n"


def test_what_the_branch_has_since_the_approval_does_not_run(server):
    approved = server.commit("sites/north.pub", "a key\n")
    server.commit("sites/mallory.pub", "another key\n")
    assert server.job(approved) == ""
    assert git(server.home, "rev-parse", "HEAD") == approved
    assert not (server.home / FOLDER / "sites" / "mallory.pub").exists()


def test_a_checkout_that_is_ahead_or_changed_is_refused(server):
    approved = git(server.home, "rev-parse", "HEAD")
    server.commit("sites/mallory.pub", "another key\n")
    git(server.home, "pull", "--quiet")
    assert "is not the approved commit" in server.job(approved)
    (server.home / FOLDER / "server.yaml").write_text("services: {other: {}}\n")
    assert "is not the approved commit" in server.job(git(server.home, "rev-parse", "HEAD"))
    assert server.started == ""


def test_a_commit_that_the_branch_no_longer_has_is_refused(server):
    first = git(server.github.work, "rev-parse", "HEAD~1")
    git(server.github.work, "checkout", "--quiet", "--detach", first)
    (server.github.work / "x").touch()
    git(server.github.work, "add", "--all")
    git(server.github.work, "commit", "--quiet", "--message=aside")
    git(server.github.work, "push", "--quiet", "origin", "HEAD:refs/heads/aside")
    aside = git(server.github.work, "rev-parse", "HEAD")
    assert "cannot go on to the approved commit" in server.job(aside)
    assert "cannot go on to the approved commit" in server.job("0" * 40)
    assert server.started == ""


@pytest.mark.parametrize("name", ["server.yaml", "nginx.conf"])
def test_what_the_coordinator_has_not_started_is_refused_until_they_have(server, name):
    approved = server.commit(name, "services: {server: {volumes: ['/:/host']}}\n")
    assert "not what the coordinator last started" in server.job(approved)
    assert server.started == ""
    server.note()
    assert server.job(approved) == ""


def test_without_a_note_nothing_is_started(server):
    (server.home / FOLDER / "keys" / "started").unlink()
    assert "not what the coordinator last started" in server.job(
        git(server.home, "rev-parse", "HEAD")
    )
    assert server.started == ""


@pytest.mark.parametrize("name", [".env", "keys/started"])
def test_settings_and_notes_of_the_machine_cannot_come_from_a_commit(server, name):
    (server.home / FOLDER / "keys" / "started").unlink()  # else git itself keeps what is there
    path = server.github.work / FOLDER / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("RESULTS_DIR=/\n")
    git(server.github.work, "add", "--force", str(path))
    approved = server.commit("sites/north.pub", "a key\n")
    assert "is committed" in server.job(approved)
    assert server.started == ""


@pytest.mark.parametrize("name", [f"{FOLDER}/first.pt", f"{FOLDER}/sites", "models"])
def test_a_link_in_a_commit_leads_no_container_to_a_key(server, name):
    path = server.github.work / name
    path.symlink_to("keys/coordinator.key")
    git(server.github.work, "add", "--all")
    approved = server.commit("sites.txt", "a commit more\n")
    assert "the repository has a symbolic link" in server.job(approved)
    assert server.started == ""
    path.unlink()
    assert server.job(server.commit("sites.txt", "one more\n")) == ""


def test_a_federation_that_was_never_delivered_is_refused(server):
    approved = git(server.home, "rev-parse", "HEAD")
    assert "lungs has no server.yaml yet" in server.job(approved, "lungs")
