"""What a link does with messages that the coordinator did not sign, whatever their form."""

import io
import json
import struct
import time
import zipfile

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from fakes.coordinator import (
    COORDINATOR,
    NODE,
    OURS,
    RUN,
    order,
    packed,
    refusal,
    signature,
    written,
)
from flwr.app import ConfigRecord, Message, MetricRecord, RecordDict

from federator.runtime.protocol import messages, replies
from federator.runtime.protocol.instructions import Instruction, sign

pytestmark = pytest.mark.usefixtures("in_a_run")


def test_the_coordinator_is_told_once_how_many_instructions_were_forged(link, caplog):
    caplog.set_level("INFO")
    for _ in range(2):
        refusal(link, order(key=Ed25519PrivateKey.generate()))
    refusal(link, order(model="south"))  # which the coordinator has signed
    told = [replies.forged_in(link.answer(order(epochs=e), OURS, NODE).content) for e in (1, 2)]
    assert told == [2, 0]
    assert caplog.text.count("leaves: that 2 instruction(s) were not signed") == 1


DEEP = b"[" * 100_000


def npy(shape, descr="|u1"):
    """Return numpy's own file of such an array, without its numbers."""
    text = f"{{'descr': {descr!r}, 'fortran_order': False, 'shape': {shape!r}, }}".encode()
    text += b" " * (63 - (10 + len(text)) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text


def bomb():
    """Return a zip of arrays that is a thousand times as large when it is unpacked."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("a.npy", npy((10**8,)) + bytes(10**8))
    return out.getvalue()


def tensors(head, body=b""):
    head = head if isinstance(head, bytes) else json.dumps(head).encode()
    return len(head).to_bytes(8, "little") + head + body


def tensor(shape, offsets=(0, 4)):
    return {"w": {"dtype": "F32", "shape": shape, "data_offsets": offsets}}


HUGE = b'{"w":{"dtype":"F32","shape":[' + b"9" * 5000 + b'],"data_offsets":[0,4]}}'
FORMLESS = {
    "no npy": b"garbage", "empty": b"", "a petabyte": npy((2**50,)), "objects": npy((3,), "|O"),
    "a shape of text": npy("abc"), "a bomb": bomb(), "deep": tensors(DEEP),
    "an endless shape": tensors(tensor([float("inf")]), b"0000"),
    "a zero of a huge shape": tensors(tensor([0, 2**70], (0, 0))),
    "no UTF-8": tensors(b"\xff\xfe{}"),
    "huge digits": tensors(HUGE), "many dimensions": tensors(tensor([1] * 70), b"0000"),
    "a list": tensors([1, 2, 3]), "numbers as text": tensors(tensor(["1"]), b"0000"),
    "offsets of text": tensors(tensor([1], "04"), b"0000"), "a NUL": tensors({"\0": 1}),
}  # fmt: skip


@pytest.mark.parametrize("data", FORMLESS.values(), ids=FORMLESS)
def test_weights_of_any_form_are_not_taken_apart_before_their_signature_holds(
    link, worker, data, monkeypatch
):
    text = Instruction("train", 1, time.time() + 60, epochs=1).write()
    unsigned = written(text, bytes(64), packed(data))
    with monkeypatch.context() as patch:
        patch.setattr("federator.runtime.weights.format.json", None)
        patch.setattr("federator.runtime.untrusted.json", None)
        reply = link.answer(unsigned, OURS, NODE)
    assert "has not signed" in str(replies.read_failure(reply.error)[1])
    assert link._forged == 1
    hashed = messages.Received(text, arrays=data).digest
    signed = written(text, sign(COORDINATOR, text, RUN, NODE, hashed), packed(data))
    assert "not weights in the safetensors format" in str(refusal(link, signed)[1])
    assert (link._forged, worker.asked) == (1, 0)


@pytest.mark.parametrize(
    "further",
    [
        {"manifest": "not json"},
        {"manifest": "[" * 100_000},
        {"manifest": json.dumps(["0" * 32, "", [[1, 5]]])},
        {"manifest": json.dumps([[], "", [[1, "0" * 64]]])},
        {"manifest": "1" * 2 * 2**20},
        {"manifest": 5},
        {"manifest": [1.5]},
        {"manifest": b"bytes"},
        {"signature": b"x"},
        {"signature": "text"},
        {"instruction": b"bytes"},
        {"instruction": 2**63 - 1},
        {"instruction": "[" * 100_000},
        {"instruction": "{" + " " * 2**16},
        {"instruction": "\0"},
        {"instruction": ""},
    ],
    ids=lambda further: repr(further)[:40],
)
def test_an_unsigned_message_of_any_form_is_a_forged_one(link, worker, further):
    text = Instruction("train", 1, time.time() + 60, epochs=1).write()
    said = str(refusal(link, written(text, bytes(64), **further))[1])
    assert "has not signed" in said or "no instruction" in said
    assert (link._forged, worker.asked) == (1, 0)


@pytest.mark.parametrize(
    "content",
    [
        RecordDict(),
        RecordDict({"config": ConfigRecord()}),
        RecordDict({"config": MetricRecord({"instruction": 1})}),
        RecordDict({"other": messages.instruction_record("{}", b"")}),
        RecordDict({
            "config": messages.instruction_record("{}", b""),
            "arrays": packed(b"", name="w"),
        }),
    ],
)  # fmt: skip
def test_a_message_without_an_instruction_is_a_forged_one(link, content):
    assert "no instruction" in str(refusal(link, Message(content, NODE, "train"))[1])
    assert link._forged == 1


@pytest.mark.parametrize(
    "text",
    ["[" * 60_000, "[]", "{}", "null", '"x"', "1e999", "NaN", "\0", "{", "9" * 5000,
     '{"sets": []}', '{"sets": 5}'],
    ids=lambda text: repr(text)[:20],
)  # fmt: skip
def test_a_signed_text_that_is_no_instruction_is_refused(link, worker, text):
    assert "not an instruction" in str(refusal(link, written(text, signature(text)))[1])
    assert (link._forged, worker.asked) == (0, 0)
