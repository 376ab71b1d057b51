"""Segmentation: what of masks is counted, a case at a time, and what is refused in which words."""

import gc
import weakref

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import confusion_matrix, f1_score, jaccard_score
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from federator.runtime.protocol.evaluation.settings import EvaluationSettings, Surfaces
from federator.runtime.protocol.evaluation.tasks import Task
from federator.runtime.protocol.notices import Notice
from federator.runtime.protocol.outcomes import Failure
from federator.runtime.worker.tasks import cases as counting
from federator.runtime.worker.tasks.cases import Cases, count_voxels
from federator.runtime.worker.tasks.segmentation import SegmentationReader

RNG = np.random.default_rng(3)
MASKS = RNG.integers(0, 2, (4, 1, 6, 5))
IMAGES = RNG.normal(size=(4, 1, 6, 5)).astype(np.float32)


def reader(size=2, predicts=False, surfaces=None):
    names = ("background", "spleen", "liver", "lung")[:size]
    settings = EvaluationSettings(Task("segmentation", size), names, surfaces=surfaces)
    return SegmentationReader(settings, predicts)


def loader(masks=MASKS, images=IMAGES, batch=3):
    return DataLoader(TensorDataset(torch.as_tensor(images), torch.as_tensor(masks)), batch)


class Ends(nn.Module):
    """A 1 x 1 convolution with weight 1 (-1 and 1 for two outputs) and bias 0; then a function."""

    def __init__(self, outputs=1, end=lambda x: x):
        super().__init__()
        self.layer, self.end = nn.Conv2d(1, outputs, 1), end
        with torch.no_grad():
            self.layer.bias[:] = 0
            self.layer.weight[:, 0, 0, 0] = torch.linspace(1 if outputs == 1 else -1, 1, outputs)

    def forward(self, x):
        return self.end(self.layer(x))


def told(reason):
    with pytest.raises(Failure) as error:
        reason()
    return str(error.value)


@given(st.integers(2, 4).flatmap(
    lambda size: st.lists(
        arrays(np.uint8, (2, 3, 3, 2), elements=st.integers(0, size - 1)), min_size=1, max_size=4
    ).map(lambda pairs: (size, pairs))
))  # fmt: skip
@settings(max_examples=40, deadline=None)
def test_cases_are_counted_as_scikit_learn_does(given_cases):
    size, pairs = given_cases
    cases = Cases(size)
    for mask, predicted in pairs:
        cases.add(mask, predicted)
    tables = cases.tables()
    assert cases.count == len(pairs)
    for k in range(size):
        inside = [(m.ravel() == k, p.ravel() == k) for m, p in pairs]
        inside = [(m, p) for m, p in inside if m.any() or p.any()]
        dice = [f1_score(m, p, zero_division=0) for m, p in inside]
        iou = [jaccard_score(m, p, zero_division=0) for m, p in inside]
        ((n, *sums),) = tables[f"overlap.{k}"]
        assert n == len(inside) and type(n) is int
        expected = [sum(dice), np.square(dice).sum(), sum(iou), np.square(iou).sum()]
        assert sums == pytest.approx(expected, abs=1e-12)
        assert sum(tables[f"histogram.{k}"][0]) == n
        matrices = [confusion_matrix(m, p, labels=[False, True]) for m, p in inside]
        total = np.sum(matrices, axis=0) if matrices else np.zeros((2, 2), int)
        assert tables[f"voxels.{k}"] == [[n, total[1, 1], total[0, 1], total[1, 0]]]


def test_a_case_is_counted_in_slabs(monkeypatch):
    mask, predicted = RNG.integers(0, 3, (2, 11, 7, 5))
    whole = count_voxels(mask, predicted, 3)
    monkeypatch.setattr(counting, "_SLAB", 10)
    for kind in (np.uint8, np.uint64, np.int16):
        assert np.array_equal(count_voxels(mask.astype(kind), predicted.astype(kind), 3), whole)
    assert np.array_equal(whole, confusion_matrix(mask.ravel(), predicted.ravel()))


