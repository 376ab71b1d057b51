"""The private loader: batches that are Poisson samples of a training set's units.

Each unit is in a batch with probability q, whatever else is in it: that is what the accountants of
DP-SGD presuppose (Abadi et al. 2016, https://arxiv.org/abs/1607.00133, section 3).
"""

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from federator.runtime.protocol.outcomes import Failure
from federator.runtime.worker.loaders import batch_size, is_sampled, length
from federator.runtime.worker.privacy.randomness import chosen, uniform

if TYPE_CHECKING:
    from torch.utils.data import DataLoader


@dataclass(frozen=True)
class Plan:
    """How the units of a training set are sampled.

    Attributes:
        units: the numbers of each unit's records in the set.
        batch: how many units a batch has on average.
        steps: how many batches an epoch has.
    """

    units: Sequence[Sequence[int]]
    batch: int
    steps: int

    @property
    def sample_rate(self) -> float:
        """The probability q with which a unit is in a batch."""
        return min(1.0, self.batch / len(self.units))

    def draw(self) -> list[int]:
        """Return a batch's records: one of each sampled unit, each with the same probability.

        So no unit adds more than one clipped gradient to a batch's sum, however many records it
        has.
        """
        units = [self.units[number] for number in chosen(len(self.units), self.sample_rate)]
        places = uniform(len(units))
        return [unit[int(place * len(unit))] for unit, place in zip(units, places, strict=True)]


def plan(
    loader: object, patients: Callable[[object], object] | None, steps: int | None = None
) -> Plan:
    """Return how a training loader's units are sampled.

    Args:
        loader: of the author's.
        patients: returns of a dataset the patient of each record; None if the unit is a record.
        steps: how many batches an epoch has; None for as many as take each unit once, on average.

    Raises:
        Failure: if records cannot be sampled in it, or patients are not told of each.
    """
    dataset = getattr(loader, "dataset", None)
    size, records = batch_size(loader), length(dataset)
    if size is None or not records or is_sampled(loader) or not hasattr(dataset, "__getitem__"):
        raise Failure("privacy-loader")
    units: list[list[int]] = [[number] for number in range(records)]
    if patients is not None:
        units = _by_patient(patients(dataset), records)
    batches = len(units) / size
    last = not getattr(loader, "drop_last", False) and batches % 1 > 0
    return Plan(units, size, steps or max(1, int(batches) + last))


def _by_patient(told: object, records: int) -> list[list[int]]:
    try:
        patients: list[Hashable] = [
            one.item() if hasattr(one, "item") else one
            for one in told  # type: ignore[attr-defined]
        ]
        units: dict[Hashable, list[int]] = {}
        for number, patient in enumerate(patients):
            units.setdefault(patient, []).append(number)
    except TypeError:
        raise Failure("privacy-patients") from None
    if len(patients) != records:
        raise Failure("privacy-patients")
    return list(units.values())


class PrivateLoader:
    """Takes the place of a training loader; gives batches as that one does, but of random size.

    Args:
        loader: of the author's, whose dataset, processes and collation are kept.
        plan: of that loader.
        drawn: told the size of each batch before it is given. A batch without records is not
            given.
    """

    def __init__(self, loader: "DataLoader[Any]", plan: Plan, drawn: Callable[[int], None]) -> None:
        from torch.utils.data import DataLoader

        self.dataset, self.batch_size = loader.dataset, loader.batch_size
        self._plan, self._drawn = plan, drawn
        self._batches: DataLoader[Any] = DataLoader(
            loader.dataset,
            batch_sampler=_Batches(plan),
            num_workers=loader.num_workers,
            collate_fn=_Counted(loader.collate_fn),
            pin_memory=loader.pin_memory,
            timeout=loader.timeout,
            worker_init_fn=loader.worker_init_fn,
            multiprocessing_context=loader.multiprocessing_context,
            prefetch_factor=loader.prefetch_factor,
        )

    def __len__(self) -> int:
        return self._plan.steps

    def __iter__(self) -> Iterator[object]:
        for size, batch in self._batches:
            self._drawn(size)
            if size:
                yield batch


class _Batches:
    """The numbers of the records of each batch of an epoch."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan

    def __len__(self) -> int:
        return self._plan.steps

    def __iter__(self) -> Iterator[list[int]]:
        for _ in range(self._plan.steps):
            yield self._plan.draw()


class _Counted:
    """Collates a batch as the author's loader does, and says how many records are in it."""

    def __init__(self, collate: Callable[[list[Any]], object]) -> None:
        self._collate = collate

    def __call__(self, records: list[Any]) -> tuple[int, object]:
        return len(records), self._collate(records) if records else None
