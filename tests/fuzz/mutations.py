"""Random changes to what is well-formed, for tests of what takes it apart."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

# 5,000 of each with: make fuzz
FUZZED = settings(
    max_examples=int(os.environ.get("FEDERATOR_FUZZ", "50")),
    deadline=None,
    derandomize="FEDERATOR_FUZZ" not in os.environ,
    suppress_health_check=list(HealthCheck),
)
_LONGEST = 2.0  # seconds of computing
_ODD = [
    b"", b"\0", b"\xff", b"[", b"]", b"{", b"}", b'"', b",", b":", b"null", b"true", b"-1", b"1.5",
    b"1e999", b"NaN", b"Infinity", b"9" * 5000, b"[" * 3000, b'{"a":' * 2000, b'"\\ud800"', b"\n",
    b"&a ", b"*a", b"<<: ", b"- " * 50, b"\t", b"../", b"9223372036854775808",
]  # fmt: skip


@st.composite
def mutated(draw: st.DrawFn, original: bytes) -> bytes:
    """Draw a changed form of bytes: pieces replaced, taken out, repeated, or odd ones put in."""
    data = original
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, max(0, len(data) - 1)))
        end = min(len(data), start + draw(st.integers(0, 12)))
        odd = draw(st.sampled_from(_ODD) | st.binary(max_size=8))
        again = data[start : start + draw(st.integers(0, 40))]
        data = data[:start] + draw(st.sampled_from([odd, again * 2, b""])) + data[end:]
    return data


values = st.one_of(
    st.integers(-(2**63), 2**63 - 1),
    st.floats(),
    st.text(max_size=20),
    st.binary(max_size=20),
    st.booleans(),
    st.lists(st.integers(-(2**63), 2**63 - 1), max_size=9),
    st.lists(st.floats(), max_size=5),
    st.lists(st.text(max_size=9), max_size=3),
)
"""What a Flower ConfigRecord may hold."""


@contextmanager
def quick() -> Iterator[None]:
    """Fail if what is done takes long."""
    began = time.process_time()
    yield
    assert time.process_time() - began < _LONGEST
