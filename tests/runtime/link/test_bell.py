"""A site's bell: when to ask the server, and what happens where it is not heard."""

import pytest

from federator.runtime.link.bell import Bell


class Ear:
    """Hears a bell that has rung so often; None if it is not heard."""

    count: int | None = 0
    why: type[OSError] = OSError

    def listen(self, _):
        if self.count is None:
            raise self.why
        return self.count


@pytest.fixture
def ear():
    return Ear()


@pytest.fixture
def bell(ear):
    """A bell that is known not to have rung."""
    made = Bell(ear)
    made.hang("a")
    assert made.calls(60)
    made.asked(False)
    assert not made.calls(60)
    return made


def test_it_calls_until_all_that_it_rang_for_has_come(ear, bell):
    ear.count = 2
    for _ in range(2):
        assert bell.calls(60)
        bell.asked(True)
    assert not bell.calls(60)


def test_what_it_rang_for_may_have_come_another_way(ear, bell):
    ear.count = 1
    assert bell.calls(60)
    bell.asked(False)
    assert not bell.calls(60)


def test_what_comes_before_it_has_rung_is_counted(ear, bell):
    bell.asked(True)
    ear.count = 1
    assert not bell.calls(60)


def test_it_calls_after_a_while_anyway(bell):
    assert bell.calls(0)


def test_it_calls_where_it_is_not_heard(ear, bell):
    assert bell.heard
    ear.count = None
    assert bell.calls(60)
    assert not bell.heard
    ear.count = 0
    assert not bell.calls(60), "it is heard again"
    assert Bell().calls(60)
    assert Bell(ear).calls(60), "none was hung up"


def test_another_bell_calls_at_first(bell):
    bell.hang("a")
    assert not bell.calls(60)
    bell.hang("b")
    assert bell.calls(60)
    bell.hang("")
    bell.asked(False)
    assert bell.calls(60)


def test_a_bell_that_is_gone_is_listened_to_no_more(ear, bell):
    ear.count, ear.why = None, FileNotFoundError
    assert bell.calls(60)
    ear.count = 0
    assert bell.calls(60)
    assert not bell.heard
