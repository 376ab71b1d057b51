"""A site's notification counter: when to ask the server, and what if it cannot be read."""

import pytest

from federator.runtime.link.polling import NotificationCounter


class Reader:
    """Reads a counter with this number; None if it cannot be read."""

    count: int | None = 0
    why: type[OSError] = OSError

    def read_counter(self, _):
        if self.count is None:
            raise self.why
        return self.count


@pytest.fixture
def reader():
    return Reader()


@pytest.fixture
def counter(reader):
    """A counter that is known not to have changed."""
    made = NotificationCounter(reader)
    made.subscribe("a")
    assert made.should_poll(60)
    made.polled(False)
    assert not made.should_poll(60)
    return made


def test_it_says_yes_until_all_counted_messages_have_come(reader, counter):
    reader.count = 2
    for _ in range(2):
        assert counter.should_poll(60)
        counter.polled(True)
    assert not counter.should_poll(60)


def test_a_counted_message_may_have_come_another_way(reader, counter):
    reader.count = 1
    assert counter.should_poll(60)
    counter.polled(False)
    assert not counter.should_poll(60)


def test_what_comes_before_it_has_changed_is_counted(reader, counter):
    counter.polled(True)
    reader.count = 1
    assert not counter.should_poll(60)


def test_it_says_yes_after_a_while_anyway(counter):
    assert counter.should_poll(0)


def test_it_says_yes_where_it_cannot_be_read(reader, counter):
    assert counter.readable
    reader.count = None
    assert counter.should_poll(60)
    assert not counter.readable
    reader.count = 0
    assert not counter.should_poll(60), "it can be read again"
    assert NotificationCounter().should_poll(60)
    assert NotificationCounter(reader).should_poll(60), "there was no subscription"


def test_another_counter_says_yes_at_first(counter):
    counter.subscribe("a")
    assert not counter.should_poll(60)
    counter.subscribe("b")
    assert counter.should_poll(60)
    counter.subscribe("")
    counter.polled(False)
    assert counter.should_poll(60)


def test_a_counter_that_is_gone_is_read_no_more(reader, counter):
    reader.count, reader.why = None, FileNotFoundError
    assert counter.should_poll(60)
    reader.count = 0
    assert counter.should_poll(60)
    assert not counter.readable
