"""Encodes weights in fewer bytes for the network, with fewer digits.

A site gets the model with its floating-point numbers rounded. It returns the difference between the
model that it got and the model that it trained, rounded as well. A difference is small, so rounding
loses little of it, and the server adds it to its own model, which is exact. The site adds the
rounding error of a difference to its next difference (error feedback: Seide et al. 2014,
Karimireddy et al. 2019). So small steps add up, even if rounding hides each of them.

``float16`` has 11 binary digits and ends at 65,504; ``bfloat16`` has 8, and float32's range. With
``int8`` the model goes as float16, and a difference as whole numbers from -127 to 127, each 4,096
of them with one scale. Tensors of integers are sent unchanged, and so are short ones without rows:
the statistics of BatchNorm, which must not become negative, are no steps and would save nothing.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from federator.runtime.weights.block_file import Block, Draft, WeightFile
from federator.runtime.weights.format import Tensor, Weights, WeightsError, describe

EXACT = "float32"
MASKED = "masked"
"""Models travel exactly; of updates, whole numbers modulo 2^32 (runtime/masking)."""
ENCODINGS = (EXACT, "float16", "bfloat16", "int8", MASKED)

Numbers = npt.NDArray[Any]

_GROUP = 4096  # numbers that share a scale: its 4 bytes add 0.1 %
_MODELS = {"float16": "float16", "bfloat16": "uint16", "int8": "float16"}
_SCALE = np.dtype(np.float32).itemsize


def is_exact(encoding: str) -> bool:
    """Return whether models travel as they are."""
    return encoding in (EXACT, MASKED)


def is_encoded(tensor: Tensor) -> bool:
    """Return whether a tensor of a model travels with fewer digits than it has."""
    return tensor.is_float and (len(tensor.shape) > 1 or tensor.length > _GROUP)


def model_form(tensors: Mapping[str, Tensor], encoding: str) -> dict[str, Tensor]:
    """Return the tensors of a model on its way to the sites."""
    if is_exact(encoding):
        return dict(tensors)
    kind = _MODELS[encoding]
    return {n: Tensor(kind, t.shape) if is_encoded(t) else t for n, t in tensors.items()}


def update_form(received: Mapping[str, Tensor], encoding: str) -> dict[str, Tensor]:
    """Return the tensors of an update on its way back, from those of the model as it came."""
    if encoding == MASKED:
        return {name: Tensor("uint32", tensor.shape) for name, tensor in received.items()}
    if encoding != "int8":
        return dict(received)
    return {
        name: Tensor("uint8", (_head(t.length) + t.length,)) if is_encoded(t) else t
        for name, t in received.items()
    }


def write_model(model: WeightFile, encoding: str, out: Draft) -> None:
    """Write a model as it goes to the sites, block by block.

    Raises:
        WeightsError: if a number is too large for it.
    """
    for block in model.blocks():
        numbers = model.read(block)
        if is_encoded(model.tensors[block.name]):
            numbers = _rounded(numbers, _MODELS[encoding])
            if numbers.dtype == np.float16 and not np.isfinite(numbers).all():
                raise WeightsError(f"tensor {block.name} is too large for float16: use bfloat16")
        out.write(block, numbers)


def read_model(received: Weights, like: Mapping[str, Tensor], encoding: str) -> Weights:
    """Return a model as it came to a site, in its own types."""
    if encoding == EXACT:
        return received
    return {
        name: _exact(array, like[name].dtype) if is_encoded(like[name]) else array
        for name, array in received.items()
    }


def write_update(given: Weights, trained: Weights, encoding: str, left: Weights) -> Weights:
    """Return an update as it leaves a site.

    Args:
        given: the model that the site was given, in its own types.
        trained: what the site made of it.
        encoding: one of :data:`ENCODINGS`.
        left: what earlier roundings have left over, by tensor; changed to what is left over now.
    """
    if encoding == EXACT:
        return trained
    update: Weights = {}
    for name, tensor in describe(given).items():
        if not is_encoded(tensor):
            update[name] = trained[name]
            continue
        wide = np.result_type(np.float32, tensor.dtype)
        difference = trained[name].astype(wide) - given[name] + left.get(name, wide.type(0))
        if encoding == "int8":
            update[name] = packed = _scaled(difference)
            start = _head(difference.size)
            sent = _times(packed[:start], packed[start:]).reshape(difference.shape)
        else:
            update[name] = _rounded(difference, _MODELS[encoding])
            sent = _exact(update[name], wide.name)
        with np.errstate(invalid="ignore"):
            rest = difference - sent
        left[name] = rest if np.isfinite(rest).all() else np.zeros_like(rest)
    return update


def restore(update: WeightFile, model: WeightFile, encoding: str, out: Draft) -> None:
    """Write an update in the model's own types, block by block, from what came of a site.

    Args:
        update: what came: differences.
        model: the one that the site was given, exactly.
        encoding: one of :data:`ENCODINGS`, other than ``float32``.
        out: where to.
    """
    for block in model.blocks():
        tensor = model.tensors[block.name]
        if not is_encoded(tensor):
            out.write(block, update.read(block))
            continue
        difference = (
            _read_scaled(update, block, tensor.length)
            if encoding == "int8"
            else _exact(update.read(block), "float32")
        )
        out.write(block, model.read(block) + difference)


def _rounded(numbers: Numbers, kind: str) -> Numbers:
    """Return numbers as float16, or as bfloat16 in 16 bits without a type of their own."""
    with np.errstate(over="ignore"):
        if kind == "float16":
            return numbers.astype(np.float16)
        single = np.asarray(numbers, np.float32, order="C")
    bits = single.view(np.uint32)
    nearest = (bits + (0x7FFF + ((bits >> 16) & 1))) >> 16  # ties to even
    return np.where(np.isnan(single), 0x7FC0, nearest).astype(np.uint16)


def _exact(numbers: Numbers, kind: str) -> Numbers:
    if numbers.dtype == np.uint16:
        numbers = (numbers.astype(np.uint32) << 16).view(np.float32)
    return numbers.astype(kind)


def _head(length: int) -> int:
    """Return how many bytes of scales stand before so many numbers."""
    return -(-length // _GROUP) * _SCALE


def _scaled(numbers: Numbers) -> Numbers:
    """Return the scales of groups of numbers, and then a byte for each number."""
    groups = np.zeros((-(-numbers.size // _GROUP), _GROUP), np.float32)
    groups.reshape(-1)[: numbers.size] = numbers.reshape(-1)
    scales = np.abs(groups).max(axis=1, initial=0) / np.float32(127)
    with np.errstate(invalid="ignore", divide="ignore"):
        whole = np.rint(groups / np.where(scales > 0, scales, 1)[:, None])
        bytes_ = whole.astype(np.int8).reshape(-1)[: numbers.size]
    return np.concatenate([scales.view(np.uint8), bytes_.view(np.uint8)])


def _read_scaled(update: WeightFile, block: Block, length: int) -> Numbers:
    first, last = _head(block.first), _head(block.last)
    scales = update.read(Block(block.name, first, last))
    start = _head(length)
    values = update.read(Block(block.name, start + block.first, start + block.last))
    return _times(scales, values)


def _times(scales: Numbers, values: Numbers) -> Numbers:
    each = np.repeat(scales.view(np.float32), _GROUP)[: values.size]
    with np.errstate(invalid="ignore"):
        return values.view(np.int8) * each
