"""The author's page, command by command, with the package as it would be published.

GitHub is on this machine: git is led to a bare repository by its configuration, and
``federator dispatch`` to a made-up API by its environment.
"""

import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import nbformat
import pytest
from fakes.github import GOOD, GitHub
from fakes.http_service import running
from fixtures.deployed import ROOT, commands
from fixtures.small_notebook import cells, write
from nbformat.v4 import new_output

from federator import __version__

MODULES = (ROOT / "federator").rglob("*.py")
TEMPLATES = [path for path in (ROOT / "component_templates").rglob("*") if path.is_file()]
LEFT_OUT = (".git", ".venv", ".*_cache", "build", "data", "dist", "results", "*.egg-info")
GIT_CONFIG = """\
[user]
name = Ada
email = ada@example.org
[url "{hub}/"]
pushInsteadOf = git@github.com:
[url "git@127.0.0.1:"]
insteadOf = git@github.com:
"""


# Its environments find what this one has installed, so that torch is not unpacked twice; but not
# this tree, and nothing whose commands are called.
PYTHON3 = """\
#!/bin/sh
{python} "$@" --without-pip && cd "$3" || exit
echo {packages} > "$(echo lib/python3*/site-packages)/found.pth"
printf '#!/bin/sh\\nexec "%s/bin/python" -m pip "$@"\\n' "$PWD" > bin/pip
chmod +x bin/pip
"""
INSTALLED_ANEW = "notebook_federator|__editable__|_virtualenv|flwr|pre_commit"


def python3(folder: Path) -> Path:
    """Return a folder with a ``python3`` that makes such environments."""
    packages = folder / "packages"
    packages.mkdir()
    for found in Path(pytest.__file__).parents[1].iterdir():
        if not re.match(INSTALLED_ANEW, found.name):
            (packages / found.name).symlink_to(found)
    command = folder / "bin" / "python3"
    command.parent.mkdir()
    command.write_text(PYTHON3.format(python=sys._base_executable, packages=packages))
    command.chmod(0o755)
    return command.parent


def script() -> str:
    """Return the page's commands: with the notebook as ``init`` writes it, they need no others."""
    written = [line for lines in commands("author.md").values() for line in lines]
    return "\n".join(["set -ex", *written])


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """Return the folder of wheel and source distribution, built from a copy of this tree."""
    folder = tmp_path_factory.mktemp("published") / "tree"
    left_out = shutil.ignore_patterns(*LEFT_OUT)
    shutil.copytree(
        ROOT,
        folder,
        ignore=lambda place, names: left_out(place, names) if place == str(ROOT) else [],
    )
    subprocess.run([sys.executable, "-m", "build", folder], check=True, capture_output=True)
    return folder / "dist"


@pytest.fixture(scope="module")
def github():
    with running(GitHub()) as hub:
        yield hub


