"""The first model: written, or only measured."""

from types import ModuleType

import numpy as np
import pytest
import torch
from fakes.images import lay_out
from fixtures.small_notebook import MODEL, cells

from federator.runtime.protocol.outcomes import Failure
from federator.runtime.weights.buffers import read_buffers
from federator.runtime.weights.format import load, save, size
from federator.runtime.weights.local_tensors import LocalTensors
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


def test_tensors_that_stay_at_the_sites_are_not_in_the_first_model(tmp_path, capsys):
    model = MODEL.replace("nn.ReLU()", "nn.BatchNorm1d(WIDTH), nn.ReLU()")
    content = cells(model=model)
    lay_out(tmp_path, 'local: ["layers.1.*", "layers.3.bias"]\n', content)
    app = ["--app", str(tmp_path / "build" / "tumours" / "app")]
    out = tmp_path / "first.safetensors"
    assert main([*app, "--out", str(out)]) == 0
    shared = {"layers.0.weight", "layers.0.bias", "layers.3.weight"}
    assert load(out).keys() == shared
    assert read_buffers(out, shared) == frozenset(), "BatchNorm's statistics stay"
    assert main([*app, "--size"]) == 0
    whole = int(capsys.readouterr().out)
    assert whole > size(load(out)), "a container holds the whole model"
    mine = tmp_path / "mine.safetensors"
    for names in (shared, shared | {"layers.3.bias", "layers.1.weight"}):
        save(mine, {n: load(out)[n] + 1 if n in shared else np.ones(2, "f4") for n in names})
        assert main([*app, "--out", str(tmp_path / "from"), "--from", str(mine)]) == 0
        assert load(tmp_path / "from").keys() == shared
    save(mine, {"layers.0.weight": load(out)["layers.0.weight"]})
    assert main([*app, "--out", str(tmp_path / "from"), "--from", str(mine)]) == 2


@pytest.mark.parametrize(
    ("model", "patterns", "told"),
    [
        (lambda: torch.nn.Linear(2, 2), ("wieght",), "is called wieght; the nearest names: weight"),
        (lambda: torch.nn.Linear(2, 2), ("*",), "all tensors of the model are local"),
        (lambda: Tied(), ("out.*",), "out.weight is the same tensor as into.weight, which is"),
    ],
)
def test_patterns_that_do_not_go_with_the_model_are_told(monkeypatch, model, patterns, told):
    use(monkeypatch, model)
    with pytest.raises(Failure, match="local in the federation file: ") as caught:
        build(None, 0, LocalTensors(patterns))
    assert told in str(caught.value)


class Tied(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.into, self.out = torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)
        self.out.weight = self.into.weight
