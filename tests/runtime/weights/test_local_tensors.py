"""Which tensors stay at a site, and patterns that do not go with the model."""

import pytest

from federator.runtime.weights.local_tensors import LocalTensors, LocalTensorsError

NAMES = ["stem.weight", "layers.bn1.weight", "layers.bn1.running_mean", "head.weight", "head.bias"]


def test_an_app_that_names_nothing_keeps_nothing_at_the_sites():
    local = LocalTensors.of({"labels": "a,b"})
    assert not local and local.names(NAMES) == []
    local.require_fitting(NAMES)
    local.require_shared_only(NAMES)


@pytest.mark.parametrize(
    ("patterns", "stay"),
    [
        ("*.bn*", NAMES[1:3]),
        ("head.*", NAMES[3:]),
        ("head.bias,*running_*", [NAMES[2], NAMES[4]]),
        ("*.[wb]*", [NAMES[0], *NAMES[1:5]]),
        ("HEAD.*", []),
    ],
)
def test_patterns_are_over_whole_names(patterns, stay):
    local = LocalTensors.of({"local": patterns})
    assert local.names(NAMES) == stay
    tensors = dict.fromkeys(NAMES, 0)
    assert list(local.local(tensors)) == stay
    assert local.local(tensors).keys() | local.shared(tensors).keys() == set(NAMES)
    assert local.local(tensors).keys() & local.shared(tensors).keys() == set()


def test_a_pattern_that_names_nothing_is_told_with_the_nearest_names():
    with pytest.raises(LocalTensorsError) as told:
        LocalTensors(("head.*", "haed.bias*")).require_fitting(NAMES)
    assert str(told.value).startswith("no tensor of the model is called haed.bias*; the nearest")
    assert "names: head.bias" in str(told.value)


@pytest.mark.parametrize("patterns", [("*",), ("*.weight", "*.bias", "*.running_mean")])
def test_a_model_without_a_shared_tensor_is_refused(patterns):
    with pytest.raises(LocalTensorsError, match="so that none is shared"):
        LocalTensors(patterns).require_fitting(NAMES)


@pytest.mark.parametrize("pair", [("head.weight", "stem.weight"), ("stem.weight", "head.weight")])
def test_a_tensor_that_would_travel_under_its_other_name_is_refused(pair):
    with pytest.raises(LocalTensorsError, match=r"head.weight is the same tensor as stem.weight, "):
        LocalTensors(("head.*",)).require_fitting(NAMES, [pair])
    LocalTensors(("head.*", "stem.*")).require_fitting(NAMES, [pair])
    LocalTensors(("*.bn*",)).require_fitting(NAMES, [pair])


def test_a_model_on_its_way_has_no_local_tensor():
    local = LocalTensors(("head.*",))
    local.require_shared_only(NAMES[:3])
    with pytest.raises(LocalTensorsError, match=r"head.weight, head.bias, which `local` keeps"):
        local.require_shared_only(NAMES)
