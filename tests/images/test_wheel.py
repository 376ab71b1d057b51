import io
import subprocess
import sys
import zipfile

import pytest

from federator.images import wheel


def modules(made):
    names = zipfile.ZipFile(io.BytesIO(made.content)).namelist()
    return {name for name in names if ".dist-info/" not in name}


@pytest.mark.parametrize("write", [wheel.runtime, wheel.whole])
def test_the_same_files_give_the_same_bytes(write):
    assert write(["numpy==2.4.6"]) == write(["numpy==2.4.6"])
    assert write(["numpy==2.4.6"]) != write(["numpy==2.4.5"])


def test_at_a_site_there_is_only_what_runs_there():
    inside = modules(wheel.runtime([]))
    beside = {name for name in inside if not name.startswith("federator/runtime/")}
    assert beside == {
        "federator/__init__.py",
        "federator/errors.py",
    }


def test_the_server_has_the_whole_package():
    inside = modules(wheel.whole([]))
    assert inside > modules(wheel.runtime([]))
    assert {
        "federator/results/report.py",
        "federator/shipped/component_templates/report.html.j2",
    } < inside


def test_pip_installs_it(tmp_path):
    made = wheel.runtime(["flwr==1.42.0"])
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
    assert version == wheel.RUNTIME
