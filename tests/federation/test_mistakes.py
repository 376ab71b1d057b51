"""Mistakes in a federation file: each is reported in its line, with what to do."""

from pathlib import Path

import pytest
from fixtures.federation_file import VALID, write
from fixtures.paths import ROOT

from federator.errors import FederationFileError
from federator.federation.parts import Deadlines, Site
from federator.federation.schema import Federation, read

# Where YAML itself breaks: the file, the line, a part of the message, and of the hint.
BROKEN = [
    ("", 1, "is empty", "write at least notebook: and sites:"),
    ("# nothing yet\n", 1, "is empty", "write at least notebook: and sites:"),
    (VALID + "\trounds: 3\n", 5, "is not valid YAML", "indent with spaces, not with tabs"),
    (VALID + "rounds: 3: 4\n", 5, "mapping values are not allowed", "indent alike"),
    (VALID + "server: @host\n", 5, "found character '@'", "quote a text"),
    (VALID + "labels: [a, b\nrounds: 3\n", 6, "flow sequence", "brackets"),
    (VALID + "server: 'host\n", 6, "quoted scalar", "quotes"),
    (VALID + "  rounds: 3\n", 5, "is not valid YAML", "check indentation"),
    (VALID + "---\nrounds: 3\n", 5, "single document", "keep one document: remove the line ---"),
    (VALID + "server: *host\n", 5, "an alias (*) is no part of this file", ""),
    (VALID + "server: !host a\n", 5, "!host", "check"),
    (VALID + "labels: [\x00]\n", None, "unacceptable character", "check"),
    (VALID + "rounds: !!int x\n", None, "is not valid YAML", "check"),
    (VALID + "labels: &a [*a, b]\n", 5, "an anchor (&)", ""),
    ("[" * 500, 1, "nested deeper", ""),
]


def cases(name: str) -> list[str]:
    return (ROOT / "tests" / "fixtures" / "federations" / name).read_text().split("\n---\n")


def expected(text: str) -> list[tuple[int, str, str]]:
    """Return line, message and hint of every mistake that is marked in the text."""
    marked = []
    for number, line in enumerate(text.splitlines(), start=1):
        for mark in line.split("#! ")[1:]:
            message, _, hint = mark.partition("=>")
            marked.append((number, message.strip(), hint.strip()))
    return marked


@pytest.mark.parametrize(
    "text",
    [VALID + mistake for mistake in cases("keys.yaml")] + cases("files.yaml"),
    ids=lambda text: text.strip().splitlines()[-1][:60],
)
def test_each_mistake_is_reported_in_its_line(folder: Path, text: str) -> None:
    write(folder, text)
    with pytest.raises(FederationFileError) as caught:
        read(folder)
    problems = caught.value.problems
    for problem, (line, message, hint) in zip(problems, expected(text), strict=True):
        assert str(problem).startswith(f"federation.yaml: line {line}: {message}")
        assert problem.hint
        assert problem.hint.startswith(hint)


@pytest.mark.parametrize(("text", "line", "message", "hint"), BROKEN, ids=lambda v: str(v)[-40:])
def test_broken_yaml_is_explained(
    folder: Path, text: str, line: int | None, message: str, hint: str
) -> None:
    write(folder, text)
    with pytest.raises(FederationFileError) as caught:
        read(folder)
    (problem,) = caught.value.problems
    place = f"federation.yaml: line {line}: " if line else "federation.yaml: "
    assert str(problem).startswith(place)
    assert message in problem.message
    assert hint in (problem.hint or "")
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    "value",
    [
        "",
        "3",
        "-1",
        "2.5",
        "true",
        "text",
        '"a\\0b"',
        "~nobody/x",
        "2024-13-45",
        ".nan",
        "a" * 5000,
        "|\n      a\n",
        "[]",
        "[[]]",
        "[1, {2: 3}]",
        "{}",
        "{1: 2}",
        "{a: {b: c}}",
    ],
)
def test_any_value_at_any_key_is_explained(folder: Path, value: str) -> None:
    keys = [f"{key}: {value}" for key in Federation.model_fields]
    site = [f"sites:\n  - name: {value}"] + [
        f"    {key}: {value}" for key in Site.model_fields if key != "name"
    ]
    deadlines = ["deadlines:", *(f"  {key}: {value}" for key in Deadlines.model_fields)]
    for lines in (keys, site + deadlines):
        write(folder, "\n".join(lines))
        with pytest.raises(FederationFileError) as caught:
            read(folder)
        assert all(problem.where and problem.where.line for problem in caught.value.problems)
        assert "is wrong" not in str(caught.value)  # the words for what nobody thought of


def test_other_encodings_are_refused(folder: Path) -> None:
    (folder / "federation.yaml").write_bytes(VALID.encode() + "# Köln\n".encode("latin-1"))
    with pytest.raises(FederationFileError, match="line 5: is not UTF-8 text"):
        read(folder)


def test_the_folder_name_is_checked_with_everything_else(tmp_path: Path) -> None:
    folder = tmp_path / "My_Federation"
    folder.mkdir()
    write(folder, "sites: [name: north]\n")
    with pytest.raises(FederationFileError) as caught:
        read(folder)
    name, notebook = caught.value.problems
    assert str(name).startswith(
        "federation.yaml: the name of its folder must be a lower-case letter"
    )
    assert notebook.message == "notebook is missing"


def test_a_missing_file_is_named(folder: Path) -> None:
    write(folder, VALID)
    with pytest.raises(FederationFileError, match="did you mean demo\\?"):
        read(folder.parent / "demmo")
    with pytest.raises(FederationFileError, match=f"cannot read {folder.parent}/federation.yaml"):
        read(folder.parent)
