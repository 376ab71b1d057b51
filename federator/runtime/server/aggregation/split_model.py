"""A model of which a strategy sees the parameters only; its buffers are averaged beside it."""

from collections.abc import Sequence

import numpy as np

from federator.runtime.strategy.grid import as_model
from federator.runtime.weights.block_file import WeightFile
from federator.runtime.weights.buffers import Buffers
from federator.runtime.weights.format import Weights


class SplitModel:
    """The global model in two parts: what a strategy makes, and the buffers as they now are.

    Args:
        start: the model to start from.
        buffers: names of its tensors that are no parameters.

    Attributes:
        parameters: the tensors that a strategy makes, by name.
    """

    def __init__(self, start: WeightFile, buffers: Buffers) -> None:
        self._tensors, loaded = start.tensors, start.load()
        self._buffers = {name: loaded[name] for name in loaded if name in buffers}
        self.parameters = {n: t for n, t in self._tensors.items() if n not in self._buffers}

    def parameters_of(self, file: WeightFile) -> Weights:
        """Return the parameters of a model."""
        loaded = file.load()
        return {name: loaded[name] for name in self.parameters}

    def whole(self, parameters: Weights) -> Weights:
        """Return the model of which a strategy has made the parameters.

        Raises:
            WeightsError: if they are not the model's.
        """
        whole = {**as_model(parameters, self.parameters), **self._buffers}
        return {name: whole[name] for name in self._tensors}

    def average(self, updates: Sequence[WeightFile], examples: Sequence[int]) -> None:
        """Make the buffers the mean of the updates', weighted by numbers of examples."""
        loaded = [update.load() for update in updates]
        means = {}
        for name, before in self._buffers.items():
            means[name] = np.zeros(before.shape)
            for update, count in zip(loaded, examples, strict=True):
                means[name] += np.multiply(update[name], count / sum(examples), dtype=np.float64)
        self._buffers = as_model(means, {name: self._tensors[name] for name in self._buffers})
