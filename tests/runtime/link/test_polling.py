"""How often a link asks: less often if the server is busy, the sites are many, or the work long."""

import pytest

from federator.runtime.link.polling import Pace


def settled(pace):
    """Return the pauses until they no longer grow."""
    return [pace.found_nothing(0.01) for _ in range(20)]


@pytest.fixture
def pace():
    made = Pace()
    made.answered(0.1)
    return made


def test_pauses_grow_and_begin_anew_after_each_answer(pace):
    pauses = settled(pace)
    assert pauses == sorted(pauses)
    assert pauses[0] < 0.05
    assert pauses[-1] == 0.25
    pace.answered(0.1)
    assert settled(pace) == pauses


def test_who_has_heard_nothing_for_long_asks_seldom():
    assert settled(Pace())[-1] == 1.0


def test_a_busy_server_is_asked_less_often(pace):
    assert pace.found_nothing(0.3) == pytest.approx(2.0)
    assert pace.found_nothing(60.0) == 5.0
    assert pace.found_nothing(0.01) < 0.25, "it is not busy any more"


def test_after_long_work_the_server_is_asked_less_often(pace):
    for worked, pause in ((10.0, 0.4), (3600.0, 1.0)):
        pace.answered(worked)
        assert pace.found_nothing(0.01) == pytest.approx(pause)


@pytest.mark.parametrize("sites", [6, 10, 30, 100, 400])
def test_many_sites_take_a_quarter_of_what_the_server_can_answer(pace, sites):
    pace.sites = sites
    assert 0.012 * sites / pace.found_nothing(0.01) < 0.26
    assert 0.012 * sites / pace.patience < 0.26
    pace.sites = 10**9
    assert pace.found_nothing(0.01) == pace.patience == 30.0


def test_a_counter_is_listened_to_more_often_than_the_server_is_asked(pace):
    pauses = [pace.unchanged() for _ in range(20)]
    assert pauses[-1] == 0.05
    pace.sites = 3000
    assert pace.unchanged() == 30.0
    pace.sites = 1
    pace.answered(3600.0)
    assert pace.unchanged() == 1.0