def test_a_dice_of_one_is_in_the_last_bin_and_a_class_on_one_side_only_in_the_first():
    cases = Cases(2)
    full, empty = np.ones((2, 2), int), np.zeros((2, 2), int)
    for mask, predicted in ((full, full), (full, empty), (empty, full), (empty, empty)):
        cases.add(mask, predicted)
    assert cases.tables()["histogram.1"] == [[2, *[0] * 30, 1]]
    assert cases.tables()["overlap.1"] == [[3, 1.0, 1.0, 1.0, 1.0]]


def test_one_case_is_in_memory_at_a_time():
    alive, seen = [], []

    def predict():
        for _ in range(4):
            gc.collect()
            seen.append(sum(case() is not None for case in alive))
            mask = np.ones((4, 4), np.int64)
            predicted = mask.copy()
            alive[:] = [*alive, weakref.ref(mask), weakref.ref(predicted)]
            yield mask, predicted
            del mask, predicted

    assert reader().from_predict(predict(), [], "test", 0).examples == 4
    assert seen == [0, 0, 0, 0]


@pytest.mark.parametrize(
    "net",
    [
        Ends(),
        Ends(2),
        Ends(end=lambda x: x[:, 0]),
        Ends(end=torch.sigmoid),
        Ends(2, lambda x: x.softmax(1)),
        Ends(2, lambda x: x.log_softmax(1)),
        Ends(end=nn.functional.logsigmoid),
    ],
)
@pytest.mark.parametrize("masks", [MASKS, MASKS[:, 0], MASKS.astype(np.float32), MASKS == 1])
def test_outputs_are_read_as_predict_would_give_them(net, masks):
    batch = next(iter(loader(masks)))
    reader().check_batch(batch, "val")
    reader().check_outputs(net, batch, "val")
    counted = reader().from_outputs(net.eval(), loader(masks), "test", 1)
    yielded = ((mask[0], image[0] > 0) for mask, image in zip(MASKS, IMAGES, strict=True))
    assert counted.tables == reader().from_predict(yielded, loader(), "test", 1).tables
    assert counted.examples == 4
    assert counted.notices == []


def test_several_classes_and_volumes_are_read():
    masks = RNG.integers(0, 3, (2, 3, 4, 5))
    scores = torch.as_tensor(RNG.normal(size=(2, 3, 3, 4, 5)), dtype=torch.float32)
    images = torch.zeros(2, 1, 3, 4, 5)
    net = nn.Sequential(nn.Conv3d(1, 3, 1))
    net.forward = lambda _: scores
    counted = reader(3).from_outputs(net, [(images, torch.as_tensor(masks))], "test", 0)
    cases = Cases(3)
    for mask, score in zip(masks, scores.numpy(), strict=True):
        cases.add(mask, score.argmax(0))
    assert counted.tables == cases.tables()


def test_what_may_be_probabilities_is_told():
    class Odd(torch.autograd.Function):
        @staticmethod
        def forward(_, x):
            return x.sigmoid()

    counted = reader().from_outputs(Ends(end=Odd.apply), loader(), "test", 1)
    assert counted.notices == [Notice("perhaps-probabilities", "test")]


@pytest.mark.parametrize(
    ("masks", "words"),
    [
        (np.zeros(4, int), "int64 of shape (4,), of another shape"),
        (np.zeros((4, 3)), "float64 of shape (4, 3), of another shape"),
        (MASKS * 255, "int64 of shape (4, 1, 6, 5), of which some are no class number"),
        (MASKS - 1, "int64 of shape (4, 1, 6, 5), of which some are no class number"),
        (MASKS * 0.5, "float64 of shape (4, 1, 6, 5), of which some are no class number"),
        (MASKS * np.nan, "float64 of shape (4, 1, 6, 5), of which some are no class number"),
        ([{"boxes": 1}], "no numbers, dictionaries or other objects"),
    ],
)
def test_masks_that_are_none_are_named_with_what_to_write(masks, words):
    said = told(lambda: reader().check_batch((torch.zeros(4, 1, 6, 5), masks), "test"))
    assert said.startswith(f"the masks of the test set are {words}")
    assert "give class numbers 0..1, 0 the background, of shape (N, H, W) or (N, D, H, W)" in said
    assert "or write `def predict(net, loader): ... yield mask, predicted` for each case" in said


def test_one_hot_masks_are_named():
    one_hot = np.concatenate([1 - MASKS, MASKS], axis=1)
    batch = next(iter(loader(one_hot)))
    said = told(lambda: reader().check_outputs(Ends(2), batch, "val"))
    assert "int64 of shape (2, 2, 6, 5), of a channel for each class (of one-hot masks: ar" in said


