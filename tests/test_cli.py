"""The command line: exit codes, messages, and nothing half-written."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from fakes.images import IMAGES, lay_out, write
from fixtures.command_line import call
from fixtures.malformed_notebooks import CASES
from fixtures.small_notebook import cells, federate

from federator import __version__


def test_convert_says_where_the_app_is(tmp_path):
    federation = federate(tmp_path)
    result = call("convert", federation.folder)
    assert result.exit_code == 0
    assert Path(result.stdout.strip()) == tmp_path / "build" / "tumours" / "app"
    assert (tmp_path / "build" / "tumours" / "app" / "task.py").exists()


def test_check_tells_what_goes_in_and_what_stays(tmp_path):
    federation = federate(tmp_path)
    result = call("check", federation.notebook)
    assert result.exit_code == 0
    assert "task: load_data" in result.stdout
    assert "stays behind" in result.stdout


@pytest.mark.parametrize("case", CASES)
def test_a_malformed_notebook_ends_in_exit_code_2_and_leaves_nothing(tmp_path, case):
    changed = dict(CASES[case][0])
    tags = changed.pop("tags", {})
    content = cells(**changed)
    for number, added in tags.items():
        content[int(number) - 1].metadata.tags = added
    federation = federate(tmp_path, content=content)
    result = call("convert", federation.folder)
    assert result.exit_code == 2
    assert result.stderr.startswith("tumour.ipynb: ")
    assert "Traceback" not in result.output
    assert not list((tmp_path / "build").glob("**/*.*")), "nothing half-written"


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("empty.ipynb", b"", "empty"),
        ("text.ipynb", b"hello", "JSON"),
        ("list.ipynb", b"[]", ""),
        ("binary.ipynb", b"\xff\xfe\x00", ""),
        (
            "old.ipynb",
            b'{"nbformat": 3, "nbformat_minor": 0, "metadata": {}, "worksheets": []}',
            "3",
        ),
        (
            "none.ipynb",
            b'{"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": []}',
            "no code cell",
        ),
    ],
)
def test_a_file_that_is_no_notebook_is_told_by_its_name(tmp_path, name, content, said):
    (tmp_path / name).write_bytes(content)
    result = call("check", tmp_path / name)
    assert result.exit_code == 2
    assert name in result.stderr
    assert said in result.stderr
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    ("name", "added"), [(b"tumour\xff.ipynb", "2"), (b"tumour.ipynb", "text = '\ud800'")]
)
def test_what_is_no_text_in_utf_8_is_shown_as_an_escape(tmp_path, name, added):
    notebook = federate(tmp_path).notebook
    written = json.loads(notebook.read_text())
    written["cells"].append(written["cells"][-1] | {"source": added, "id": "added"})
    path = Path(os.fsdecode(os.fsencode(notebook.parent) + b"/" + name))
    path.write_text(json.dumps(written))
    result = call("check", path)
    assert result.exit_code == 0
    assert "\\udcff.ipynb: " in result.output or "\\ud800" in result.output


def test_mistakes_of_both_files_leave_the_former_components_alone(tmp_path):
    federation = federate(tmp_path)
    assert call("convert", federation.folder).exit_code == 0
    before = {p: p.read_bytes() for p in (tmp_path / "build").rglob("*") if p.is_file()}
    (federation.folder / "federation.yaml").write_text("notebook: nowhere.ipynb\nsits: []\n")
    result = call("run", federation.folder)
    assert result.exit_code == 2
    assert "federation.yaml: line 2: " in result.stderr
    assert "did you mean" in result.stderr
    after = {p: p.read_bytes() for p in (tmp_path / "build").rglob("*") if p.is_file()}
    assert after == before


def test_a_plan_is_json_for_the_workflow_and_words_for_a_person(tmp_path, monkeypatch):
    federate(tmp_path, "images: docker.io/acme\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    result = call("pipeline", "plan", "--since", "0" * 40)
    assert (result.exit_code, result.stdout) == (0, '["tumours"]\n')
    assert "| tumours | to be built |" in (tmp_path / "summary.md").read_text()


def test_in_a_job_a_mistake_is_marked_in_the_log_and_in_the_summary(tmp_path, monkeypatch):
    federate(tmp_path, "images: docker.io/acme\n", cells(train="def train(:"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    result = call("pipeline", "plan")
    assert (result.exit_code, result.stdout) == (2, "")
    (line,) = result.stderr.splitlines()
    assert line.startswith("::error::tumour.ipynb: cell 7, line 1: ")
    assert "tumour.ipynb: cell 7, line 1: " in (tmp_path / "summary.md").read_text()


def test_nothing_to_resume_is_exit_code_1(tmp_path):
    result = call("run", federate(tmp_path).folder, "--resume")
    assert result.exit_code == 1
    assert "without --resume" in result.stderr


def test_a_report_of_no_run_is_refused(tmp_path):
    result = call("report", tmp_path)
    assert result.exit_code == 1
    assert "Traceback" not in result.output


def test_the_version_is_told():
    assert __version__ in call("--version").stdout


@pytest.mark.parametrize(
    ("arguments", "absent"),
    [
        (["--help"], {"torch", "flwr", "nbconvert", "pydantic", "nbformat", "rich.table"}),
        (["check", "notebook"], {"torch", "flwr", "nbconvert"}),
    ],
)
def test_slow_imports_wait_until_they_are_needed(tmp_path, arguments, absent):
    notebook = federate(tmp_path).notebook
    given = [str(notebook) if word == "notebook" else word for word in arguments]
    code = (
        "import sys; from federator.cli import app\n"
        f"app({given!r}, standalone_mode=False)\n"
        f"print('LOADED', sorted(set(sys.modules) & {absent!r}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip().endswith("LOADED []")


def published(tmp_path):
    """A federation whose images were pushed; the server's file has the model's size already."""
    federation = lay_out(tmp_path)
    write(federation)
    record = {name: str(image) for name, image in IMAGES.by_name().items()}
    (tmp_path / "build/tumours/images.json").write_text(json.dumps(record))
    return federation


def test_compose_writes_the_files_and_their_fingerprints(tmp_path):
    federation = published(tmp_path)
    (federation.folder / "north.yaml").unlink()
    result = call("compose", federation.folder)
    assert result.exit_code == 0, result.output
    assert str(federation.folder / "north.yaml") in result.stdout.splitlines()
    told = call("fingerprint", federation.folder / "north.yaml").stdout.split("   ")[0]
    assert f"fingerprint of north.yaml: {told}" in result.stdout.splitlines()


def test_compose_wants_the_images_of_this_very_notebook(tmp_path):
    federation = published(tmp_path)
    before = (federation.folder / "north.yaml").read_bytes()
    federate(tmp_path, "server: fl.example.org\nimages: docker.io/acme\nseed: 7\n")
    result = call("compose", federation.folder)
    assert result.exit_code == 2
    assert "has changed since the images were built" in result.stderr
    assert "federator build --push" in result.stderr
    assert (federation.folder / "north.yaml").read_bytes() == before


def test_compose_wants_images_that_were_pushed(tmp_path):
    federation = lay_out(tmp_path)
    result = call("compose", federation.folder)
    assert result.exit_code == 2
    assert "no images have been pushed" in result.stderr


def test_a_file_without_a_fingerprint_is_named(tmp_path):
    result = call("fingerprint", tmp_path / "absent.yaml")
    assert result.exit_code == 2
    assert "absent.yaml: cannot be read" in result.stderr


COMMANDS = [
    *([name] for name in ("init", "update", "check", "convert", "run", "report", "dispatch")),
    *(
        [name]
        for name in ("build", "base", "compose", "approve", "fingerprint", "bundle", "provision")
    ),
    *([name] for name in ("invite", "serve", "results", "logs", "stop")),
    *(["site", *name] for name in ([], ["add"], ["remove"])),
    *([name] for name in ("rounds", "publish", "pipeline")),
    *(["pipeline", name] for name in ("plan", "login", "summary", "subjects", "deliver")),
]


@pytest.mark.parametrize("command", [[], *COMMANDS], ids=" ".join)
def test_no_help_is_cut_or_has_backslashes(command):
    result = call(*command, "--help")
    assert result.exit_code == 0
    assert "\\" not in result.stdout, "as Rich would want it"
    shown = result.stdout.replace("]...\n", "").replace("FILE...", "").replace("NOTEBOOK...", "")
    assert "..." not in shown, "cut"


def test_the_help_shows_each_argument_once_with_its_text():
    assert "[NAME]  the folder to create  [default: .]" in call("init", "--help").stdout
    (path,) = [line for line in call("run", "--help").stdout.splitlines() if "  PATH  " in line]
    assert path == "  PATH  folder of the federation, or its federation.yaml  [required]"


def listed(title):
    """Return the commands that the help lists below a title."""
    _, found, after = call("--help").stdout.partition(f"{title}:\n")
    section = after.partition("\n\n")[0]
    return re.findall(r"^  (\w+)  ", section, re.MULTILINE) if found else []


def test_the_help_lists_commands_by_person():
    author = [
        *("init", "update", "check", "convert", "run", "survey", "status", "report", "verify"),
        *("export", "compare", "card", "watch"),
        "dispatch",
    ]
    coordinator = [
        "build",
        "base",
        "compose",
        "approve",
        "fingerprint",
        "invite",
        "bundle",
        "provision",
        "site",
        "key",
        "serve",
        "results",
        "logs",
        "stop",
    ]
    assert sorted(listed("For the author")) == sorted(author)
    assert listed("For the coordinator") == coordinator
    assert "pipeline" not in call("--help").stdout, "for workflows"
    assert call("pipeline", "--help").exit_code == 0
    assert "site-operator.md" in call("--help").stdout


def test_commands_of_the_servers_container_are_shown_there_alone(monkeypatch):
    assert listed("In the server's container") == []
    assert listed("On the server's machine, and in its container") == ["rounds"]
    for command, way in (("rounds", "federator rounds compose/NAME"), ("publish", "exec server")):
        result = call(command)
        assert result.exit_code == 2
        assert way in result.stderr
    monkeypatch.setenv("FEDERATOR_FEDERATION", "{}")
    assert listed("In the server's container") == ["publish"]
    assert listed("On the server's machine, and in its container") == ["rounds"]
    assert listed("For the author") == listed("For the coordinator") == []


@pytest.mark.parametrize(
    ("typed", "nearest"),
    [
        (["chek"], "check"),
        (["bundel"], "bundle"),
        (["cnvert"], "convert"),
        (["site", "ad"], "add"),
        (["run", "--ressume"], "--resume"),
    ],
)
def test_a_misspelt_command_is_answered_once_with_the_nearest(typed, nearest):
    result = call(*typed)
    assert result.exit_code == 2
    assert result.stderr.count(f"Did you mean '{nearest}'?") == 1


def test_a_wrong_folder_is_told_where_the_federations_are(tmp_path):
    federation = federate(tmp_path)
    for wrong in (tmp_path, tmp_path / "notebooks", federation.notebook, tmp_path / "compose"):
        result = call("convert", wrong)
        assert result.exit_code == 2
        assert f"give the folder of a federation: {federation.folder}" in result.stderr
    assert "such as compose/NAME" in call("convert", tmp_path.parent).stderr
