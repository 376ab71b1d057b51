"""The format of weights, on disk and on the network.

Weights are a mapping from a tensor's name to an array, in the order of the first model. On disk,
and in the memory that link and worker share, they are written in the safetensors format
(https://huggingface.co/docs/safetensors): eight bytes with the header's length, a JSON header with
each tensor's type, shape and place, then the bare numbers. Reading it executes nothing, and an
array is a view of the buffer, not a copy.
"""

import json
import math
import mmap
import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from federator.runtime.files import replaced
from federator.runtime.untrusted import MALFORMED, printable, read_json

Weights = dict[str, npt.NDArray[Any]]

# safetensors' name of each type that can travel, by numpy's.
CODES = {
    "bool": "BOOL", "uint8": "U8", "int8": "I8", "int16": "I16", "uint16": "U16",
    "int32": "I32", "uint32": "U32", "int64": "I64", "uint64": "U64",
    "float16": "F16", "float32": "F32", "float64": "F64",
}  # fmt: skip
_NAMES = {code: name for name, code in CODES.items()}
MAX_HEAD = 16 * 2**20
"""The most bytes that stand before the numbers."""
_DIMENSIONS = 64  # that numpy can do
_MOST = 2**60  # numbers in a tensor, counting a dimension of 0 as 1
_NAME = 1024  # characters in a tensor's name


class WeightsError(ValueError):
    """Bytes that are not weights, or weights that are not the model's."""


class Tensor(NamedTuple):
    """What is known of a tensor before its numbers: element type and shape."""

    dtype: str
    shape: tuple[int, ...]

    @property
    def length(self) -> int:
        """How many numbers it has."""
        return math.prod(self.shape)

    @property
    def size(self) -> int:
        """How many bytes they take."""
        return self.length * np.dtype(self.dtype).itemsize

    @property
    def is_float(self) -> bool:
        """Whether its numbers are floating-point ones."""
        return self.dtype.startswith("float")


class Place(NamedTuple):
    """A tensor in a file: what it is, and at which byte its numbers start."""

    tensor: Tensor
    start: int


def describe(weights: Mapping[str, npt.NDArray[Any]]) -> dict[str, Tensor]:
    """Return type and shape of each tensor, by name."""
    return {name: Tensor(array.dtype.name, array.shape) for name, array in weights.items()}


def size(weights: Mapping[str, npt.NDArray[Any]]) -> int:
    """Return the number of bytes of all tensors together."""
    return sum(array.nbytes for array in weights.values())


def listed(names: Collection[str], most: int = 3) -> str:
    """Return the first of some names, and how many others there are."""
    first = list(names)[:most]
    return ", ".join(first) + (f" and {len(names) - most} more" if len(names) > most else "")


