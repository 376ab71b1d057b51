"""Folding the sites' updates into the next global model, tensor by tensor, in a fixed order.

These are the plain strategies of Flower in the same arithmetic (tested against Flower's own
classes), with two differences: tensors are folded one after the other, so that no second copy
of the model is held, and integer tensors (BatchNorm's ``num_batches_tracked``) keep their type,
as the rounded mean. Formulas: McMahan et al. 2017 (FedAvg), Hsu et al. 2019 (FedAvgM), Reddi et
al. 2021 (FedAdam, FedYogi, FedAdagrad), Yin et al. 2018 (FedMedian, FedTrimmedAvg), Li et al.
2020 (FedProx: its term is the sites' to add; its fold is FedAvg's).
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from flwr.serverapp import strategy as strategies

from federator.runtime.weights import Weights

Tensor = npt.NDArray[Any]
Floats = npt.NDArray[np.floating]

_PLAIN = (
    strategies.FedAvg,
    strategies.FedProx,
    strategies.FedAvgM,
    strategies.FedAdam,
    strategies.FedYogi,
    strategies.FedAdagrad,
    strategies.FedMedian,
    strategies.FedTrimmedAvg,
)

_ORDINARY = strategies.FedAvg().train_metrics_aggr_fn


def is_plain(strategy: strategies.Strategy) -> bool:
    """Tell whether a strategy folds here: one of the plain classes with ordinary arguments."""
    return (
        isinstance(strategy, strategies.FedAvg)
        and type(strategy) in _PLAIN
        and strategy.weighted_by_key == "num-examples"
        and strategy.train_metrics_aggr_fn is _ORDINARY
        and strategy.evaluate_metrics_aggr_fn is _ORDINARY
    )


class Folding:
    """A plain strategy, with the server's optimizer state by tensor.

    Args:
        strategy: for which :func:`is_plain` holds.
        state: optimizer state of an earlier round, as ``m/NAME`` and ``v/NAME``.
    """

    def __init__(self, strategy: strategies.FedAvg, state: Weights | None = None) -> None:
        self._strategy = strategy
        self.state: Weights = dict(state or {})

    def fold(
        self, round_number: int, model: Weights, updates: Sequence[Weights], examples: Sequence[int]
    ) -> Weights:
        """Return the next global model.

        Args:
            round_number: from 1, counted on over resumed runs.
            model: the model that the sites started from.
            updates: one per site, with the model's tensors, in the order of the sites' names.
            examples: number of training examples of each.
        """
        shares = [count / sum(examples) for count in examples]
        return {
            name: self._fold_tensor(name, round_number, old, [u[name] for u in updates], shares)
            for name, old in model.items()
        }

    def _fold_tensor(
        self,
        name: str,
        round_number: int,
        old: Tensor,
        updates: Sequence[Tensor],
        shares: Sequence[float],
    ) -> Tensor:
        combine = _MIDDLES.get(type(self._strategy), _mean)
        combined = combine(self._strategy, updates, shares)
        if old.dtype.kind != "f":
            return np.asarray(np.rint(combined), old.dtype)
        step = _STEPS.get(type(self._strategy))
        if step is None:
            return np.asarray(combined, old.dtype)
        folded = step(self, name, round_number, old.astype(np.float64), combined)
        return np.asarray(folded, old.dtype)  # arithmetic on a scalar tensor gives no array

    def _moment(self, key: str, like: Floats) -> Floats:
        found = self.state.get(key)
        return np.zeros_like(like) if found is None else found.astype(np.float64)

    def momentum(self, name: str, _round: int, old: Floats, mean: Floats) -> Floats:
        """FedAvgM: gradient descent with momentum on the pseudo-gradient ``old - mean``."""
        strategy = self._strategy
        assert isinstance(strategy, strategies.FedAvgM)
        gradient = old - mean
        if strategy.server_momentum > 0.0:
            gradient = strategy.server_momentum * self._moment(f"m/{name}", old) + gradient
            self.state[f"m/{name}"] = np.asarray(gradient, np.float32)
        return old - strategy.server_learning_rate * gradient

    def adaptive(self, name: str, round_number: int, old: Floats, mean: Floats) -> Floats:
        """FedAdam, FedYogi and FedAdagrad: Algorithm 2 of Reddi et al. 2021."""
        strategy = self._strategy
        assert isinstance(strategy, strategies.FedAdam | strategies.FedYogi | strategies.FedAdagrad)
        delta = mean - old
        m = strategy.beta_1 * self._moment(f"m/{name}", old) + (1 - strategy.beta_1) * delta
        v, square, rate = self._moment(f"v/{name}", old), delta**2, strategy.eta
        if isinstance(strategy, strategies.FedAdagrad):
            v = v + square
        elif isinstance(strategy, strategies.FedYogi):
            v = v - (1 - strategy.beta_2) * square * np.sign(v - square)
        else:
            v = strategy.beta_2 * v + (1 - strategy.beta_2) * square
            # Bias correction as Flower counts it: from the second power on.
            power = round_number + 1.0
            rate *= np.sqrt(1 - strategy.beta_2**power) / (1 - strategy.beta_1**power)
        self.state[f"m/{name}"] = np.asarray(m, np.float32)
        self.state[f"v/{name}"] = np.asarray(v, np.float32)
        return old + rate * m / (np.sqrt(v) + strategy.tau)


def _mean(_: strategies.FedAvg, updates: Sequence[Tensor], shares: Sequence[float]) -> Floats:
    total = np.zeros(updates[0].shape, np.float64)
    for update, share in zip(updates, shares, strict=True):
        total += update * np.float64(share)
    return total


def _median(_: strategies.FedAvg, updates: Sequence[Tensor], _shares: Sequence[float]) -> Floats:
    return np.asarray(np.median(np.stack(updates), axis=0))


def _trimmed(
    strategy: strategies.FedAvg, updates: Sequence[Tensor], _shares: Sequence[float]
) -> Floats:
    assert isinstance(strategy, strategies.FedTrimmedAvg)
    cut = int(strategy.beta * len(updates))
    ordered = np.sort(np.stack(updates), axis=0)[cut : len(updates) - cut]
    return np.asarray(ordered.mean(axis=0, dtype=np.float64))


_MIDDLES: dict[type, Callable[[strategies.FedAvg, Sequence[Tensor], Sequence[float]], Floats]] = {
    strategies.FedMedian: _median,
    strategies.FedTrimmedAvg: _trimmed,
}
_STEPS: dict[type, Callable[[Folding, str, int, Floats, Floats], Floats]] = {
    strategies.FedAvgM: Folding.momentum,
    strategies.FedAdam: Folding.adaptive,
    strategies.FedYogi: Folding.adaptive,
    strategies.FedAdagrad: Folding.adaptive,
}
