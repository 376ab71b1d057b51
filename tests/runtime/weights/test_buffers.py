"""Which tensors of a model are no parameters: found, written, and read again."""

import pytest
import torch
from torch import nn

from federator.errors import RunError
from federator.runtime.weights.buffers import find_buffers, read_buffers, write_buffers


class Tied(nn.Module):
    """Two layers with one weight, a frozen layer, and a buffer that is a parameter's memory."""

    def __init__(self):
        super().__init__()
        self.encode, self.decode = nn.Linear(3, 3), nn.Linear(3, 3)
        self.decode.weight = self.encode.weight
        self.norm = nn.BatchNorm1d(3)
        self.norm.requires_grad_(False)
        self.register_buffer("view", self.encode.bias.detach())
        self.register_buffer("scale", torch.tensor(2.0))
        self.register_buffer("unsaved", torch.ones(2), persistent=False)


def test_buffers_are_what_is_no_parameter():
    """Tied and frozen parameters are parameters, and so is what lies in the memory of one."""
    assert find_buffers(Tied()) == {
        "norm.running_mean", "norm.running_var", "norm.num_batches_tracked", "scale",
    }  # fmt: skip


def test_reparametrised_weights_are_parameters():
    assert find_buffers(nn.utils.parametrizations.weight_norm(nn.Linear(2, 2))) == set()
    normed = nn.utils.parametrizations.spectral_norm(nn.Linear(2, 2))
    assert find_buffers(normed) == {
        "parametrizations.weight.0._u", "parametrizations.weight.0._v",
    }  # fmt: skip


def test_they_stand_beside_the_first_model(tmp_path):
    model = tmp_path / "initial.safetensors"
    write_buffers(model, {"b", "a"})
    assert (tmp_path / "initial.buffers.json").read_text() == '[\n "a",\n "b"\n]\n'
    assert read_buffers(model, ["a", "b", "weight"]) == {"a", "b"}
    write_buffers(model, ())
    assert read_buffers(model, ["weight"]) == set()


@pytest.mark.parametrize("text", [None, "", "{}", "[1]", '"a"', "[null]"])
def test_what_is_not_known_is_an_error(tmp_path, text):
    if text is not None:
        (tmp_path / "round-000.buffers.json").write_text(text)
    with pytest.raises(RunError, match=r"round-000.buffers.json does not say which .* a new run"):
        read_buffers(tmp_path / "round-000.safetensors", ["a"])


def test_names_of_another_model_are_an_error(tmp_path):
    write_buffers(tmp_path / "m.safetensors", ["bn.running_mean", "a"])
    with pytest.raises(RunError, match=r"does not have: bn\.running_mean"):
        read_buffers(tmp_path / "m.safetensors", ["a"])
