"""Segmentation: voxels of each class, and each case's overlap; one case at a time in memory."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from federator.runtime.protocol.evaluation.labels import (
    CHANNELS,
    NOT_CLASSES,
    NOT_POSITIVE,
    OTHER_SHAPE,
)
from federator.runtime.protocol.notices import Notice
from federator.runtime.protocol.outcomes import Failure
from federator.runtime.worker.author_code import reporting_failures
from federator.runtime.worker.loaders import examples_given, length, no_batch
from federator.runtime.worker.outputs import probabilities
from federator.runtime.worker.targets import form_of, read_numbers
from federator.runtime.worker.tasks.base import Counted, Reader
from federator.runtime.worker.tasks.cases import Cases, Classes, Spacing
from federator.runtime.worker.tasks.model_outputs import Given, first_outputs, outputs_of, split

if TYPE_CHECKING:
    import torch

TASK = "segmentation"
Numbers = npt.NDArray[np.generic]
_END = object()


class SegmentationReader(Reader):
    """Counts masks and predicted masks of class numbers, case by case."""

    def check_training_set(self, loader: object) -> Sequence[Notice]:
        """Accept batches of any form: training may be on patches."""
        del loader
        surfaces = self.settings.surfaces
        if surfaces and surfaces.unit == "mm" and not self.predicts:
            raise Failure(f"{TASK}-spacing-needs-predict")
        return ()

    def check_batch(self, batch: object, part: str) -> None:
        """Check that a batch is a pair, with masks (N, ...) of class numbers."""
        self._masks(split(batch, TASK, part)[1], part)

    def check_outputs(self, net: "torch.nn.Module", batch: object, part: str) -> None:
        """Check that outputs are (N, K, ...), or (N, 1, ...) for two classes."""
        given = first_outputs(net, batch, TASK, part)
        self._channels(given, self._masks(given.targets, part)[: given.examples], part)

    def from_outputs(
        self, net: "torch.nn.Module", loader: object, part: str, number: int
    ) -> Counted:
        """Count each example of a batch as a case, by the class with the largest output."""
        cases, codes = self._cases(part), set()
        for given in outputs_of(net, loader, TASK, part, number):
            masks = self._masks(given.targets, part)
            channels = self._channels(given, masks, part)
            for mask, output in zip(masks, channels, strict=True):
                predicted, code = _decide(output, given.last)
                codes.add(code)
                cases.add(mask.reshape(predicted.shape), predicted)
        if not cases.count:
            raise no_batch(loader, part, 0)
        notices = []
        if codes == {"perhaps-probabilities"}:
            notices.append(Notice("perhaps-probabilities", part))
        return Counted(cases.tables(), cases.count, notices)

    def from_predict(self, result: object, loader: object, part: str, number: int) -> Counted:
        """Count ``mask, predicted`` of each case as it is yielded."""
        del number
        if isinstance(result, tuple | str | Mapping) or not hasattr(result, "__iter__"):
            raise Failure(f"{TASK}-prediction", form_of(result))
        cases, given = self._cases(part), examples_given(loader)
        doubts: list[Failure] = []
        most = length(getattr(loader, "dataset", None))
        stream = iter(result)
        while True:
            with reporting_failures(part="predict"):  # a generator runs here
                case = next(stream, _END)
            if case is _END:
                break
            if most is not None and cases.count == most:
                raise Failure(f"{TASK}-cases", set=part, shape=(most,), count=most)
            true, guess, spacing = self._read_case(case, part)
            if may_be_channels(true, self.size):
                doubts.append(self._failure("mask", CHANNELS, true, part))
            if not cases.count:
                self.require_order(true[None], guess[None], loader, f"{TASK}-swapped", part)
            cases.add(true, guess, spacing)
            del case, true, guess  # before the next, so that one case is in memory
        if doubts and len(doubts) == cases.count:
            raise doubts[0]
        fewer = given is not None and cases.count < given
        notices = [Notice("cases", part, "", cases.count, given)] if fewer else []
        return Counted(cases.tables(), cases.count, notices)

    def _cases(self, part: str) -> Cases:
        """Begin to sum over a set; surfaces are compared in test sets only, as that takes long."""
        return Cases(self.size, self.settings.surfaces if part == "test" else None)

    def _read_case(self, case: object, part: str) -> tuple[Classes, Classes, Spacing]:
        """Return mask and predicted mask, and the spacing of their voxels where it is given."""
        surfaces = self.settings.surfaces
        in_mm = surfaces is not None and surfaces.unit == "mm"
        if in_mm and isinstance(case, tuple) and len(case) == 2:
            raise Failure(f"{TASK}-without-spacing", form_of(case), set=part)
        if not isinstance(case, tuple) or len(case) != (3 if in_mm else 2):
            raise Failure(f"{TASK}-case", form_of(case), set=part)
        mask, predicted, *more = case
        true = _without_leading_ones(self._numbers(mask, "mask", part))
        guess = _without_leading_ones(self._numbers(predicted, "predicted", part))
        for name, array in (("mask", true), ("predicted", guess)):
            if array.ndim not in (2, 3) or array.shape != true.shape:
                raise self._failure(name, OTHER_SHAPE, array, part)
        spacing = self._read_spacing(more[0], true.ndim, part) if more else None
        classes = self._classes(true, "mask", part), self._classes(guess, "predicted", part)
        if is_one_hot(classes[0], self.size):
            raise self._failure("mask", CHANNELS, true, part)
        return *classes, spacing

    def _read_spacing(self, given: object, axes: int, part: str) -> Spacing:
        spacing = self._numbers(given, "spacing", part)
        if spacing.shape != (axes,):
            raise self._failure("spacing", OTHER_SHAPE, spacing, part)
        values = () if spacing.dtype.kind == "c" else tuple(map(float, spacing))
        if not values or not all(0 < each < np.inf for each in values):
            raise self._failure("spacing", NOT_POSITIVE, spacing, part)
        return values

    def _masks(self, targets: object, part: str) -> Classes:
        """Return a batch's masks, of shape (N, ...) or (N, 1, ...)."""
        masks = self._numbers(targets, "targets", part)
        if masks.ndim < 3:
            raise self._failure("targets", OTHER_SHAPE, masks, part)
        return self._classes(masks, "targets", part)

    def _channels(self, given: Given, masks: Classes, part: str) -> "torch.Tensor":
        """Return outputs as (N, K, ...), or (N, 1, ...) for two classes.

        Raises:
            Failure: if they do not fit the masks.
        """
        outputs = given.outputs
        if masks.shape == tuple(outputs.shape) and masks.shape[1] == self.size:
            raise self._failure("targets", CHANNELS, masks, part)
        flat = masks[:, 0] if masks.ndim > 3 and masks.shape[1] == 1 else masks
        if self.size == 2 and tuple(outputs.shape) == flat.shape:
            outputs = outputs.unsqueeze(1)
        shape = tuple(outputs.shape)
        channels = (self.size, 1) if self.size == 2 else (self.size,)
        fits = [(flat.shape[0], count, *flat.shape[1:]) for count in channels]
        if shape in fits:
            return outputs
        dtype = str(outputs.dtype).removeprefix("torch.")
        raise Failure(f"{TASK}-outputs", set=part, dtype=dtype, shape=shape[:5], count=self.size)

    def _numbers(self, value: object, reason: str, part: str) -> Numbers:
        array = read_numbers(value)
        if isinstance(array, str):
            raise Failure(f"{TASK}-{reason}", array, set=part, count=self.size)
        return array

    def _classes(self, array: Numbers, reason: str, part: str) -> Classes:
        classes = read_classes(array, self.size)
        if classes is None:
            raise self._failure(reason, NOT_CLASSES, array, part)
        return classes

    def _failure(self, reason: str, form: str, array: Numbers, part: str) -> Failure:
        dtype, shape = str(array.dtype), array.shape[:5]
        return Failure(
            f"{TASK}-{reason}", form, set=part, dtype=dtype, shape=shape, count=self.size
        )


