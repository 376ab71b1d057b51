"""Pretrained weights: fetched for the first model, and nowhere else."""

import errno
import sys
import types
import urllib.error
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import nn

from federator.runtime.protocol.outcomes import Failure
from federator.runtime.weights.format import load
from federator.runtime.worker.author_code import reporting_failures
from federator.runtime.worker.sandbox.pretrained import NotFetched, first_model, is_fetch, structure

KEPT = {"fc.weight": torch.full((2, 3), 7.0), "fc.bias": torch.full((2,), 7.0)}


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(3, 2)


@pytest.fixture
def source(tmp_path, monkeypatch):
    """Return the address of weights that torch.hub can fetch here, with an empty cache."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "cache"))
    torch.save(KEPT, tmp_path / "net.pth")
    return (tmp_path / "net.pth").as_uri()


def fetch(address):
    return torch.hub.load_state_dict_from_url(address, progress=False)


def plain(address):
    net = Net()
    net.load_state_dict(fetch(address))
    return net


def by_another_name(address):
    """As who took the function out of torch.hub before."""
    net = Net()
    net.load_state_dict(_imported(address))
    return net


_imported = torch.hub.load_state_dict_from_url


def taken_apart(address):
    """As who fits what was fetched to a head of another size."""
    net, found = Net(), fetch(address)
    found = found.get("state_dict", found)
    found.pop("fc.weight")
    del found["fc.bias"]
    named = {name.removeprefix("module."): value for name, value in found.items()}
    net.load_state_dict(named, strict=False)
    return net


def only_a_part_of_it(address):
    kept = plain(address)
    net = nn.Sequential(kept.fc, nn.Linear(2, 2))
    net.source = [kept]  # in no state of its own, but all that it has is in another's
    return net


def from_a_file(address, path):
    torch.hub.download_url_to_file(address, str(path), progress=False)
    net = Net()
    net.load_state_dict(torch.load(path))
    return net


@pytest.mark.parametrize("make", [plain, by_another_name, only_a_part_of_it])
def test_a_site_builds_the_structure_and_the_first_model_has_the_weights(source, make, tmp_path):
    names = structure(partial(make, source)).state_dict().keys()
    assert not list((tmp_path / "cache").rglob("*.pth")), "nothing is left in the cache"
    first = first_model(partial(make, source)).state_dict()
    assert first.keys() == names
    assert all(torch.equal(one, torch.full_like(one, 7.0)) for one in list(first.values())[:2])


def test_weights_may_be_taken_apart(source):
    assert structure(partial(taken_apart, source)).state_dict().keys() == KEPT.keys()


def test_weights_may_be_fetched_into_a_file(source, tmp_path):
    path = tmp_path / "fetched.pth"
    made = structure(partial(from_a_file, source, path))
    assert made.state_dict().keys() == KEPT.keys()
    assert not path.exists()
    first = first_model(partial(from_a_file, source, path))
    assert torch.equal(first.fc.bias, KEPT["fc.bias"])


def test_outside_of_model_a_fetch_is_what_it_was(source):
    structure(partial(plain, source))
    assert torch.equal(fetch(source)["fc.bias"], KEPT["fc.bias"])
    with pytest.raises(RuntimeError, match="Missing key"):
        Net().load_state_dict({})


def test_what_is_not_fetched_is_loaded_as_ever(tmp_path):
    """A file of the app's, a state that does not fit: only a fetch is skipped."""
    torch.save(KEPT, tmp_path / "asset.pth")

    def model():
        net = Net()
        net.load_state_dict(torch.load(tmp_path / "asset.pth"))
        return net

    assert torch.equal(structure(model).fc.bias, KEPT["fc.bias"])
    with pytest.raises(RuntimeError, match="Missing key"):
        structure(lambda: Net().load_state_dict({}))


def test_weights_that_the_server_does_not_send_are_refused(source):
    """A teacher in a list: at a site it would have random weights, and nobody would know."""

    def model():
        net = Net()
        net.teachers = [plain(source)]
        return net

    with pytest.raises(Failure, match="not part of its state"):
        structure(model)
    assert first_model(model) is not None