@pytest.fixture(scope="module")
def author(published, github, tmp_path_factory):
    """Return the author's folder after all commands of the page, and the environment for more."""
    folder = tmp_path_factory.mktemp("author")
    subprocess.run(["git", "init", "--quiet", "--bare", folder / "acme" / "hospitals.git"])
    (folder / "gitconfig").write_text(GIT_CONFIG.format(hub=folder))
    environment = {
        "HOME": os.environ["HOME"],
        "PATH": f"{python3(folder)}:/usr/local/bin:/usr/bin:/bin",
        "PIP_NO_COMPILE": "0",  # which is how pip spells "do not": what is imported compiles itself
        "PIP_CONSTRAINT": str(ROOT / "constraints.txt"),
        "PIP_FIND_LINKS": f"{published} {os.environ.get('PIP_FIND_LINKS', '')}",
        "PRE_COMMIT_HOME": str(folder / "pre-commit"),
        "GITHUB_API_URL": github.url,
        "GIT_CONFIG_GLOBAL": str(folder / "gitconfig"),
    }
    machine = {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
    environment = machine | environment
    walked = run(script(), folder, environment)
    (folder / "said").write_text(walked.stdout)
    assert walked.returncode == 0, f"{walked.stdout}\n{walked.stderr}"
    yield folder, environment | {"PATH": f"{folder}/.venv/bin:{environment['PATH']}"}
    for large in (".venv", "pre-commit"):
        shutil.rmtree(folder / large)


def run(commands: str, folder: Path, environment: dict[str, str]):
    return subprocess.run(
        ["bash", "-c", commands],
        cwd=folder,
        env=environment,
        input=f"{GOOD}\n",
        capture_output=True,
        text=True,
        timeout=1800,
    )


def test_what_is_published_has_what_a_repository_needs(published):
    (wheel,), (source,) = published.glob("*.whl"), published.glob("*.tar.gz")
    inside = set(zipfile.ZipFile(wheel).namelist())
    package = {f"federator/{path.relative_to(ROOT / 'federator')}" for path in MODULES}
    templates = {f"federator/shipped/{path.relative_to(ROOT)}" for path in TEMPLATES}
    carried = {"workflows/federate.yml", "workflows/rounds.yml"}
    carried = {f"federator/shipped/{name}" for name in carried} | {"federator/py.typed"}
    assert {name for name in inside if ".dist-info/" not in name} == package | templates | carried
    with tarfile.open(source) as archive:
        assert not [name for name in archive.getnames() if "/tests" in name]
    check = [sys.executable, "-m", "twine", "check", "--strict", wheel, source]
    assert subprocess.run(check, capture_output=True).returncode == 0


def test_the_page_ends_in_a_model_and_a_pushed_commit(author):
    folder, environment = author
    (model,) = (folder / "hospitals" / "results" / "tumours").glob("*/model.safetensors")
    assert model.stat().st_size > 0
    said = (folder / "said").read_text()
    assert said.endswith(f"all files are those of version {__version__}\n")
    listed = run("git ls-tree -r --name-only main", folder / "acme/hospitals.git", environment)
    assert set(listed.stdout.split()) == {
        ".federator.json",
        ".github/CODEOWNERS",
        ".github/dependabot.yml",
        ".github/workflows/federate.yml",
        ".github/workflows/rounds.yml",
        ".gitignore",
        ".pre-commit-config.yaml",
        "README.md",
        "compose/federation.schema.json",
        "compose/tumours/federation.yaml",
        "notebooks/tumours.ipynb",
        "notebooks/tumours_sites.py",
        "requirements.lock",
        "requirements.txt",
    }


def test_the_page_orders_rounds(author, github):
    folder, _ = author
    (order,) = github.orders
    assert order["ref"] == "main"
    asked = {name: order["inputs"][name] for name in ("federation", "rounds", "mode")}
    assert asked == {"federation": "tumours", "rounds": "5", "mode": "resume"}
    assert list((folder / "hospitals" / "results" / "tumours").glob("dispatch-*/report.html"))
    assert GOOD not in (folder / "said").read_text()


def test_the_installed_commands_do_without_this_tree(author):
    folder, environment = author
    code = "import federator; print(federator.__file__)"
    commands = f"federator --help; python -c '{code}'; federator convert compose/tumours"
    said = run(commands, folder / "hospitals", environment).stdout
    assert "Usage: federator" in said
    assert str(ROOT) not in said
    assert said.endswith("hospitals/build/tumours/app\n")


def test_outputs_are_not_committed(author):
    folder, environment = author
    repository = folder / "hospitals"
    path = repository / "notebooks" / "tumours.ipynb"
    read = nbformat.read(path, as_version=4)
    read.cells[0].source = "# Tumours, again"
    read.cells[3].outputs = [new_output("stream", text="MRN 123")]
    nbformat.write(read, path)
    commit = "git add . && git commit --message 'With outputs'"
    assert run(commit, repository, environment).returncode == 1
    assert run(commit, repository, environment).returncode == 0
    read.cells[3].outputs = []
    assert nbformat.read(path, as_version=4) == read
    assert "MRN 123" not in run("git log --patch", repository, environment).stdout


def test_a_notebook_that_cannot_be_converted_is_not_committed(author):
    folder, environment = author
    write(folder / "hospitals" / "notebooks" / "broken.ipynb", cells(train=None))
    commit = "git add . && git commit --message 'Broken'"
    done = run(commit, folder / "hospitals", environment)
    assert done.returncode == 1
    assert "broken.ipynb: " in done.stderr + done.stdout
