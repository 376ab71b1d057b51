"""An instruction is followed once, whatever happens to the link meanwhile."""

import time

import pytest

from federator.runtime.link import followed
from federator.runtime.link.followed import LONGEST, Followed
from federator.runtime.protocol.instructions import InstructionError


@pytest.fixture
def file(tmp_path):
    return tmp_path / "site.followed"


def soon():
    return time.time() + 60


def test_what_was_followed_is_known_to_the_next_link(file):
    first = Followed(file)
    first.note(b"one", soon())
    for memory in (first, Followed(file), Followed(file)):
        with pytest.raises(InstructionError, match="followed before"):
            memory.note(b"one", soon())
    Followed(file).note(b"two", soon())


def test_it_is_on_disk_before_the_instruction_is_done(file):
    memory = Followed(file)
    memory.note(b"one", soon())
    with pytest.raises(InstructionError, match="followed before"):
        Followed(file).note(b"one", soon())


def test_a_line_that_was_cut_off_does_no_harm(file):
    memory = Followed(file)
    memory.note(b"one", soon())
    memory.note(b"two", soon())
    content = file.read_bytes()
    file.write_bytes(content[:-40] + b"\xff\0")
    again = Followed(file)
    with pytest.raises(InstructionError, match="followed before"):
        again.note(b"one", soon())
    again.note(b"three", soon())
    with pytest.raises(InstructionError, match="followed before"):
        Followed(file).note(b"three", soon())


def test_what_has_lapsed_is_forgotten(file, monkeypatch):
    monkeypatch.setattr(followed, "_SKEW", 0.0)
    monkeypatch.setattr(followed, "_MANY", 10)
    memory = Followed(file)
    for number in range(35):
        memory.note(b"%d" % number, time.time() - 1)
        assert len(file.read_bytes().splitlines()) <= 10
    assert len(memory._lapses) <= 10
    memory.note(b"kept", soon())
    assert len(Followed(file)._lapses) == 1
    assert len(file.read_bytes().splitlines()) == 1


@pytest.mark.parametrize("expires", [LONGEST + 60, 1e30, float("inf")])
def test_an_instruction_that_holds_for_too_long_is_refused(file, expires):
    with pytest.raises(InstructionError, match="more than 7 days"):
        Followed(file).note(b"one", time.time() + expires)


def test_what_cannot_be_noted_is_not_followed(file):
    memory = Followed(file)
    file.unlink()
    file.mkdir()
    with pytest.raises(InstructionError, match="cannot be noted"):
        memory.note(b"one", soon())
