"""A bell for each site: so a link learns at little cost that the server has sent it something.

To ask the SuperLink costs it some 12 ms each time, of the one processor that it can use. A bell is
a small file in the server's store, with the number of the messages that were sent to this site; it
costs the gateway a hundredth of that to say that it is the same still. Its address, like that of
weights, is an unguessable name, and the coordinator signs it.
"""

import time
from typing import Protocol


class Ear(Protocol):
    """How a bell is listened to; ``FileNotFoundError``: it is gone, ``OSError``: try it again."""

    def listen(self, capability: str) -> int:
        """Return how often a bell has rung."""


class Bell:
    """Tells a link when to ask the server.

    Args:
        ear: how to listen; None if there is no way to.

    Attributes:
        heard: whether it could be heard the last time.
    """

    def __init__(self, ear: Ear | None = None) -> None:
        self._ear, self._capability = ear, ""
        self._count = 0  # as it was heard the last time
        self._done: int | None = None  # of so many messages it is known that they have come
        self._asked, self.heard = 0.0, False

    def hang(self, capability: str) -> None:
        """Listen to another bell from now on, or to none."""
        if capability != self._capability:
            self._capability, self._done = capability, None

    def calls(self, patience: float) -> bool:
        """Tell whether to ask the server: if it has rung, or cannot be heard, or after a while.

        Args:
            patience: seconds after which to ask anyway.
        """
        self.heard = False
        if self._ear is None or not self._capability:
            return True
        try:
            self._count = self._ear.listen(self._capability)
        except FileNotFoundError:
            self.hang("")
            return True
        except OSError:
            return True
        self.heard = True
        return self._count != self._done or time.monotonic() - self._asked > patience

    def asked(self, there_was_something: bool) -> None:
        """Take note that the server was asked."""
        self._asked = time.monotonic()
        if not there_was_something:
            self._done = self._count
        elif self._done is not None:
            self._done += 1
