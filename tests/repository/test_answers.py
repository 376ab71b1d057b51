"""What is asked for a new repository."""

import os
import pty
import subprocess
from pathlib import Path

import pytest
from fixtures.command_line import FEDERATOR
from ruamel.yaml import YAML

from federator.errors import InputError
from federator.repository.answers import Answers, gather


def typed(folder: Path, *lines: str, arguments: tuple[str, ...] = ()) -> str:
    """Return what `federator init` says in a terminal where these lines are typed."""
    terminal, screen = pty.openpty()
    os.write(terminal, "".join(f"{line}\n" for line in lines).encode())
    command = [*FEDERATOR, "init", str(folder), *arguments]
    done = subprocess.run(command, stdin=screen, capture_output=True, text=True, timeout=60)
    os.close(terminal)
    os.close(screen)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_terminal_is_asked_until_the_answer_is_right(tmp_path):
    lines = ["", "", "North, south", "north, south", "benign,malignant", "", "fl.example.org"]
    said = typed(tmp_path / "tumours", *lines)
    assert "Name of the federation [tumours]:" in said
    assert (
        'sites.name must be lower-case letters, digits and inner hyphens, at most 40, not "No'
        in said
    )
    file = YAML(typ="safe").load(tmp_path / "tumours" / "compose" / "tumours" / "federation.yaml")
    assert [site["name"] for site in file["sites"]] == ["north", "south"]
    assert file["labels"] == ["benign", "malignant"]
    assert file["server"] == "fl.example.org"
    assert "images" not in file


def test_what_a_flag_tells_is_not_asked(tmp_path):
    flags = "--task multilabel --site north --images docker.io/acme --server fl.example.org"
    said = typed(tmp_path / "tumours", "lungs", "", arguments=tuple(flags.split()))
    assert said.count(": ") == 2
    assert (tmp_path / "tumours" / "notebooks" / "lungs.ipynb").exists()
    assert "Name of" not in typed(tmp_path / "other", arguments=("--yes",))


@pytest.mark.parametrize(
    ("folder", "federation"),
    [
        ("tumours", "tumours"),
        ("Lung_CT (2)", "lung-ct-2"),
        ("2024-trial", "trial"),
        ("x" * 40, "x" * 32),
        ("Größe", "gr-e"),
        ("7", "federation"),
    ],
)
def test_the_federation_is_called_like_the_folder(folder, federation):
    assert gather(Path(folder), {}, ask=False) == Answers(federation)
    assert Answers(federation).text()


@pytest.mark.parametrize(
    "labels",
    [("a: b", "c #d"), ("'", '"'), ("yes", "no"), ("0", "1"), ("Größe", "{x}"), ("null", "- a")],
)
def test_a_text_stays_the_text_that_it_was(labels):
    file = YAML(typ="safe", pure=True).load(Answers("tumours", labels=labels).text())
    assert tuple(file["labels"]) == labels


@pytest.mark.parametrize(
    ("question", "answer", "said"),
    [
        ("federation", "../tumours", "the federation's name must be a lower-case letter"),
        ("federation", "$(touch x)", "the federation's name must be"),
        ("federation", "tumours\n", "the federation's name must be"),
        ("sites", ("north", "north"), "sites.name must all differ"),
        ("sites", ("north\nrounds: 5",), "sites.name must be lower-case letters"),
        ("sites", ("server",), "sites.name must not be server"),
        ("labels", ("benign",), "labels needs 2 or more entries"),
        ("labels", ("", "b"), "labels must be a text without commas"),
        ("images", "https://docker.io/acme", "images must be registry/namespace"),
        ("server", "fl.example.org/x", "server must be a host name or address"),
        ("server", "h\nrounds: 5", "server must be a host name or address"),
    ],
)
def test_the_rules_are_those_of_the_federation_file(question, answer, said):
    with pytest.raises(InputError) as caught:
        gather(Path("tumours"), {question: answer}, ask=False)
    assert str(caught.value).startswith(said)
    assert "federation.yaml" not in str(caught.value)
