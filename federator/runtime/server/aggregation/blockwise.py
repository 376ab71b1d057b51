"""Aggregates the sites' updates into the next global model, block by block, in a fixed order.

These are the plain strategies of Flower in the same arithmetic (tested against Flower's own
classes), with two differences. Updates, models and the strategy's state stay on disk, except the
block that is being aggregated: so memory depends neither on the number of sites nor on the size of
the model. Buffers (buffers.py: BatchNorm's statistics) get the mean weighted by examples, whatever
the strategy does with parameters (of those sites that Krum took); integer ones are rounded, and
keep their type.

Formulas: McMahan et al. 2017 (FedAvg), Hsu et al. 2019 (FedAvgM), Reddi et al. 2021 (FedAdam,
FedYogi, FedAdagrad), Yin et al. 2018 (FedMedian, FedTrimmedAvg), Blanchard et al. 2017 (Krum,
MultiKrum: the mean of the updates that robust.py chose), Li et al. 2020 (FedProx: the sites add its
term; its aggregation is FedAvg's).
"""

import secrets
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import numpy as np
import numpy.typing as npt
from flwr.serverapp import strategy as strategies

from federator.runtime.server.aggregation.geometry import (
    Measurement,
    Products,
    block_size,
    inner_products,
)
from federator.runtime.server.aggregation.robust import Weighting
from federator.runtime.server.storage.checkpoints import Checkpoint, RunFolder
from federator.runtime.weights.block_file import Block, Draft, WeightFile
from federator.runtime.weights.format import Tensor
from federator.runtime.weights.parts import hash_file

Floats = npt.NDArray[np.floating]
Updates = Iterable[npt.NDArray[Any]]
Old = Callable[[], npt.NDArray[Any]]
"""Reads a block of the model that the sites started from, once."""

_THREADS = 2

_PLAIN = (
    strategies.FedAvg,
    strategies.FedProx,
    strategies.FedAvgM,
    strategies.FedAdam,
    strategies.FedYogi,
    strategies.FedAdagrad,
    strategies.FedMedian,
    strategies.FedTrimmedAvg,
    strategies.Krum,
    strategies.MultiKrum,
)

_ORDINARY = strategies.FedAvg().train_metrics_aggr_fn


def is_plain(strategy: object) -> bool:
    """Return whether a strategy is one of these plain classes, with ordinary arguments."""
    return (
        isinstance(strategy, strategies.FedAvg)
        and type(strategy) in _PLAIN
        and strategy.weighted_by_key == "num-examples"
        and strategy.train_metrics_aggr_fn is _ORDINARY
        and strategy.evaluate_metrics_aggr_fn is _ORDINARY
    )


def moments(strategy: object) -> tuple[str, ...]:
    """Return the names of what a plain strategy keeps of every tensor from round to round."""
    if isinstance(strategy, strategies.FedAvgM):
        return ("m",) if strategy.server_momentum > 0.0 else ()
    adaptive = strategies.FedAdam | strategies.FedYogi | strategies.FedAdagrad
    return ("m", "v") if isinstance(strategy, adaptive) else ()


def aggregate(
    strategy: strategies.FedAvg,
    number: int,
    before: Checkpoint,
    updates: Sequence[WeightFile],
    weighting: Weighting,
    folder: RunFolder,
    buffers: Collection[str],
    hashed: bool = True,
    measurement: Measurement | None = None,
) -> Checkpoint:
    """Make the next global model, and keep it with what the strategy remembers.

    Args:
        strategy: for which :func:`is_plain` holds.
        number: the round's, from 1, counted on over resumed runs.
        before: the model that the sites started from.
        updates: one per site, with the model's tensors, in the order of the sites' names.
        weighting: how much each counts.
        folder: where results go.
        buffers: names of the tensors that are no parameters.
        hashed: whether the model travels as it is, so that the hashes of its parts are needed.
        measurement: what also measures the updates, to four digits; they are read once then.
    """
    tensors = before.weights.tensors
    state = {
        f"{moment}/{name}": Tensor("float32", tensor.shape)
        for name, tensor in tensors.items()
        if tensor.is_float and name not in buffers
        for moment in moments(strategy)
    }
    with folder.drafts(number, tensors, state) as (model, kept):
        measured = measurement is not None
        each = _Aggregation(
            strategy, number, before, updates, weighting, buffers, measured, model, kept
        )
        with ThreadPoolExecutor(_THREADS) as pool:
            blocks = list(before.weights.blocks(block_size(len(updates))))
            for block, products in zip(blocks, pool.map(each.block, blocks), strict=True):
                if measurement is not None and products is not None:
                    measurement.add(block.name, products)
            written = pool.submit(model.sync)  # the disk writes while the parts are hashed
            table = hash_file(model.path) if hashed else ()
            written.result()
    return folder.load(number, table)


