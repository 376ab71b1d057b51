"""Sealed memory: filled once, then nobody can change it."""

import fcntl
import mmap
import os
from pathlib import Path

import numpy as np
import pytest

from federator.runtime.sealed import NotSealed, Refillable, Sealed
from federator.runtime.weights import WeightsError

WEIGHTS = {"a": np.arange(1000, dtype=np.float32), "n": np.array(3)}
SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE


def test_sealed_weights_can_no_longer_be_changed():
    sealed = Sealed.of(WEIGHTS)
    with pytest.raises(PermissionError):
        os.pwrite(sealed.fd, b"x", 0)
    with pytest.raises(PermissionError):
        os.ftruncate(sealed.fd, 0)
    assert np.array_equal(sealed.weights["a"], WEIGHTS["a"])


def test_memory_is_filled_and_then_sealed():
    data = bytes(Sealed.of(WEIGHTS).buffer)

    filled = Sealed.filled(len(data), lambda fd: os.pwrite(fd, data, 0))
    assert np.array_equal(filled.weights["a"], WEIGHTS["a"])
    with pytest.raises(PermissionError):
        os.pwrite(filled.fd, b"x", 0)


def test_memory_that_lacks_a_seal_is_refused(tmp_path):
    memory = os.memfd_create("open", os.MFD_ALLOW_SEALING)
    os.write(memory, b"x" * 100)
    fcntl.fcntl(memory, fcntl.F_ADD_SEALS, SEALS & ~fcntl.F_SEAL_WRITE & ~fcntl.F_SEAL_SEAL)
    file = os.open(tmp_path / "file", os.O_CREAT | os.O_RDWR)
    for fd in (memory, file):
        with pytest.raises(NotSealed):
            Sealed(fd)


def test_refillable_memory_can_be_written_to_by_its_maker_only():
    data = bytes(Sealed.of(WEIGHTS).buffer)
    ours = Refillable(len(data))
    ours.buffer[:] = data
    theirs = Sealed(os.dup(ours.fd), trusting=True)
    for change in (
        lambda: os.pwrite(theirs.fd, b"x", 0),
        lambda: os.ftruncate(theirs.fd, 0),
        lambda: mmap.mmap(theirs.fd, len(data)),
        lambda: Path(f"/proc/self/fd/{theirs.fd}").write_bytes(b"x"),
    ):
        with pytest.raises(PermissionError):
            change()
    ours.buffer[-8:] = np.array(4).tobytes()
    for shared in (ours, theirs):
        assert shared.weights["n"] == 4
    with pytest.raises(NotSealed):
        Sealed(os.dup(ours.fd))


def test_where_the_kernel_cannot_keep_others_from_writing_the_length_is_kept(monkeypatch):
    monkeypatch.setattr("federator.runtime.sealed._FUTURE_WRITE", 0x4000)
    data = bytes(Sealed.of(WEIGHTS).buffer)
    ours = Refillable(len(data))
    ours.buffer[:] = data
    theirs = Sealed(os.dup(ours.fd), trusting=True)
    assert theirs.weights["n"] == 3
    with pytest.raises(PermissionError):
        os.ftruncate(theirs.fd, 0)
    with pytest.raises(NotSealed):
        Sealed(os.dup(ours.fd))


def test_what_is_no_longer_mapped_is_there_all_the_same():
    sealed = Sealed.of(WEIGHTS)
    sealed.unmap(slice(0, len(sealed.buffer)))
    assert np.array_equal(sealed.weights["a"], WEIGHTS["a"])


@pytest.mark.parametrize("data", [b"", b"junk" * 10])
def test_sealed_memory_that_holds_no_weights_is_refused(data):
    fd = os.memfd_create("junk", os.MFD_ALLOW_SEALING)
    os.write(fd, data)
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, SEALS)
    with pytest.raises(WeightsError):
        Sealed(fd)


def test_memory_whose_filling_fails_is_given_back():
    before = len(list(Path("/proc/self/fd").iterdir()))
    with pytest.raises(WeightsError):
        Sealed.filled(100, lambda _: None)
    with pytest.raises(ZeroDivisionError):
        Sealed.filled(100, lambda _: 1 / 0)
    assert len(list(Path("/proc/self/fd").iterdir())) == before