@pytest.mark.parametrize(
    ("net", "words"),
    [
        (Ends(3), "are float32 of shape (2, 3, 6, 5), which do not fit the masks"),
        (Ends(2, lambda x: x[..., ::2]), "are float32 of shape (2, 2, 6, 3), which do not fit"),
        (Ends(1, lambda x: x.mean((1, 2, 3))), "are float32 of shape (2,), which do not fit"),
        (Ends(2, lambda x: {"out": x}), "the model returns a dictionary, not a tensor: write"),
    ],
)
def test_outputs_that_do_not_fit_are_told_before_training(net, words):
    said = told(lambda: reader().check_outputs(net, next(iter(loader())), "val"))
    assert words in said
    assert "yield mask, predicted" in said


@pytest.mark.parametrize(
    ("result", "words"),
    [
        (None, "predict returned nothing"),
        ((MASKS, MASKS), "predict returned a tuple of 2"),
        ({"mask": MASKS}, "predict returned a dictionary"),
        ([MASKS, MASKS], "predict yields one array for a case of the test set"),
        ([[MASKS[0], MASKS[0]]], "predict yields a list of 2 for a case of the test set"),
        ([(MASKS[0], MASKS[0, 0, :5])], "int64 of shape (5, 5), of another shape"),
        (
            [(MASKS[0], MASKS[0] * 0.4)],
            "float64 of shape (6, 5), of which some are no class number",
        ),
        ([([1, 0], [1, 0])], "int64 of shape (2,), of another shape"),
        ([("liver", MASKS[0])], "a mask that predict yields for the test set is no numbers, texts"),
        ([(MASKS[0], MASKS[0])] * 5, "more than 4 cases for the 4 examples of the test set"),
    ],
)
def test_what_predict_yields_wrongly_is_named(result, words):
    said = told(lambda: reader().from_predict(result, loader(), "test", 0))
    assert words in said
    assert "yield" in said


def channels(classes, first=0):
    volume = RNG.integers(0, classes, (6, 5))
    return np.stack([volume == k for k in range(first, classes)]).astype(np.float32)


@pytest.mark.parametrize(
    ("size", "cases"),
    [
        (2, [channels(2)] * 2),
        (3, [channels(3)] * 2),
        (4, [channels(4, first=1)] * 2),
        (4, [RNG.integers(0, 2, (3, 6, 5, 4)), channels(4)]),
        (4, [RNG.integers(0, 2, (3, 6, 5)), channels(4, first=1)]),  # which overlap
    ],
)
def test_a_channel_for_each_class_is_no_volume(size, cases):
    said = told(lambda: reader(size).from_predict([(one, one) for one in cases], [], "test", 0))
    assert "a mask that predict yields for the test set is" in said
    assert "of a channel for each class" in said or "(3, 6, 5, 4), of another shape" in said
    assert said.endswith("0 the background, of shape (H, W) or (D, H, W)")


def test_volumes_of_as_many_slices_as_classes_are_counted():
    volumes = [RNG.integers(0, 3, (3, 6, 5)) for _ in range(2)]
    cases = [(one, one) for one in (*volumes, volumes[0] > 1)]
    assert reader(4).from_predict(cases, [], "test", 0).examples == 3


def test_what_is_predicted_before_the_mask_is_told():
    yielded = [(1 - mask, mask) for mask in MASKS]
    said = told(lambda: reader().from_predict(yielded, loader(), "test", 0))
    assert said.startswith("what predict returned last for the test set is what the loader gives")
    assert said.endswith(
        "in this order, `def predict(net, loader): ... yield mask, predicted` for each case"
    )


def test_fewer_cases_than_examples_are_told():
    counted = reader().from_predict([(MASKS[:, 0], MASKS[:, 0])], loader(), "test", 0)
    assert counted.notices == [Notice("cases", "test", "", 1, 4)]


def test_an_exception_in_the_generator_is_told_by_its_type():
    def predict():
        yield MASKS[0], MASKS[0]
        raise KeyError("Jane")

    said = told(lambda: reader().from_predict(predict(), [], "test", 0))
    assert said.startswith("KeyError in predict")
    assert "Jane" not in said


