"""A strategy's entries for the sites, on their way to ``train``."""

import pytest
from flwr.app import ConfigRecord

from federator.errors import RunError
from federator.runtime.protocol.instructions import Instruction, InstructionError
from federator.runtime.protocol.train_settings import split_settings, with_settings

ORDER = Instruction("train", 2, 2e9, epochs=3)


def test_plain_entries_travel_under_the_name_of_a_parameter():
    config = ConfigRecord({"server-round": 2, "learning-rate": 0.5, "warm": True, "mode": "a"})
    made, left = with_settings(ORDER, config)
    assert made.settings == {"learning_rate": 0.5, "warm": True, "mode": "a"}
    assert left == []
    assert Instruction.read(made.write()) == made


def test_what_the_instruction_has_itself_is_set_there():
    made, left = with_settings(ORDER, ConfigRecord({"epochs": 1, "proximal-mu": 0.25}))
    assert (made.epochs, made.proximal_mu, made.settings, left) == (1, 0.25, {}, [])
    assert with_settings(ORDER, {"epochs": -1}) == (ORDER, ["epochs"])


def test_what_cannot_travel_is_named():
    config = {"lrs": [0.1], "raw": b"1", "long": "x" * 201, "far": float("inf"), "a b": 1}
    assert with_settings(ORDER, config) == (ORDER, list(config))
    with pytest.raises(RunError, match="33 entries for the sites, 32 can travel"):
        with_settings(ORDER, {f"n{number}": 1 for number in range(33)})


@pytest.mark.parametrize(
    "settings",
    [
        '{"a b": 1}', '{"a": [1]}', '{"a": null}', '{"a": NaN}', '{"a": 1e999}', "[]", "3",
        '{"a": "' + "x" * 201 + '"}', "{" + ",".join(f'"n{i}": 1' for i in range(33)) + "}",
        '{"a": 99999999999999999999}',
    ],
)  # fmt: skip
def test_other_settings_are_no_instruction(settings):
    text = ORDER.write().replace('"settings": {}', f'"settings": {settings}')
    assert text != ORDER.write()
    with pytest.raises(InstructionError, match="not settings for train"):
        Instruction.read(text)


def exact(net, trainloader, valloader, epochs, lr=0.1, *, mode="a"):
    """Take two by name."""


def anything(net, trainloader, valloader, epochs, **rest):
    """Take all that there is."""


def bare(net, trainloader, valloader, epochs):
    """Take none."""


@pytest.mark.parametrize(
    ("train", "taken"), [(exact, ["lr"]), (anything, ["lr", "warm"]), (bare, [])]
)
def test_train_is_given_what_it_takes_by_name(train, taken):
    settings = {"lr": 0.5, "warm": True, "net": 3}
    given, left = split_settings(train, settings)
    assert list(given) == taken
    assert set(left) == settings.keys() - set(taken)
