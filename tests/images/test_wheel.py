"""The wheels that go into the images."""

import io
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import grimp
import pytest

import federator
from federator.images import wheel


def modules(made):
    names = zipfile.ZipFile(io.BytesIO(made.content)).namelist()
    return {name for name in names if ".dist-info/" not in name}


PACKAGE = Path(federator.__file__).parent
# What a site runs, and what its images do not have.
AT_SITES = ("check", "doctor", "join", "keygen", "review", "link", "status", "worker")
# A class of Opacus's: imported when a private training begins, and never by a link.
OF_OPACUS = "federator/runtime/worker/privacy/optimizer.py"
NOT_INSTALLED = ("jinja2", "ruamel", "pyflakes", "nbformat", "nbconvert", "safetensors")


@pytest.fixture
def site(tmp_path):
    """Return a folder in which the site's wheel is unpacked, and nothing else."""
    zipfile.ZipFile(io.BytesIO(wheel.for_site([]).content)).extractall(tmp_path / "site")
    return tmp_path / "site"


def run(folder, *arguments):
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize("write", [wheel.for_site, wheel.for_server])
def test_the_same_files_give_the_same_bytes(write):
    assert write(["numpy==2.4.6"]) == write(["numpy==2.4.6"])
    assert write(["numpy==2.4.6"]) != write(["numpy==2.4.5"])


def test_at_a_site_there_is_only_what_runs_there():
    inside = modules(wheel.for_site([]))
    beside = {name for name in inside if not name.startswith("federator/runtime/")}
    assert beside == {
        "federator/__init__.py",
        "federator/errors.py",
    }
    folders = {name.split("/")[2] for name in inside if name.count("/") > 2}
    signing = {"keys", "chain", "signer"}
    shared = {"protocol", "masking", "weights"}
    assert folders == {"link", "worker", "doctor", "review"} | shared | signing


@pytest.mark.parametrize(
    ("file", "same"),
    [
        ("runtime/server/rounds.py", True),
        ("runtime/server/aggregation/blockwise.py", True),
        ("runtime/control/process.py", True),
        ("runtime/source_map.py", True),
        ("cli.py", True),
        ("runtime/link/admission.py", False),
        ("runtime/worker/trainer.py", False),
        ("runtime/protocol/disclosure.py", False),
        ("runtime/weights/format.py", False),
        ("runtime/doctor/command.py", False),
        ("runtime/keys.py", False),
        ("errors.py", False),
    ],
)
def test_a_change_in_the_servers_code_leaves_a_sites_wheel_as_it_is(tmp_path, file, same):
    copy = tmp_path / "federator"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    with (copy / file).open("a") as module:
        module.write("# a comment\n")
    assert (wheel.for_site([], copy) == wheel.for_site([])) is same


def test_a_sites_modules_import_only_one_another():
    graph = grimp.build_graph("federator")
    names = {name.removesuffix(".py").replace("/", ".") for name in modules(wheel.for_site([]))}
    inside = {name.removesuffix(".__init__") for name in names}
    imported = {
        (name, other) for name in inside for other in graph.find_modules_directly_imported_by(name)
    }
    ours = {(name, other) for name, other in imported if other.startswith("federator")}
    # The server calls this one function of the app's interface; it imports when it is called.
    ours.discard(("federator.runtime.app", "federator.runtime.server.server_app"))
    assert {pair for pair in ours if pair[1] not in inside} == set()


def test_each_module_is_imported_with_the_sites_wheel_alone(site):
    code = (
        "import sys, importlib, pathlib\n"
        f"sys.modules.update(dict.fromkeys({NOT_INSTALLED!r}))\n"
        "for path in pathlib.Path('federator').rglob('*.py'):\n"
        f"    if path.name != '__main__.py' and path.as_posix() != {OF_OPACUS!r}:\n"
        "        importlib.import_module('.'.join(path.with_suffix('').parts))\n"
        "print(sys.modules['federator'].__file__, 'torch' in sys.modules)"
    )
    done = run(site, "-c", code)
    assert done.returncode == 0, done.stderr
    place, torch = done.stdout.split()
    assert place.startswith(str(site))
    assert torch == "False"


@pytest.mark.parametrize("command", AT_SITES)
def test_a_command_starts_with_the_sites_wheel_alone(site, command):
    done = run(site, "-m", "federator.runtime", command, "--help")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("usage:")


def test_the_server_has_the_whole_package():
    inside = modules(wheel.for_server([]))
    assert inside > modules(wheel.for_site([]))
    assert {
        "federator/results/report.py",
        "federator/shipped/component_templates/report/report.html.j2",
    } < inside


def test_pip_installs_it(tmp_path):
    made = wheel.for_site(["flwr==1.42.0"])
    path = tmp_path / made.name
    path.write_bytes(made.content)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps"]
    subprocess.run([*pip, "--target", tmp_path / "installed", path], check=True)
    code = (
        "import federator.runtime, importlib.metadata\n"
        "print(federator.runtime.__file__, importlib.metadata.version('notebook-federator'))"
    )
    ran = subprocess.run(
        [sys.executable, "-S", "-c", code],
        cwd=tmp_path / "installed",
        capture_output=True,
        text=True,
        check=True,
    )
    place, version = ran.stdout.split()
    assert place.startswith(str(tmp_path))
    assert version == wheel.SITE_VERSION
    command = [tmp_path / "installed" / "bin" / "federator", "--help"]
    env = {**os.environ, "PYTHONPATH": str(tmp_path / "installed")}
    ran = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
    assert "status" in ran.stdout and "worker" in ran.stdout and "convert" not in ran.stdout