def test_outputs_that_are_not_finite_and_sets_without_a_batch_are_told():
    broken = Ends(end=lambda x: x * torch.nan)
    said = told(lambda: reader().from_outputs(broken, loader(), "val", 2))
    assert said == "the model's outputs are not finite numbers, for the validation set in round 2"
    assert "gives no batch" in told(lambda: reader().from_outputs(Ends(), [], "test", 0))


def yielded(spacing, masks=MASKS):
    return ((mask, 1 - mask, *spacing) for mask in masks)


def test_surfaces_are_compared_in_test_sets_in_mm_or_in_voxels():
    in_mm = reader(predicts=True, surfaces=Surfaces(10.0, "mm"))
    in_voxels = reader(predicts=True, surfaces=Surfaces(10.0, "voxels"))
    found = in_mm.from_predict(yielded([(2.0, 3.0)]), [], "test", 0).tables
    expected = Cases(2, Surfaces(10.0, "mm"))
    for mask in MASKS[:, 0]:
        expected.add(mask, 1 - mask, (2.0, 3.0))
    assert found == expected.tables()
    assert found["surfaces.1"][0][0] == sum(found["distances.1"][0]) == 4
    assert "surfaces.0" not in found, "the background has no surface of its own"
    assert found != in_voxels.from_predict(yielded([]), [], "test", 0).tables
    for part, given_by in (("val", in_mm), ("test", reader())):
        spacing = [(2.0, 3.0)] if given_by is in_mm else []
        tables = given_by.from_predict(yielded(spacing), [], part, 0).tables
        assert not {name for name in tables if name.startswith(("surfaces", "distances"))}


def test_a_case_counts_by_its_distance_or_as_the_largest_where_a_surface_is_missing():
    cases = Cases(2, Surfaces(10.0, "voxels"))
    square, empty = np.zeros((2, 40, 40), int)
    square[10:20, 10:20] = 1
    pairs = [(square, np.roll(square, by, axis=1)) for by in (0, 1, 3, 20)]
    for mask, predicted in [*pairs, (square, empty), (empty, square), (empty, empty)]:
        cases.add(mask, predicted)
    tables = cases.tables()
    assert tables["surfaces.1"] == [[6, 0 + 1 + 3 + 10 + 10 + 10, 0 + 1 + 9 + 300]]
    bins = dict.fromkeys((0, 3, 9), 1) | {31: 3}  # 32 bins of 0.3125 voxels
    assert tables["distances.1"] == [[bins.get(place, 0) for place in range(32)]]


@pytest.mark.parametrize(
    ("spacing", "words"),
    [
        ([], "predict yields a tuple of 2 for a case of the test set, and surfaces are in mm"),
        ([(1.0, 1.0), 3], "predict yields a tuple of 4 for a case"),
        ([(1.0, 1.0, 1.0)], "is float64 of shape (3,), of another shape: yield mm between voxels"),
        ([1.5], "is float64 of shape (), of another shape"),
        ([(1.0, 0.0)], "is float64 of shape (2,), of which some are not above 0"),
        ([(1.0, np.nan)], "of which some are not above 0"),
        ([(1j, 1)], "of which some are not above 0"),
        (["1 mm"], "is no numbers, texts"),
    ],
)
def test_a_spacing_that_is_none_is_named_with_what_to_write(spacing, words):
    in_mm = reader(predicts=True, surfaces=Surfaces(50.0, "mm"))
    said = told(lambda: in_mm.from_predict(yielded(spacing), [], "test", 0))
    assert words in said
    assert "yield" in said


def test_a_spacing_where_voxels_are_asked_for_is_no_case():
    in_voxels = reader(predicts=True, surfaces=Surfaces(50.0, "voxels"))
    said = told(lambda: in_voxels.from_predict(yielded([(1.0, 1.0)]), [], "test", 0))
    assert "predict yields a tuple of 3 for a case of the test set" in said


def test_surfaces_in_mm_need_a_predict():
    said = told(lambda: reader(surfaces=Surfaces(50.0, "mm")).check_training_set([]))
    assert said == (
        "surfaces in mm need a predict that knows the voxels' spacing: write `yield mask, "
        "predicted, spacing` for each case, in mm along each axis"
    )
    assert reader(surfaces=Surfaces(50.0, "voxels")).check_training_set([]) == ()