@dataclass(frozen=True)
class _Aggregation:
    """The aggregation of one round, for any of its blocks."""

    strategy: strategies.FedAvg
    number: int
    before: Checkpoint
    updates: Sequence[WeightFile]
    weighting: Weighting
    buffers: Collection[str]
    measured: bool
    model: Draft
    kept: Draft

    def block(self, block: Block) -> Products | None:
        """Aggregate one block of the model; return the inner products of its changes if asked."""
        kind = None if block.name in self.buffers else type(self.strategy)
        is_float = self.before.weights.tensors[block.name].is_float
        if self.weighting.noise and (kind is None or not is_float):
            self.model.write(block, self.before.weights.read(block))
            return None
        old = cache(partial(self.before.weights.read, block))
        updates: Updates = (update.read(block) for update in self.updates)
        products: Products | None = None
        if self.measured and is_float:
            updates = list(updates)
            products = inner_products(old(), updates, np.float32)
        combine = _MIDDLES.get(kind, _mean)
        updates = self._shortened(block, old, updates)
        combined = self._completed(old, combine(self.strategy, updates, self.weighting.shares))
        step = _STEPS.get(kind)
        if not is_float:
            combined = np.rint(combined)
        elif step is not None:
            combined = step(self, block, old().astype(np.float64), combined)
        self.model.write(block, combined)
        return products

    def _completed(self, old: Old, mean: Floats) -> Floats:
        """Add what the shares leave to the old model, and the noise."""
        weighting = self.weighting
        if weighting.rest:
            mean = mean + weighting.rest * old().astype(np.float64)
        if weighting.noise:
            drawn = np.random.Generator(np.random.PCG64(secrets.randbits(128)))
            mean = mean + drawn.normal(0.0, weighting.noise, len(mean))
        return mean

    def _shortened(self, block: Block, old: Old, updates: Updates) -> Iterator[npt.NDArray[Any]]:
        """Yield the block of each update, its change shortened where it is to be."""
        weighting = self.weighting
        scales = weighting.buffer_scales if block.name in self.buffers else weighting.scales
        is_float = self.before.weights.tensors[block.name].is_float
        for values, scale in zip(updates, scales, strict=True):
            if scale < 1 and is_float:
                start = old().astype(np.float64)
                values = start + scale * (values - start)
            yield values

    def _moment(self, name: str, block: Block) -> Floats:
        """Return what the strategy remembers of a block, zeros at first."""
        place, state = block._replace(name=f"{name}/{block.name}"), self.before.state
        if state is None or place.name not in state.tensors:
            return np.zeros(block.last - block.first)
        return state.read(place).astype(np.float64)

    def _keep(self, name: str, block: Block, values: Floats) -> None:
        self.kept.write(block._replace(name=f"{name}/{block.name}"), values)

    def momentum(self, block: Block, old: Floats, mean: Floats) -> Floats:
        """FedAvgM: gradient descent with momentum on the pseudo-gradient ``old - mean``."""
        strategy = self.strategy
        assert isinstance(strategy, strategies.FedAvgM)
        gradient = old - mean
        if strategy.server_momentum > 0.0:
            gradient = strategy.server_momentum * self._moment("m", block) + gradient
            self._keep("m", block, gradient)
        return old - strategy.server_learning_rate * gradient

    def adaptive(self, block: Block, old: Floats, mean: Floats) -> Floats:
        """FedAdam, FedYogi and FedAdagrad: Algorithm 2 of Reddi et al. 2021."""
        strategy = self.strategy
        assert isinstance(strategy, strategies.FedAdam | strategies.FedYogi | strategies.FedAdagrad)
        delta = mean - old
        m = strategy.beta_1 * self._moment("m", block) + (1 - strategy.beta_1) * delta
        v, square, rate = self._moment("v", block), delta**2, strategy.eta
        if isinstance(strategy, strategies.FedAdagrad):
            v = v + square
        elif isinstance(strategy, strategies.FedYogi):
            v = v - (1 - strategy.beta_2) * square * np.sign(v - square)
        else:
            v = strategy.beta_2 * v + (1 - strategy.beta_2) * square
            # Bias correction as Flower counts it: from the second power on.
            power = self.number + 1.0
            rate *= np.sqrt(1 - strategy.beta_2**power) / (1 - strategy.beta_1**power)
        self._keep("m", block, m)
        self._keep("v", block, v)
        return old + rate * m / (np.sqrt(v) + strategy.tau)


def _mean(_: strategies.FedAvg, updates: Updates, shares: Sequence[float]) -> Floats:
    (first, *others) = shares
    updates = iter(updates)
    total = np.multiply(next(updates), first, dtype=np.float64)
    weighted = np.empty_like(total)
    for update, share in zip(updates, others, strict=True):
        total += np.multiply(update, share, out=weighted)
    return total


def _median(_: strategies.FedAvg, updates: Updates, _shares: Sequence[float]) -> Floats:
    return np.asarray(np.median(np.stack(list(updates)), axis=0))


def _trimmed(strategy: strategies.FedAvg, updates: Updates, shares: Sequence[float]) -> Floats:
    assert isinstance(strategy, strategies.FedTrimmedAvg)
    cut = int(strategy.beta * len(shares))
    ordered = np.sort(np.stack(list(updates)), axis=0)[cut : len(shares) - cut]
    return np.asarray(ordered.mean(axis=0, dtype=np.float64))


_MIDDLES: dict[type | None, Callable[[strategies.FedAvg, Updates, Sequence[float]], Floats]] = {
    strategies.FedMedian: _median,
    strategies.FedTrimmedAvg: _trimmed,
}
_STEPS: dict[type | None, Callable[[_Aggregation, Block, Floats, Floats], Floats]] = {
    strategies.FedAvgM: _Aggregation.momentum,
    strategies.FedAdam: _Aggregation.adaptive,
    strategies.FedYogi: _Aggregation.adaptive,
    strategies.FedAdagrad: _Aggregation.adaptive,
}
