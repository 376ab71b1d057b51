"""A coordinator that signs instructions to a link, and a worker that follows them."""

import time

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from flwr.app import Array, ArrayRecord, Message, RecordDict

from federator.runtime.keys.coordinator_key import CoordinatorKey
from federator.runtime.link.fleet import Run
from federator.runtime.protocol import messages, replies
from federator.runtime.protocol.instructions import Instruction, sign

RUN, NODE = 7, 42
OURS = Run(RUN, "a" * 64, {"rounds": 3})
WEIGHTS = {"w": np.arange(4, dtype=np.float32)}
COORDINATOR = Ed25519PrivateKey.generate()
KEYS = (CoordinatorKey.of(COORDINATOR.public_key()),)
SIZES = {"trainset": 3, "valset": 2, "testset": 1}


class Worker:
    """Answers every packet alike, and counts them."""

    def __init__(self) -> None:
        self.asked = 0

    def worker(self, deadline):
        assert deadline <= time.time() + 61
        return self

    def send(self, packet, *memory):
        self.asked += 1
        self.packet = packet
        memory[-1].fill({"w": WEIGHTS["w"] + 1})

    def answer(self, _):
        return {"examples": SIZES, "evaluations": {}, "update": True}

    def disconnect(self):
        raise AssertionError("nothing is wrong with the worker")


def order(
    kind="train", *, key=COORDINATOR, flower_run=RUN, node=NODE, weights=WEIGHTS, signed=None,
    **changed,
):  # fmt: skip
    """Return the message of an instruction; ``signed``: the weights that were signed instead."""
    fields = {"round": 1, "expires": time.time() + 60, "epochs": 1, **changed}
    text = Instruction(kind, **fields).write()
    signed = signature(text, key, flower_run, node, signed or weights)
    return written(text, signed, messages.to_record(weights))


def signature(text, key=COORDINATOR, run=RUN, node=NODE, weights=WEIGHTS):
    packed = messages.packed_in(messages.to_record(weights))
    return sign(key, text, run, node, messages.Received(text, arrays=packed).digest)


def written(text, signed, arrays=None, **further):
    config = messages.instruction_record(text, signed)
    config.update(further)
    record = messages.to_record(WEIGHTS) if arrays is None else arrays
    return Message(RecordDict({"arrays": record, "config": config}), NODE, "train")


def refusal(link, message, run=OURS):
    return replies.read_failure(link.answer(message, run, NODE).error)


def packed(data, stype="safetensors", **names):
    name = names.get("name", "safetensors")
    return ArrayRecord({name: Array("uint8", (1,), stype, data)})
