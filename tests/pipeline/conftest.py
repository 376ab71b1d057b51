"""A GitHub on this machine, and a clone of its repository."""

import subprocess

import pytest
from fakes.github import (
    REPOSITORY,
    GitHub,
)
from fakes.http_service import running
from fixtures.small_notebook import federate


@pytest.fixture
def hub():
    with running(GitHub()) as hub:
        yield hub


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """A clone of the repository, in which we are."""
    federate(tmp_path)
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    origin = f"https://127.0.0.1/{REPOSITORY}.git"
    subprocess.run(["git", "-C", tmp_path, "remote", "add", "origin", origin], check=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path
