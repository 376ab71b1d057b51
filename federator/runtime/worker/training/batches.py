"""The author's ``train``, called with so many batches; how long it waits for them is measured.

``train`` has a loop over epochs and, within it, one over the loader. With ``local_steps`` in the
federation file an epoch has that many batches, so that sites with few and with many examples do the
same work in a round.
"""

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from federator.runtime.protocol.notices import Notice
from federator.runtime.worker.author_code import reporting_failures
from federator.runtime.worker.loaders import is_in_order, length
from federator.runtime.worker.state import holds_another_model

if TYPE_CHECKING:
    import torch

log = logging.getLogger("federator")

_SHARE = 0.5  # of the time of training: waiting for more of it is told
_SHORT = 2.0  # seconds: training that takes less is not told of


class TrainingBatches:
    """Stands for a loader: it has its type and its attributes.

    Args:
        loader: the author's.
        steps: how many batches it gives each time; where it has fewer, it begins again; None for
            those that it has.
    """

    def __init__(self, loader: object, steps: int | None) -> None:
        self._loader, self._steps = loader, steps
        self.given, self.waited = 0, 0.0
        """How many batches were given, and how many seconds they were waited for."""

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        return type(self._loader)  # so that libraries take it for the loader that it stands for

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401  # whatever the loader has
        return getattr(self._loader, name)

    def __len__(self) -> int:
        return len(self._loader) if self._steps is None else self._steps  # type: ignore[arg-type]

    def __iter__(self) -> Iterator[object]:
        left = self._steps
        while left is None or left > 0:
            before = self.given
            for batch in self._timed():
                yield batch
                if left is not None:
                    left -= 1
                    if not left:
                        return
            if left is None or self.given == before:
                return

    def _timed(self) -> Iterator[object]:
        began = time.perf_counter()
        for batch in self._loader:  # type: ignore[attr-defined]
            self.waited += time.perf_counter() - began
            self.given += 1
            yield batch
            began = time.perf_counter()


class Training:
    """Calls ``train`` for each round of a run.

    Args:
        steps: how many batches an epoch has; None for those of the loader.
    """

    def __init__(self, steps: int | None) -> None:
        self._steps, self._told = steps, False

    def run(
        self,
        train: Callable[..., object],
        net: "torch.nn.Module",
        loaders: Mapping[str, object],
        epochs: int,
        more: Mapping[str, object],
    ) -> list[Notice]:
        """Train a model; warn if ``train`` returns another one that it trained.

        That it waits for its batches for most of the time is told once in a run.

        Args:
            train: the author's.
            net: the model, which is changed.
            loaders: by ``train`` and ``val``.
            epochs: how many.
            more: further arguments, by name.

        Raises:
            Failure: if ``train`` fails.
        """
        batches = TrainingBatches(loaders["train"], self._steps)
        # Batches in memory are not waited for, and a list is used as such.
        in_memory = self._steps is None and isinstance(loaders["train"], list | tuple)
        given = loaders["train"] if in_memory else batches
        began = time.perf_counter()
        with reporting_failures(part="train"):
            returned = train(net, given, loaders["val"], epochs, **more)
        seconds, waited = time.perf_counter() - began, batches.waited
        log.info("%d batches in %.1f s, waited for %.1f s", batches.given, seconds, waited)
        told = [Notice("returned")] if holds_another_model(returned, net) else []
        if self._told or seconds < _SHORT or waited < _SHARE * seconds:
            return told
        self._told = True
        share, speed = round(100 * waited / seconds), batches.given / waited
        return [*told, Notice("slow-loader", "train", "", share, speed)]

    def look_ahead(self, loader: object) -> list[Notice]:
        """Warn if each round would see the same first batches, since nothing shuffles them."""
        has = length(loader)
        if self._steps is None or has is None or self._steps >= has or not is_in_order(loader):
            return []
        return [Notice("same-batches", "train", "", self._steps, has)]
