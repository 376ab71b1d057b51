"""Survival: what is read as times, events and risks, and what is refused in which words."""

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from federator.runtime.protocol.evaluation.settings import EvaluationSettings
from federator.runtime.protocol.evaluation.tasks import Task
from federator.runtime.protocol.notices import Notice
from federator.runtime.protocol.outcomes import Failure
from federator.runtime.worker.tasks.survival import SurvivalReader, pairs

TIMES = np.array([5.0, 12.0, 12.0, 30.0, 58.0, 80.0])
EVENTS = np.array([1, 1, 0, 0, 1, 1])
RISKS = np.array([2.0, -1.0, 0.5, 0.5, 0.25, -3.0])
LOADER = DataLoader(TensorDataset(torch.zeros(6, 2)), batch_size=4)


def reader(predicts: bool = True) -> SurvivalReader:
    return SurvivalReader(EvaluationSettings(Task("survival", 1), (), horizon=60.0), predicts)


def read(times=TIMES, events=EVENTS, risks=RISKS):
    return reader().from_predict((times, events, risks), LOADER, "test", 0)


def told(reason) -> str:
    with pytest.raises(Failure) as error:
        reason()
    return str(error.value)


def test_patients_are_counted_by_risk_and_interval():
    counted = read()
    (row,) = counted.tables["times"]
    assert [place for place, n in enumerate(row) for _ in range(n)] == [1, 3, 15, 19, 23, 31]
    assert np.sum(counted.tables["risks"], axis=0).tolist() == row
    assert (counted.examples, counted.notices) == (6, [])


@pytest.mark.parametrize("events", [EVENTS.tolist(), EVENTS == 1, torch.tensor(EVENTS).float()])
def test_events_may_be_numbers_or_truth_values(events):
    columns = torch.tensor(TIMES)[:, None], events, torch.tensor(RISKS).bfloat16()
    assert read(*columns).tables == read().tables


def test_pairs_are_counted_once_and_only_where_the_order_is_known():
    # 5 before all others; 12 before who left then and three later; 58 before 60, the horizon.
    found = pairs(np.minimum(TIMES, 60), (EVENTS == 1) & (TIMES <= 60), RISKS)
    assert found == (3, 5 + 1 + 1, 0, 5 + 4 + 1)
    assert pairs(TIMES[:0], EVENTS[:0] == 1, RISKS[:0]) == (0, 0, 0, 0)
    same = np.full(4, 3.0)
    assert pairs(same, np.array([True, True, False, True]), np.zeros(4)) == (3, 0, 3, 3)


def test_without_predict_it_says_to_write_one():
    without = reader(predicts=False)
    said = "a survival analysis needs a predict: write `def predict(net, loader): ... return times"
    for call in (
        lambda: without.check_training_set(LOADER),
        lambda: without.check_batch(None, "val"),
        lambda: without.check_outputs(torch.nn.Identity(), None, "val"),
        lambda: without.from_outputs(torch.nn.Identity(), LOADER, "val", 0),
    ):
        assert told(call).startswith(said)
    assert reader().check_training_set(LOADER) == ()


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"times": -TIMES}, "the times that predict returned for the test set are float64 of shape "
         "(6,), of which some are negative: return one number from 0 for each patient"),
        ({"times": TIMES.reshape(2, 3)}, "float64 of shape (2, 3), of another shape"),
        ({"times": TIMES * np.nan}, "numbers of which some are not finite"),
        ({"events": TIMES}, "of which some are neither 0 nor 1: return 1 for each patient with "
         "the event and 0 for the others, in the order times, events, risks"),
        ({"events": EVENTS[:4]}, "the events that predict returned for the test set are int64 of "
         "shape (4,), of another shape"),
        ({"risks": RISKS[:, None].repeat(2, 1)}, "the risks that predict returned for the test set "
         "are float64 of shape (6, 2), of another shape: return one number for each patient"),
        ({"risks": ["high"] * 6}, "are no numbers, texts"),
    ],
)  # fmt: skip
def test_what_predict_returns_is_refused_by_what_it_is(changed, said):
    assert said in told(lambda: read(**changed))


@pytest.mark.parametrize(
    ("result", "said"), [((TIMES, RISKS), "a tuple of 2"), (TIMES, "one array"), (None, "nothing")]
)
def test_what_are_no_three_columns_is_told(result, said):
    words = told(lambda: reader().from_predict(result, LOADER, "test", 0))
    predict = "`def predict(net, loader): ... return times, events, risks`"
    assert words == f"predict returned {said}: write {predict}"


def test_made_up_numbers_make_no_figure():
    counted = read(np.zeros(6), np.zeros(6), np.zeros(6))
    assert (counted.tables, counted.notices) == ({}, (Notice("all-one-value", "test"),))
    few = read(TIMES[:3], EVENTS[:3], RISKS[:3])
    assert (few.tables, few.notices) == ({}, (Notice("too-few-labels", "test", "", 3, 6),))


def test_times_in_another_unit_and_no_event_are_told():
    assert read(events=EVENTS * 0).notices == [Notice("no-events", "test")]
    assert read(times=TIMES / 365).notices == [Notice("horizon", "test")]
    days = read(times=TIMES * 30.4)
    assert days.notices == [Notice("no-events", "test"), Notice("horizon", "test")]


def test_risks_that_are_returned_before_the_times_are_told():
    exchanged = (np.exp(RISKS), EVENTS, TIMES)
    batches = [(np.zeros((6, 2)), np.stack([TIMES, EVENTS], axis=1))]
    for loader in (batches, [{"x": np.zeros(6), "time": TIMES}], [(None, TIMES, EVENTS)]):
        said = told(lambda loader=loader: reader().from_predict(exchanged, loader, "test", 0))
        assert said.startswith("what predict returned last for the test set is what the loader")
    right = reader().from_predict((TIMES, EVENTS, RISKS), batches, "test", 0)
    assert right.examples == 6