def read_classes(array: Numbers, classes: int) -> Classes | None:
    """Return an array of class numbers 0..K-1 as whole numbers; None if some are no such."""
    if array.dtype.kind == "c":
        return None
    if array.dtype.kind == "f":
        with np.errstate(invalid="ignore"):
            whole = array.astype(np.int32)
        if not np.array_equal(whole, array):
            return None
    else:
        whole = array.view(np.uint8) if array.dtype.kind == "b" else array  # type: ignore[assignment]
    return whole if not whole.size or 0 <= whole.min() <= whole.max() < classes else None


def is_one_hot(mask: Classes, classes: int) -> bool:
    """Tell whether a mask (D, H, W) has a channel of 0 and 1 for each class in place of slices."""
    if mask.ndim != 3 or len(mask) != classes or not mask.size or mask.max() > 1:
        return False
    return bool((mask.sum(axis=0) == 1).all())


def may_be_channels(mask: Classes, classes: int) -> bool:
    """Tell whether a mask (D, H, W) may have a channel for each of several classes.

    They may overlap, and there may be none for the background: then no class but 1 appears.
    """
    few = mask.ndim == 3 and classes > 2 and len(mask) in (classes, classes - 1)
    return few and bool(mask.size) and int(mask.max()) <= 1


def _decide(output: "torch.Tensor", last: str) -> tuple[Classes, str]:
    """Return the predicted classes of a case, and the code of a doubt (or nothing).

    Args:
        output: (K, ...), or (1, ...) of the second of two classes.
        last: the operation that it comes from.
    """
    if len(output) > 1:
        return output.argmax(0).cpu().numpy(), ""
    chances, code = probabilities(output.float().reshape(-1), last)
    predicted = (chances[:, 1] > 0.5).reshape(output.shape[1:])
    return predicted.cpu().numpy().view(np.uint8), code


def _without_leading_ones(array: Numbers) -> Numbers:
    while array.ndim > 2 and array.shape[0] == 1:
        array = array[0]
    return array
