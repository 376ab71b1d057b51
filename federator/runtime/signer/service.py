"""The signer itself: the key, the orders, and what it answers to those who ask."""

import base64
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from threading import Lock

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from federator.runtime.protocol.instructions import sign
from federator.runtime.protocol.signing.orders import OrderError, RoundsOrder
from federator.runtime.protocol.signing.requests import SigningRequest, sign_manifest
from federator.runtime.signer.ledger import Ledger
from federator.runtime.signer.rules import NotOrderedError, questions
from federator.runtime.untrusted import MALFORMED, printable

log = logging.getLogger("federator")

NO_ORDER = "no order is open: give one (docker compose -f server.yaml run --rm order --rounds 3)"
Answer = dict[str, object]


class SigningService:
    """Signs what the open order allows.

    Args:
        key: the coordinator's.
        ledger: of orders and signatures.
    """

    def __init__(self, key: Ed25519PrivateKey, ledger: Ledger) -> None:
        self._key, self._ledger, self._lock = key, ledger, Lock()
        both: dict[str, Callable[[Mapping[str, object]], Answer]] = {
            "order": self._open_order,
            "close": self._close,
            "public key": self._public_key,
        }
        self.for_server = both | {"sign": self._sign, "sign manifest": self._sign_manifest}
        """What the server may ask, by name."""
        self.for_orders = both | {"give": self._give, "orders": self._orders}
        """What whoever gives orders may ask, by name."""

    def answer(
        self,
        told: Mapping[str, object],
        allowed: Mapping[str, Callable[[Mapping[str, object]], Answer]],
    ) -> Answer:
        """Return the answer to a question, whatever it holds; a refusal is one, too."""
        what = told.get("what")
        with self._lock:
            try:
                if not isinstance(what, str) or what not in allowed:
                    raise NotOrderedError("it is not asked for this here")
                return allowed[what](told)
            except (NotOrderedError, OrderError) as error:
                reason = str(error)
            except OSError as error:
                reason = f"the ledger cannot be written: {error.strerror}"
            except MALFORMED as error:
                reason = f"not of the form of a question: {type(error).__name__}"
        log.warning("refused: %s", printable(reason, 300))
        return {"refused": reason}

    def give(self, order: RoundsOrder) -> RoundsOrder:
        """Take an order; return it with its number.

        Raises:
            NotOrderedError: if another one is open, or it has lapsed already.
            OSError: if it cannot be noted.
        """
        if (before := self._open()) is not None:
            raise NotOrderedError(f"{before} is open: wait for its end, or stop it (order --stop)")
        now = time.time()
        if order.expires <= now:
            raise NotOrderedError("an order holds until a time to come")
        taken = self._ledger.give(replace(order, given=now))
        log.info("%s%s", taken, f", by {printable(taken.by, 100)}" if taken.by else "")
        return taken

    def sign(self, requests: Sequence[SigningRequest]) -> list[bytes]:
        """Return the signature of each instruction: of all, or of none.

        Raises:
            NotOrderedError: if no order is open, or it does not allow one of them.
            OSError: if they cannot be noted.
        """
        if (order := self._open()) is None:
            raise NotOrderedError(NO_ORDER)
        try:
            self._ledger.take(order, [q for one in requests for q in questions(order, one)])
        except NotOrderedError as error:
            raise NotOrderedError(f"{error} ({order})") from None
        return [sign(self._key, one.text, one.run_id, one.node, one.digest) for one in requests]

    def _open(self) -> RoundsOrder | None:
        """Return the open order; one that has lapsed is closed."""
        order = self._ledger.open
        if order is not None and order.expires < time.time():
            log.warning("%s has lapsed", order)
            self._ledger.close(order.number, "lapsed")
            return None
        return order

    def _open_order(self, _: Mapping[str, object]) -> Answer:
        order = self._open()
        return {"order": None if order is None else order.write()}

    def _orders(self, _: Mapping[str, object]) -> Answer:
        return {"orders": [order.write() for order in self._ledger.orders]}

    def _give(self, told: Mapping[str, object]) -> Answer:
        return {"order": self.give(RoundsOrder.read(str(told["order"]))).write()}

    def _close(self, told: Mapping[str, object]) -> Answer:
        number, state = told["number"], printable(str(told["state"]), 40)
        if type(number) is not int:
            raise TypeError("number")
        self._ledger.close(number, state)
        log.info("order %d: %s", number, state)
        return {}

    def _sign(self, told: Mapping[str, object]) -> Answer:
        asked = told["requests"]
        if not isinstance(asked, list):
            raise TypeError("requests")
        signatures = self.sign([_request(one) for one in asked])
        return {"signatures": [base64.b64encode(one).decode() for one in signatures]}

    def _sign_manifest(self, told: Mapping[str, object]) -> Answer:
        run, sha256 = str(told["run"]), str(told["sha256"])
        last = self._ledger.orders[-1] if self._ledger.orders else None
        if last is None or last.run != run:
            raise NotOrderedError("only the manifest of the run that was ordered last is signed")
        return {"signature": base64.b64encode(sign_manifest(self._key, run, sha256)).decode()}

    def _public_key(self, _: Mapping[str, object]) -> Answer:
        raw = self._key.public_key().public_bytes_raw()
        return {"public_key": base64.b64encode(raw).decode()}


def _request(told: object) -> SigningRequest:
    """Return a request of the form that it must have; what it raises is one of ``MALFORMED``."""
    if not isinstance(told, dict):
        raise TypeError("request")
    request = SigningRequest(**told)
    texts = (request.text, request.files, request.arrays)
    numbers = (request.run_id, request.node)
    if not all(isinstance(one, str) for one in texts) or any(type(n) is not int for n in numbers):
        raise TypeError("request")
    return request
