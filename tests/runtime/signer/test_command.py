"""The command that gives orders: which rounds it makes of what is asked for."""

from dataclasses import replace
from datetime import date

import pytest
from fakes.signer import TERMS, rounds

from federator.errors import InputError
from federator.runtime.protocol.signing.orders import OrderError, RoundsOrder, Terms, worst_case
from federator.runtime.signer.command import Wanted, main, plan, runs_in

DONE = {"2026-01-02-001": 3, "2026-01-02-002": 2}


def on_today(run):
    """Return the name of a run with today's date; midnight may pass while the tests run."""
    return run.replace("today", date.today().isoformat())


def asked(wanted, done=(), earlier=(), **terms):
    return plan(wanted, replace(TERMS, **terms), dict(done), earlier)


@pytest.mark.parametrize(
    ("wanted", "done", "run", "first", "last"),
    [
        (Wanted(), {}, "today-001", 1, 3),
        (Wanted(rounds=7), {}, "today-001", 1, 7),
        (Wanted(), DONE, "2026-01-02-002", 3, 3),
        (Wanted(rounds=2), DONE, "2026-01-02-002", 3, 4),
        (Wanted(), {"2026-01-02-001": 3}, "2026-01-02-001", 4, 6),
        (Wanted(fresh=True), DONE, "today-001", 1, 3),
        (Wanted(fresh=True), {"today-001": 3}, "today-002", 1, 3),
        (Wanted(survey=True), DONE, "today-001", 1, 0),
    ],
)
def test_rounds_continue_the_last_run_or_begin_one(wanted, done, run, first, last):
    order = asked(wanted, {on_today(name): number for name, number in done.items()})
    assert (order.run, order.first_round, order.last_round) == (on_today(run), first, last)
    assert order.survey_only == wanted.survey


def test_an_order_has_the_terms_of_the_federation_but_for_what_is_asked():
    assert asked(Wanted()).terms == TERMS
    assert asked(Wanted(epochs=5)).terms == replace(TERMS, epochs=5)
    assert asked(Wanted(baselines=True)).terms.baselines
    assert not asked(Wanted(baselines=False), baselines=True).terms.baselines


def test_a_run_that_is_continued_keeps_its_baselines():
    before = [rounds(run="2026-01-02-002", baselines=True)]
    assert asked(Wanted(), DONE, before).terms.baselines
    assert not asked(Wanted(), {"2026-01-02-001": 3}, before).terms.baselines
    assert not asked(Wanted(fresh=True), DONE, before).terms.baselines
    survey = [*before, rounds(1, 0, run="2026-01-02-002", survey="only")]
    assert asked(Wanted(), DONE, survey).terms.baselines


def test_a_run_that_was_ordered_and_has_no_checkpoint_is_not_ordered_again():
    assert asked(Wanted(), {}, [rounds(run=on_today("today-001"))]).run == on_today("today-002")


def test_an_order_holds_as_long_as_its_deadlines_and_a_week():
    assert worst_case(TERMS, 1, 3) == 300 + 8 * 3600
    more = replace(TERMS, baselines=True, personal=True)
    assert worst_case(more, 4, 6) == 300 + (8 + 4 + 6 + 3) * 3600


def test_of_the_results_only_names_of_checkpoints_count(tmp_path):
    others = ("2026-01-02-002/model", "2026-01-02-003/round-001.state", "2026-01-02-004/round-x")
    names = ("2026-01-02-001/round-000", "2026-01-02-001/round-012", "elsewhere/round-001", *others)
    for name in names:
        path = tmp_path / f"{name}.safetensors"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"not looked at")
    assert runs_in(tmp_path) == {"2026-01-02-001": 12}
    assert runs_in(tmp_path / "absent") == {}


def test_an_order_is_read_as_it_was_written():
    order = rounds(2, 5, baselines=True)
    assert RoundsOrder.read(order.write()) == order
    assert Terms.read(order.terms.write()) == order.terms
    assert str(replace(order, number=4)).startswith(
        "order 4: rounds 2 to 5 of run run, 1 local epochs, baselines, until 20"
    )
    survey = str(rounds(1, 0, run="2026-01-02-003", survey="only"))
    assert survey.startswith("order 0: a survey of the sites' data, run 2026-01-02-003, until ")


@pytest.mark.parametrize(
    "changed",
    [
        {"run": "../elsewhere"},
        {"first_round": 0},
        {"first_round": 5},
        {"last_round": True},
        {"expires": float("nan")},
        {"expires": True},
        {"by": 1},
        {"terms": replace(TERMS, survey="never")},
        {"terms": replace(TERMS, encoding="float1")},
        {"terms": replace(TERMS, sites=("a b",))},
        {"terms": replace(TERMS, baselines=1)},
    ],
    ids=str,
)
def test_what_is_no_order_is_refused(changed):
    with pytest.raises(OrderError):
        RoundsOrder.read(replace(rounds(), **changed).write())
    for text in ("", "[]", "{}", '{"terms": []}', "[" * 10_000):
        with pytest.raises(OrderError):
            RoundsOrder.read(text)


@pytest.mark.parametrize("option", ["--rounds=0", "--rounds=10001", "--epochs=x"])
def test_numbers_are_checked(option, capsys):
    with pytest.raises(SystemExit):
        main([option, "--terms=x"])
    assert "is not a number from 1 to 10000" in capsys.readouterr().err


def test_terms_that_are_none_are_told(tmp_path):
    with pytest.raises(InputError, match="No such file"):
        main([f"--terms={tmp_path / 'absent'}"])
    (tmp_path / "terms").write_text("{}")
    with pytest.raises(InputError, match="no terms of orders: KeyError"):
        main([f"--terms={tmp_path / 'terms'}"])
