"""The first model: written, or only measured."""

from types import ModuleType

import pytest
import torch
from fakes.images import lay_out

from federator.runtime.protocol.outcomes import Failure
from federator.runtime.weights.format import load, size
from federator.runtime.worker.initial_model import build, main, read


def test_the_size_is_that_of_what_is_written(tmp_path, capsys):
    lay_out(tmp_path)
    app = ["--app", str(tmp_path / "build" / "tumours" / "app")]
    assert main([*app, "--size"]) == 0
    printed = int(capsys.readouterr().out)
    out = tmp_path / "results" / "tumours" / "initial.safetensors"
    assert main([*app, "--out", str(out)]) == 0
    assert size(load(out)) == printed > 0


def use(monkeypatch, model):
    task = ModuleType("task")
    task.Model = model
    monkeypatch.setattr("federator.runtime.worker.initial_model.import_task", lambda _: task)


class Kept(torch.nn.Linear):
    def get_extra_state(self):
        return {"patients": 3}

    def set_extra_state(self, state):
        pass


@pytest.mark.parametrize(
    ("model", "told"),
    [
        (
            lambda: torch.nn.Sequential(torch.nn.LazyLinear(2), torch.nn.LazyBatchNorm1d()),
            "(lazy layers): 0.weight, 0.bias, 1.weight and 3 more",
        ),
        (lambda: Kept(2, 2), "something else than tensors: _extra_state"),
        (
            lambda: torch.nn.Linear(2, 2).to(torch.float8_e4m3fn),
            "a type that cannot travel (float8_e4m3fn): weight",
        ),
        (
            lambda: torch.nn.Linear("two", 2),
            "TypeError in Model, outside the notebook's own lines (within torch)",
        ),
        (lambda: torch.zeros(2), "Model returned something else than the contract says"),
    ],
)
def test_a_model_that_cannot_travel_is_told_by_the_tensors_name(monkeypatch, model, told):
    use(monkeypatch, model)
    with pytest.raises(Failure) as caught:
        build(None, 0)
    assert told in str(caught.value)


def test_weights_in_bfloat16_are_built_and_read_as_float32(monkeypatch, tmp_path):
    use(monkeypatch, lambda: torch.nn.Linear(2, 2).bfloat16())
    built = build(None, 0)
    assert {array.dtype.name for array in built.weights.values()} == {"float32"}
    torch.save(torch.nn.Linear(2, 2).bfloat16().state_dict(), tmp_path / "own.pt")
    assert read(tmp_path / "own.pt")["weight"].dtype == "float32"


def test_frozen_tensors_stand_side_by_side(monkeypatch):
    def model():
        net = torch.nn.Sequential(*(torch.nn.Linear(2, 2) for _ in range(3)))
        net[1].requires_grad_(False)
        return net

    use(monkeypatch, model)
    assert list(build(None, 0).weights) == [
        "1.weight", "1.bias", "0.weight", "0.bias", "2.weight", "2.bias",
    ]  # fmt: skip
