"""Another version in a repository: what was generated follows it, what is the author's stays."""

import hashlib
import json
from pathlib import Path

import pytest
from fixtures.command_line import call
from fixtures.repository_files import PLACES, files

from federator import __version__
from federator.repository.init import RECORD


@pytest.fixture
def repository(tmp_path):
    assert call("init", tmp_path / "tumours", "--yes").exit_code == 0
    return tmp_path / "tumours"


def age(folder: Path, **generated: str | None) -> None:
    """Make a repository one of an older version, in which these files were as told, or absent."""
    record = json.loads((folder / RECORD).read_text())
    record["version"] = "0.0.9"
    for place, text in generated.items():
        if text is None:
            (folder / place).unlink()
            del record["files"][place]
        else:
            (folder / place).write_text(text)
            record["files"][place] = hashlib.sha256(text.encode()).hexdigest()
    (folder / RECORD).write_text(json.dumps(record))


def test_the_present_version_changes_nothing(repository):
    before = files(repository)
    for command in ("init", "update"):
        result = call(command, repository)
        assert result.exit_code == 0
        assert result.stdout == f"all files are those of version {__version__}\n"
    assert files(repository) == before


def test_init_again_does_not_take_answers(repository):
    before = files(repository)
    result = call("init", repository, "--site", "north")
    assert result.exit_code == 2
    assert "is a repository already" in result.stderr
    assert files(repository) == before


@pytest.mark.parametrize("command", ["init", "update"])
def test_a_file_as_it_was_generated_is_replaced(repository, command):
    before = files(repository)
    age(repository, **{"README.md": "# old\n", PLACES[0]: "name: old\n"})
    (repository / "notebooks" / "tumours.ipynb").write_text("mine")
    (repository / "compose" / "tumours" / "federation.yaml").write_text("mine")
    result = call(command, repository, "--yes")
    assert result.exit_code == 0
    assert f"--- {PLACES[0]}\n" in result.stdout
    assert {"-name: old", "+name: federate"} <= set(result.stdout.splitlines())
    mine = {"notebooks/tumours.ipynb", "compose/tumours/federation.yaml"}
    assert files(repository) == before | dict.fromkeys(mine, b"mine")


def test_a_file_that_the_author_changed_stays_until_it_is_given_up(repository):
    before = files(repository)
    age(repository, **{"README.md": "# old\n", ".gitignore": "/data/\n"})
    (repository / ".gitignore").write_text("/data/\n/mine/\n")
    result = call("update", repository, "--yes")
    assert "--- .gitignore (yours)\n" in result.stdout
    assert "\n-/mine/\n" in result.stdout
    assert "federator update --take .gitignore" in result.stdout
    assert files(repository) == before | {".gitignore": b"/data/\n/mine/\n"}
    assert "all files are those of" in call("update", repository).stdout, "it has been told"
    result = call("update", repository, "--take", ".gitignore", "--yes")
    assert ".gitignore stays" not in result.stdout
    assert files(repository) == before


def test_what_the_version_does_not_change_is_no_matter(repository):
    age(repository, **{"README.md": "# old\n"})
    (repository / ".gitignore").write_text("/mine/\n")
    (repository / ".pre-commit-config.yaml").unlink()
    result = call("update", repository, "--yes")
    assert result.stdout.count("+++") == 1
    assert (repository / ".gitignore").read_text() == "/mine/\n"
    assert not (repository / ".pre-commit-config.yaml").exists()
    assert call("update", repository, "--take", ".pre-commit-config.yaml", "--yes").exit_code == 0
    assert (repository / ".pre-commit-config.yaml").exists()


def test_files_come_and_go_with_the_versions(repository):
    before = files(repository)
    age(repository, **{PLACES[1]: None, "README.md": None, "GONE.md": "old\n", "MINE.md": "old\n"})
    (repository / "README.md").write_text("mine\n")
    (repository / "MINE.md").write_text("mine\n")
    result = call("update", repository, "--yes")
    assert "README.md stays" in result.stdout
    assert "MINE.md stays" in result.stdout
    mine = {"README.md": b"mine\n", "MINE.md": b"mine\n"}
    assert files(repository) == before | mine


@pytest.mark.parametrize(
    ("arguments", "typed", "code"), [(["--dry-run"], "", 0), ([], "n\n", 0), ([], "", 130)]
)
def test_nothing_is_written_unless_it_is_wanted(repository, arguments, typed, code):
    age(repository, **{"README.md": "# old\n"})
    before = files(repository)
    result = call("update", repository, *arguments, input=typed)
    assert result.exit_code == code
    assert "-# old" in result.stdout
    assert files(repository) == before
    assert call("update", repository, input="y\n").exit_code == 0
    assert files(repository) != before


@pytest.mark.parametrize(
    ("record", "said"),
    [
        ("", "is damaged"),
        ("[]", "is damaged"),
        ('{"version": "x", "federation": "tumours", "files": {}}', "is damaged"),
        ('{"version": "0.1.0", "federation": "tumours", "files": {"../a": "0"}}', "is damaged"),
        ('{"version": "0.1.0", "federation": "tumours", "files": {"/a": "0"}}', "is damaged"),
        ('{"version": "99.0", "federation": "tumours", "files": {}}', "is of version 99.0"),
    ],
)
def test_a_record_that_cannot_be_followed(repository, record, said):
    (repository / RECORD).write_text(record)
    before = files(repository)
    result = call("update", repository, "--yes")
    assert result.exit_code == 2
    assert said in result.stderr
    assert files(repository) == before


def test_another_folder_or_file_is_refused(tmp_path, repository):
    result = call("update", tmp_path)
    assert result.exit_code == 2
    assert "was not made by federator init" in result.stderr
    result = call("update", repository, "--take", "readme.md")
    assert result.exit_code == 2
    assert "readme.md is not generated\n    the generated files are .github/" in result.stderr
