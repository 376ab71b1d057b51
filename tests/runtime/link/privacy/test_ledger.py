"""The privacy ledger counts on after a restart, and one that was changed or cut is no empty one."""

import json

import pytest

from federator.errors import InputError
from federator.runtime.chain import lines
from federator.runtime.doctor import command
from federator.runtime.link.privacy import opening
from federator.runtime.link.privacy.ledger import (
    EVALUATION,
    FILE,
    PLAIN,
    TRAINED,
    TRAINING,
    PrivacyLedger,
    entry,
)
from federator.runtime.protocol.privacy.accountant import epsilon
from federator.runtime.protocol.privacy.spending import Spending

EPOCH = Spending(0.1, 1.1, 10)
DELTA = 1e-5


@pytest.fixture
def places(tmp_path):
    return tmp_path / FILE, tmp_path / "site.privacy"


def spend(places, times=3):
    ledger = PrivacyLedger(*places)
    for _ in range(times):
        ledger.write(entry(TRAINING, EPOCH, run="1", app="a", round=1, model="federation"))
    return ledger


def test_what_was_spent_is_counted_on_after_a_restart(places):
    spend(places)
    ledger = spend(places, 2)
    assert ledger.spent.trainings == 5
    assert ledger.spent.training(DELTA) == epsilon({(0.1, 1.1): 50}, DELTA)
    ledger.write({"event": EVALUATION, "epsilon": 0.25})
    ledger.write({"event": PLAIN})
    spent = PrivacyLedger.look(*places)
    assert (spent.evaluations, spent.released, spent.plain) == (0.25, 1, True)
    assert spent.training(DELTA) == ledger.spent.training(DELTA)


def test_what_a_training_really_cost_takes_the_place_of_what_was_projected(places):
    ledger = spend(places, 1)
    line = ledger.write(entry(TRAINING, EPOCH.times(2)))
    ledger.write(entry(TRAINED, EPOCH, line=line))
    for spent in (ledger.spent, PrivacyLedger.look(*places)):
        assert spent.training(DELTA) == epsilon({(0.1, 1.1): 20}, DELTA)


def test_a_link_that_ended_before_its_first_note_starts_again(places):
    PrivacyLedger(*places)
    places[1].unlink()
    assert spend(places).spent.trainings == 3
    assert PrivacyLedger.look(*places).trainings == 3


def test_a_site_that_never_trained_with_privacy_has_no_ledger(places):
    assert PrivacyLedger.look(*places) is None
    assert not any(place.exists() for place in places)


def _remove_a_line(file, _):
    file.write_bytes(b"".join(file.read_bytes().splitlines(True)[:-1]))


def _remove_a_line_in_the_middle(file, _):
    kept = file.read_bytes().splitlines(True)
    file.write_bytes(b"".join(kept[:1] + kept[2:]))


def _change_a_number(file, _):
    file.write_bytes(file.read_bytes().replace(b'"steps": 10', b'"steps": 1', 1))


def _write_it_anew(file, _):
    """With hashes that fit: only the note beside the site's key knows better."""
    file.unlink()
    for _ in range(4):
        lines.append(file, {"event": "begin"})


def _cut_within_a_line(file, _):
    file.write_bytes(file.read_bytes()[:-20])


def _remove_the_note(_, noted):
    noted.unlink()


def _remove_it(file, _):
    file.unlink()


def _empty_it(file, _):
    file.write_bytes(b"")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (_remove_a_line, "cut short or removed: it has 3 lines, 4 are noted"),
        (_remove_a_line_in_the_middle, "changed at line 2"),
        (_change_a_number, "changed at line 2"),
        (_write_it_anew, "another one than was noted"),
        (_cut_within_a_line, "cut short"),
        (_remove_it, "cut short or removed: it has 0 lines, 4 are noted"),
        (_empty_it, "cut short or removed"),
        (_remove_the_note, "that note is gone"),
    ],
)
def test_a_changed_or_shortened_ledger_is_found_and_never_begins_anew(places, change, told):
    spend(places)
    change(*places)
    before = [place.read_bytes() if place.exists() else None for place in places]
    for look in (PrivacyLedger, PrivacyLedger.look):
        with pytest.raises(InputError, match=told) as refused:
            look(*places)
        assert "does not begin anew" in refused.value.problems[0].hint
    assert before == [place.read_bytes() if place.exists() else None for place in places]


@pytest.mark.parametrize(
    "fields",
    [
        {"event": "refund", "epsilon": 1},
        {"event": EVALUATION, "epsilon": -1.0},
        {"event": TRAINING, "spending": {"sample_rate": 0.1, "noise": 1.0, "steps": -5}},
        {"event": TRAINED, "line": 9, "spending": {}},
        {"epsilon": 1},
    ],
)
def test_a_line_that_is_none_of_a_ledgers_is_found(places, fields):
    spend(places)
    chain = lines.append(places[0], fields)
    places[1].write_text(f"5 {chain}\n")
    with pytest.raises(InputError, match="line 5 of the privacy ledger is none of a ledger's"):
        PrivacyLedger(*places)


def test_half_a_line_of_a_crash_is_no_spending(places):
    ledger = spend(places)
    before = ledger.spent.training(DELTA)
    with places[0].open("ab") as out:
        out.write(b'{"event": "training", "spen')
    assert spend(places, 0).spent.training(DELTA) == before
    assert spend(places, 1).spent.trainings == 4


def test_a_line_that_was_not_noted_before_the_link_ended_counts(places):
    note = spend(places, 2)._noted.read_text()
    spend(places, 1)
    places[1].write_text(note)
    assert spend(places, 1).spent.trainings == 4


def test_a_line_says_when_and_for_what(places):
    spend(places, 1)
    said = json.loads(places[0].read_bytes().splitlines()[-1])
    assert (said["run"], said["app"], said["round"], said["model"]) == ("1", "a", 1, "federation")
    assert said["spending"] == {"sample_rate": 0.1, "noise": 1.1, "steps": 10}
    assert said["time"].endswith("+00:00")


def test_a_folder_that_cannot_be_written_is_told(tmp_path):
    with pytest.raises(InputError, match="what is spent cannot be written"):
        PrivacyLedger(tmp_path / "absent" / FILE, None)


def test_privacy_without_a_folder_for_the_ledger_is_refused():
    written = "epsilon=8 delta=1e-5 clip=1 noise=1.1 unit=record"
    with pytest.raises(InputError, match="needs a ledger"):
        opening.budget(written, None, None, None)
    with pytest.raises(InputError, match="noise must not be 0"):
        opening.budget(written.replace("1.1", "0"), None, None, None)


def test_the_doctor_says_how_much_of_the_budget_is_spent(tmp_path, places):
    written = "epsilon=8 delta=1e-5 clip=1 noise=1.1 unit=record"
    spend(places)
    (tmp_path / "policy.yaml").write_text("privacy: {epsilon: 6}\n")
    where = tmp_path / "policy.yaml", tmp_path, tmp_path / "site.key"
    (finding,) = command._privacy(written, *where)
    assert finding.passed
    shown = f"epsilon {epsilon({(0.1, 1.1): 30}, DELTA):.2f} by 3 trainings and 0.00 by 0 evalu"
    assert f"are spent {shown}" in finding.what
    assert finding.what.endswith("(delta 1e-05), of 6")
    places[0].unlink()
    (finding,) = command._privacy(written, *where)
    assert not finding.passed
    assert "cut short or removed" in finding.what
    places[1].unlink()
    assert not list(command._privacy("", None, *where[1:])), "of a site without privacy, no line"
