"""The import rules of setup.cfg hold, and each of them fails where it is broken."""

import os
import shutil
import subprocess
import sys
from collections import Counter
from configparser import ConfigParser
from pathlib import Path

import pytest
from fixtures.paths import ROOT

# A contract -> a module that breaks it, and the line that does.
BROKEN = {
    "stages": ("notebook/reader.py", "import federator.deploy.compose"),
    "notebook": ("notebook/slicing/names.py", "import federator.notebook.checks.portability"),
    "runtime": ("runtime/weights/format.py", "import federator.runtime.protocol.outcomes"),
    "wings": ("runtime/link/admission.py", "import federator.runtime.server.settings"),
    "signer": ("runtime/signer/rules.py", "import flwr.app"),
    "strategy": ("runtime/worker/state.py", "import federator.runtime.strategy.grid"),
    "tools": ("runtime/options.py", "import federator.common.git"),
    "link": ("runtime/protocol/outcomes.py", "import torch"),
    "sites": ("runtime/worker/state.py", "import ruamel.yaml"),
}


def lint(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [Path(sys.executable).with_name("lint-imports"), "--no-cache", "--no-logo", *options]
    return subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
    )


def test_every_package_is_installed():
    """An editable install finds those, too, that setup.cfg does not list; a wheel does not."""
    read = ConfigParser()
    read.read(ROOT / "setup.cfg")
    found = [path.parent.relative_to(ROOT) for path in (ROOT / "federator").rglob("__init__.py")]
    listed = [name for name in read["options"]["packages"].split() if ".shipped." not in name]
    assert listed == sorted(".".join(folder.parts) for folder in found)


def test_a_folder_is_taken_in_at_a_glance_and_a_file_read_in_one_sitting():
    """At most 12 files in a folder beside its ``__init__.py``, and 300 lines in a file."""
    files = [path for path in (ROOT / "federator").rglob("*.py") if path.name != "__init__.py"]
    folders = Counter(path.parent.relative_to(ROOT).as_posix() for path in files)
    assert [folder for folder, count in folders.items() if count > 12] == []
    long = [path.name for path in files if len(path.read_text().splitlines()) > 300]
    assert long == []


def test_every_rule_holds():
    done = lint(ROOT)
    assert done.returncode == 0, done.stdout
    assert f"Contracts: {len(BROKEN)} kept, 0 broken." in done.stdout


@pytest.mark.parametrize("contract", BROKEN)
def test_a_rule_that_is_broken_is_told(contract, tmp_path):
    shutil.copytree(
        ROOT / "federator", tmp_path / "federator", ignore=shutil.ignore_patterns("__pycache__")
    )
    shutil.copy(ROOT / "setup.cfg", tmp_path)
    file, line = BROKEN[contract]
    with (tmp_path / "federator" / file).open("a") as module:
        module.write(f"\n{line}\n")
    done = lint(tmp_path, "--contract", contract)
    assert done.returncode == 1
    assert line.removeprefix("import ").split(".")[0] in done.stdout
    assert "BROKEN" in done.stdout