def test_more_than_weights_cannot_be_done_without(source):
    def model():
        net = Net()
        net.fc.weight.data = fetch(source)["fc.weight"].mean(1, keepdim=True)
        return net

    with pytest.raises(NotFetched, match=r"net\.pth"):
        structure(model)
    with (
        pytest.raises(Failure, match="Model take `pretrained`") as told,
        reporting_failures(part="Model"),
    ):
        structure(model)
    assert told.value.reason == "fetch"


class Asks(nn.Module):
    def __init__(self, *, pretrained=None):
        super().__init__()
        self.asked = pretrained


@pytest.mark.parametrize("model", [Asks, lambda *, pretrained: Asks(pretrained=pretrained),
                                   partial(Asks, pretrained=True)])  # fmt: skip
def test_a_model_that_asks_is_told_where_it_is(model):
    assert first_model(model).asked is True
    assert structure(model).asked is False


def test_a_model_that_fetches_only_if_it_is_told_to_does_not():
    for model in (lambda pretrained=False: Asks(pretrained=pretrained),
                  partial(Asks, pretrained=False)):  # fmt: skip
        assert first_model(model).asked is False
        assert structure(model).asked is False


def test_a_hubs_weights_are_not_fetched_either(tmp_path, monkeypatch):
    hub = types.ModuleType("huggingface_hub.file_download")

    def to_cache(*, repo_id, filename, cache_dir):
        raise LookupError(f"{repo_id}/{filename} is not in {cache_dir}")

    hub._hf_hub_download_to_cache_dir = to_cache
    builder = types.ModuleType("timm.models._builder")
    builder.load_pretrained = lambda model: model.load_state_dict({"what": "timm fetches"})
    monkeypatch.setitem(sys.modules, "huggingface_hub.file_download", hub)
    monkeypatch.setitem(sys.modules, "timm.models._builder", builder)

    def fetched(name, repository="acme/net"):
        return hub._hf_hub_download_to_cache_dir(
            repo_id=repository, filename=name, cache_dir=tmp_path
        )

    def model(name):
        net = Net()
        net.load_state_dict(torch.load(fetched(name)))
        return net

    def of_timm():
        net = Net()
        builder.load_pretrained(net)
        return net

    assert structure(partial(model, "pytorch_model.bin")).state_dict().keys() == KEPT.keys()
    assert structure(of_timm).state_dict().keys() == KEPT.keys()
    assert structure(lambda: load(Path(fetched("model.safetensors")))) == {}
    with pytest.raises(LookupError, match=r"config\.json is not in "):
        structure(partial(model, "config.json"))
    with pytest.raises(NotFetched):
        structure(lambda: Path(fetched("config.json", "smp-hub/net")).read_text())


def from_library(package, name, *bases):
    return type(name, bases or (OSError,), {"__module__": package})("no answer")


def caused(error):
    wrapped = OSError("cannot load it")
    wrapped.__cause__ = error
    return wrapped


@pytest.mark.parametrize(
    ("error", "fetch"),
    [
        (urllib.error.URLError("unknown name"), True),
        (from_library("socket", "gaierror"), True),
        (from_library("requests.exceptions", "ConnectionError"), True),
        (
            from_library("huggingface_hub.errors", "LocalEntryNotFoundError", FileNotFoundError),
            True,
        ),
        (caused(from_library("huggingface_hub.errors", "OfflineModeIsEnabled")), True),
        (OSError(errno.ENETUNREACH, "Network is unreachable"), True),
        (LookupError("Resource punkt not found: >>> nltk.download('punkt')"), True),
        (from_library("requests.exceptions", "InvalidJSONError", ValueError), False),
        (FileNotFoundError(errno.ENOENT, "No such file"), False),
        (ConnectionRefusedError(errno.ECONNREFUSED, "of a process on this machine"), False),
        (LookupError("no such patient"), False),
        (KeyError("MRN"), False),
    ],
)
def test_a_fetch_is_known_by_its_exception(error, fetch):
    assert is_fetch(error) is fetch
