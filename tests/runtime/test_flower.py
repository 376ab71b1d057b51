"""Flower's internals: this version and no other."""

import subprocess
import sys
from importlib.metadata import version

import pytest

from federator.runtime import flower
from federator.runtime.admission import ConnectionRefused


def test_the_installed_flower_is_the_one_whose_internals_are_known():
    assert version("flwr") == flower.FLWR_VERSION


def test_another_version_of_flower_is_refused_at_import():
    code = "import flwr; flwr.__version__ = '1.43.0'; import federator.runtime.flower"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "speaks flwr 1.42.0, but 1.43.0 is installed" in done.stderr


def test_a_superlink_out_of_reach_is_an_error_not_the_end_of_the_process():
    with (
        pytest.raises(ConnectionRefused),
        flower.fleet("127.0.0.1:9", None, None, patience=0.1),
    ):
        pass


def test_settings_are_joined_by_dots(tmp_path):
    from federator.runtime.worker import app_config

    (tmp_path / "pyproject.toml").write_text(
        '[tool.flwr.app.config]\nrounds = 3\nlabels = "a,b"\n'
        "[tool.flwr.app.config.parameters]\nrate = 0.1\n"
    )
    assert app_config(tmp_path) == {"rounds": 3, "labels": "a,b", "parameters.rate": 0.1}
