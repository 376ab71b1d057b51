"""A model of which a strategy sees the parameters only; its buffers are averaged beside it."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from flwr.app import Array, ArrayRecord

from federator.runtime.weights.block_file import WeightFile
from federator.runtime.weights.buffers import Buffers
from federator.runtime.weights.format import Tensor, Weights, describe, require_same


class SplitModel:
    """The global model in two parts: what a strategy makes, and the buffers as they now are.

    Args:
        start: the model to start from.
        buffers: names of its tensors that are no parameters.
    """

    def __init__(self, start: WeightFile, buffers: Buffers) -> None:
        self._tensors, loaded = start.tensors, start.load()
        self._buffers = {name: loaded[name] for name in loaded if name in buffers}

    def parameters(self, file: WeightFile) -> ArrayRecord:
        """Return the parameters of a model as Flower's strategies know them: an array each."""
        return ArrayRecord(
            {
                name: Array(np.asarray(array, order="C"))
                for name, array in file.load().items()
                if name not in self._buffers
            }
        )

    def whole(self, record: ArrayRecord) -> Weights:
        """Return the model of which a strategy has made the parameters.

        They get back the types of the model: Flower's average makes floats of integers.

        Raises:
            WeightsError: if they are not the model's.
        """
        given = {name: array.numpy() for name, array in record.items()}
        types = {name: self._tensors[name].dtype for name in given if name in self._tensors}
        found = {
            name: Tensor(types.get(name, tensor.dtype), tensor.shape)
            for name, tensor in describe(given).items()
        }
        require_same(found, {n: t for n, t in self._tensors.items() if n not in self._buffers})
        whole = {**{name: self._typed(name, given[name]) for name in given}, **self._buffers}
        return {name: whole[name] for name in self._tensors}

    def average(self, updates: Sequence[WeightFile], examples: Sequence[int]) -> None:
        """Make the buffers the mean of the updates', weighted by numbers of examples."""
        loaded = [update.load() for update in updates]
        for name, before in self._buffers.items():
            mean = np.zeros(before.shape)
            for update, count in zip(loaded, examples, strict=True):
                mean += np.multiply(update[name], count / sum(examples), dtype=np.float64)
            self._buffers[name] = self._typed(name, mean)

    def _typed(self, name: str, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        tensor = self._tensors[name]
        return (array if tensor.is_float else np.rint(array)).astype(tensor.dtype)
