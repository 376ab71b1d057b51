"""The first model: written, or only measured."""

from types import ModuleType

import torch
from made_up_images import lay_out

from federator.runtime.initial import build, main
from federator.runtime.weights import load, size


def test_the_size_is_that_of_what_is_written(tmp_path, capsys):
    lay_out(tmp_path)
    app = ["--app", str(tmp_path / "build" / "tumours" / "app")]
    assert main([*app, "--size"]) == 0
    printed = int(capsys.readouterr().out)
    out = tmp_path / "results" / "tumours" / "initial.safetensors"
    assert main([*app, "--out", str(out)]) == 0
    assert size(load(out)) == printed > 0


def test_frozen_tensors_stand_side_by_side(monkeypatch):
    def model():
        net = torch.nn.Sequential(*(torch.nn.Linear(2, 2) for _ in range(3)))
        net[1].requires_grad_(False)
        return net

    task = ModuleType("task")
    task.Model = model
    monkeypatch.setattr("federator.runtime.initial.import_task", lambda _: task)
    assert list(build(None, 0)) == [
        "1.weight", "1.bias", "0.weight", "0.bias", "2.weight", "2.bias",
    ]  # fmt: skip