def require_same(found: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    """Check that an update has the tensors of the global model, no more and no fewer.

    Raises:
        WeightsError: naming the first tensor that is missing, extra, or of another type or shape.
    """
    for name in expected:
        if name not in found:
            raise WeightsError(f"tensor {name} is missing")
        if found[name] != expected[name]:
            raise WeightsError(
                f"tensor {name} is {found[name].dtype}{list(found[name].shape)}, "
                f"the global model has {expected[name].dtype}{list(expected[name].shape)}"
            )
    if extra := [name for name in found if name not in expected]:
        raise WeightsError(f"{len(extra)} tensor(s) that the global model does not have")


def head(tensors: Mapping[str, Tensor]) -> bytes:
    """Return what stands before the numbers of such tensors: always the same for the same ones.

    Raises:
        WeightsError: if a tensor has a type that cannot be written.
    """
    header, offset = {}, 0
    for name, tensor in tensors.items():
        code = CODES.get(tensor.dtype)
        if code is None:
            raise WeightsError(f"tensor {name} has type {tensor.dtype}, which has no code")
        end = offset + tensor.size
        header[name] = {"dtype": code, "shape": list(tensor.shape), "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def file_form(tensors: Mapping[str, Tensor]) -> tuple[bytes, int]:
    """Return what stands before the numbers of such tensors, and the bytes of the complete file.

    Raises:
        WeightsError: as :func:`head`.
    """
    start = head(tensors)
    return start, len(start) + sum(tensor.size for tensor in tensors.values())


def file_size(tensors: Mapping[str, Tensor]) -> int:
    """Return the bytes of a file of such tensors.

    Raises:
        WeightsError: as :func:`head`.
    """
    return file_form(tensors)[1]


def _read_tensor(name: str, entry: Mapping[str, Any]) -> Tensor:
    """Return what a header says of a tensor; what it raises is one of ``MALFORMED``."""
    shape = entry["shape"]
    if not isinstance(shape, list) or len(shape) > _DIMENSIONS:
        raise ValueError("dimensions")
    if not all(type(length) is int and 0 <= length <= _MOST for length in shape):
        raise ValueError("shape")
    if math.prod(max(1, length) for length in shape) > _MOST:
        raise ValueError("shape")
    if not name.isprintable() or len(name) > _NAME:
        raise ValueError("a tensor's name")
    return Tensor(_NAMES[entry["dtype"]], tuple(shape))


def read_head(view: memoryview | bytes, total: int) -> dict[str, Place]:
    """Return where each tensor lies in a file of ``total`` bytes that starts so.

    Raises:
        WeightsError: if that is no file in the safetensors format, to the byte.
    """
    try:
        length = int.from_bytes(view[:8], "little")
        if not 2 <= length <= min(MAX_HEAD, total) - 8:
            raise ValueError("header length")
        header = read_json(bytes(view[8 : 8 + length]), MAX_HEAD)
        if not isinstance(header, dict):
            raise ValueError("header")
        header.pop("__metadata__", None)  # in others' files
        places: dict[str, Place] = {}
        end = 0
        for name, entry in header.items():
            tensor = _read_tensor(name, entry)
            first, last = entry["data_offsets"]
            if type(first) is not int or type(last) is not int:
                raise ValueError("offsets")
            if first != end or last - first != tensor.size:
                raise ValueError("offsets")
            places[name] = Place(tensor, 8 + length + first)
            end = last
        if 8 + length + end != total:
            raise ValueError("trailing bytes")
    except MALFORMED as error:
        what = printable(f"{type(error).__name__}: {error}", 100)
        raise WeightsError(f"not weights in the safetensors format ({what})") from None
    return places


class Out(Protocol):
    """What weights can be written to: a stream, or a mapping."""

    def write(self, data: bytes | memoryview, /) -> object:
        """Write bytes after those before."""


def write(out: Out, weights: Weights) -> None:
    """Write weights to a stream.

    Raises:
        WeightsError: as :func:`head`.
    """
    out.write(head(describe(weights)))
    for array in weights.values():
        out.write(np.asarray(array, order="C").data)


def read_from(buffer: memoryview | bytes, start: bytes = b"") -> Weights:
    """Return weights as read-only views of a buffer.

    Args:
        buffer: a whole file.
        start: the header to use instead of the buffer's, which a worker may have rewritten since
            it was checked.

    Raises:
        WeightsError: as :func:`read_head`.
    """
    view = memoryview(buffer).toreadonly()
    weights: Weights = {}
    for name, (tensor, first) in read_head(start or view, len(view)).items():
        flat = np.frombuffer(view, tensor.dtype, tensor.length, first)
        weights[name] = flat.reshape(tensor.shape)
    return weights


def map_from(fd: int) -> Weights:
    """Return weights as views of a mapped file; the descriptor may be closed.

    Raises:
        WeightsError: as :func:`read_from`.
    """
    length = os.fstat(fd).st_size
    if length < 8:
        raise WeightsError("not weights in the safetensors format (empty)")
    return read_from(memoryview(mmap.mmap(fd, length, prot=mmap.PROT_READ)))


def save(path: Path, weights: Weights) -> None:
    """Write weights to a file that is complete or not there.

    Raises:
        WeightsError: as :func:`head`.
    """
    with replaced(path) as out:
        write(out, weights)


def load(path: Path) -> Weights:
    """Read weights from a safetensors file, as views of the mapped file.

    Raises:
        WeightsError: if it is not such a file.
        OSError: if it cannot be opened.
    """
    with path.open("rb") as source:
        return map_from(source.fileno())
