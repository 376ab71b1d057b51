"""Flower's programs."""

import sys

import pytest

from federator.errors import RunError
from federator.runtime.control import control_api


def test_each_of_flower_s_programs_must_be_there(tmp_path, monkeypatch):
    control_api.require_programs()
    monkeypatch.setattr(control_api, "_BIN", tmp_path)
    for name in control_api.PARTS:
        with pytest.raises(
            RunError, match=f"{name}, a program of Flower's, is not beside"
        ) as error:
            control_api.require_programs()
        assert sys.executable in str(error.value)
        assert "pip install --force-reinstall flwr==" in str(error.value)
        (tmp_path / name).touch(0o755)
    control_api.require_programs()
