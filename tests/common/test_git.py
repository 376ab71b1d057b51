"""Git by its command line: answers, refusals, and no git at all."""

import pytest

from federator.common import git
from federator.common.git import GitError


def test_an_answer_is_returned_as_it_is(tmp_path):
    git.run(tmp_path, "init", "--quiet", "--initial-branch=trunk")
    assert git.run(tmp_path, "symbolic-ref", "--short", "HEAD") == "trunk\n"
    assert git.ask(tmp_path, "symbolic-ref", "--short", "HEAD") == "trunk"


def test_a_refusal_is_told_in_gits_own_words(tmp_path):
    with pytest.raises(GitError, match="git rev-parse failed: fatal: not a git repository"):
        git.run(tmp_path, "rev-parse", "HEAD")
    assert git.ask(tmp_path, "rev-parse", "HEAD") == ""


def test_the_environment_can_be_added_to(tmp_path):
    named = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "a.b", "GIT_CONFIG_VALUE_0": "c"}
    assert git.run(tmp_path, "config", "a.b", env=named) == "c\n"


def test_no_git(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(GitError, match="git cannot be started"):
        git.run(tmp_path, "status")
    assert git.ask(tmp_path, "status") == ""
