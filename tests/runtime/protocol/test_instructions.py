"""Instructions: only the coordinator's own, for this site, this run and these weights."""

import time
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from federator.runtime.keys.coordinator_key import CoordinatorKey
from federator.runtime.protocol.instructions import (
    Instruction,
    InstructionError,
    UnsignedInstruction,
    refuse_overrides,
    sign,
    verify,
)

KEY = Ed25519PrivateKey.generate()
KNOWN = (CoordinatorKey.of(KEY.public_key()),)


def instruction(**changes) -> Instruction:
    fields = {"kind": "train", "round": 3, "expires": time.time() + 60, "sets": ("val",)}
    return Instruction(**{**fields, **changes})


def test_an_instruction_is_read_as_it_was_written():
    given = instruction(epochs=2, seed=5, proximal_mu=0.1, model="hospital-a")
    assert Instruction.read(given.write()) == given


def test_a_signature_holds_for_what_was_signed():
    text = instruction().write()
    verify(KNOWN, sign(KEY, text, 1, 2, "abc"), text, 1, 2, "abc")


@pytest.mark.parametrize(
    "changed",
    [{"text": "{}"}, {"run_id": 9}, {"node_id": 9}, {"weights_digest": "other"}],
)
def test_a_signature_does_not_hold_for_anything_else(changed):
    signed = {"text": instruction().write(), "run_id": 1, "node_id": 2, "weights_digest": "abc"}
    signature = sign(KEY, **signed)
    with pytest.raises(InstructionError, match="not signed"):
        verify(KNOWN, signature, **{**signed, **changed})


def test_another_key_and_an_empty_signature_are_refused():
    text = instruction().write()
    for signature in (sign(Ed25519PrivateKey.generate(), text, 1, 2, ""), b""):
        with pytest.raises(InstructionError):
            verify(KNOWN, signature, text, 1, 2, "")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"kind": "train"}',
        instruction(kind="shell").write(),
        instruction(sets=("pooled",)).write(),
        instruction(sites=0).write(),
        instruction(counter="../down").write(),
        instruction(counter=["0" * 32]).write(),
        instruction(sites="three").write(),
        instruction(expires=time.time() - 1).write(),
    ],
)
def test_what_is_no_instruction_or_has_lapsed_is_refused(text):
    with pytest.raises(InstructionError):
        Instruction.read(text)


def test_only_allowed_settings_may_be_changed_by_a_run():
    refuse_overrides({"rounds": 5}, frozenset({"rounds", "local-epochs"}))
    with pytest.raises(InstructionError, match=r"parameters\.path"):
        refuse_overrides({"rounds": 5, "parameters.path": "/"}, frozenset({"rounds"}))


def test_either_of_two_keys_may_sign_until_its_last_day():
    text, second = instruction().write(), Ed25519PrivateKey.generate()
    yesterday = datetime.now(UTC).date() - timedelta(days=1)
    following = CoordinatorKey.of(second.public_key())
    ended = CoordinatorKey.of(KEY.public_key(), yesterday)
    for key, known in ((KEY, KNOWN[0]), (second, following)):
        assert verify((*KNOWN, following), sign(key, text, 1, 2, ""), text, 1, 2, "") == known
    assert verify((ended, following), sign(second, text, 1, 2, ""), text, 1, 2, "") == following
    with pytest.raises(InstructionError, match=f"key {ended.name} ended on {yesterday}") as raised:
        verify((ended, following), sign(KEY, text, 1, 2, ""), text, 1, 2, "")
    assert not isinstance(raised.value, UnsignedInstruction), "it is no forged one"
