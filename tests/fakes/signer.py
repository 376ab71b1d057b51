"""A signer in this process, orders that a test gives it, and what a server asks to be signed."""

import time
from dataclasses import replace

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from federator.errors import RunError
from federator.runtime.protocol.instructions import FEDERATION, Instruction
from federator.runtime.protocol.signing.orders import RoundsOrder, Terms
from federator.runtime.protocol.signing.requests import SigningRequest
from federator.runtime.signer.ledger import Ledger
from federator.runtime.signer.rules import NotOrderedError
from federator.runtime.signer.service import SigningService

NODE, RUN_ID = 42, 7
SITES = ("east", "north", "south")
TERMS = Terms(
    "tumours", SITES, 3, 1, 0, "float32", "yes", False, False, False, 300.0, 3600.0
)  # fmt: skip


def rounds(first=1, last=3, run="run", hours=1.0, **terms):
    """Return an order of rounds, its terms changed as told."""
    changed = replace(TERMS, **terms)
    return RoundsOrder(run, first, last, changed, time.time() + hours * 3600, "the tests")


class InProcess:
    """What the server has for a signer, without the socket between; it remembers all it signed.

    Args:
        folder: of the ledger.
        order: given at once, if there is one.
    """

    def __init__(self, folder, order=None, key=None):
        self.key = key or Ed25519PrivateKey.generate()
        self.service = SigningService(self.key, Ledger(folder))
        self.signed = []
        if order is not None:
            self.service.give(order)

    def sign(self, requests):
        try:
            signatures = self.service.sign(requests)
        except NotOrderedError as error:
            raise RunError(f"the signer refuses: {error}") from None
        self.signed += requests
        return signatures


def ask(
    kind, number, *, model=FEDERATION, weights="a", node=NODE, hours=0.5, run_id=RUN_ID, **more
):
    """Return what the server asks to be signed."""
    expires = time.time() + hours * 3600
    told = {"epochs": 1 if kind == "train" else 0, "run": "run", **more}
    text = Instruction(kind, number, expires, model, **told).write()
    return SigningRequest(run_id, node, text, "", 64 * weights if weights else "")


def train(number, **more):
    return ask("train", number, sets=more.pop("sets", ("val",)), **more)


def evaluate(number, *sets, **more):
    return ask("evaluate", number, sets=sets or ("val",), **more)
