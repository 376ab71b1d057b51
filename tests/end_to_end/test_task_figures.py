"""Federations of other tasks than classification: their figures are those of the final model.

The test loads the final model and computes by scikit-learn, on all sites' test sets in one, what
the report says. Sites are unequal, one is tiny, and one has no test set.
"""

import numpy as np
import pytest
import torch
from fixtures.rehearsals import lay_out, rehearse
from fixtures.surfaces import hd95
from sklearn.metrics import f1_score, jaccard_score, recall_score, roc_auc_score
from torch import nn

from federator.results import history, report
from federator.results.tasks.views import view
from federator.runtime.weights.format import load

SIZES = {"north": 60, "south": 3, "west": 0}
LOAD = """\
def load_data(data_path):
    kept = np.load(f"{data_path}/sets.npz")
    sets = [
        TensorDataset(torch.tensor(kept[f"{part}_x"]), torch.tensor(kept[f"{part}_y"]))
        for part in ("train", "val", "test")
    ]
    sizes = dict(zip(("trainset", "valset", "testset"), map(len, sets)))
    return *(DataLoader(part, batch_size=4) for part in sets), sizes"""
TRAIN = """\
def train(net, trainloader, valloader, epochs):
    for _ in range(epochs):
        for x, y in trainloader:
            net.zero_grad()
            loss_of(net(x), y).backward()
            for weights in net.parameters():
                weights.data -= 0.1 * weights.grad"""
TEST = """\
def test(net, testloader):
    losses = [loss_of(net(x), y).item() for x, y in testloader]
    return {"loss": sum(losses) / len(losses)}"""
LINEAR = """\
class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 3)

    def forward(self, x):
        return self.layer(x)"""
DENSE = LINEAR.replace("nn.Linear(4, 3)", "nn.Conv2d(1, 3, 3, padding=1)")
BCE = "def loss_of(out, y):\n    return nn.functional.binary_cross_entropy_with_logits(out, y)"
CE = "def loss_of(out, y):\n    return nn.functional.cross_entropy(out, y)"
PREDICT = """\
def predict(net, loader):
    with torch.no_grad():
        for x, y in loader:
            for mask, output in zip(y, net(x)):
                yield mask, output.argmax(0)"""

IN_MM = PREDICT.replace("output.argmax(0)", "output.argmax(0), (0.5, 0.5)")


def several(rng, n):
    targets = (rng.random((n, 3)) < 0.4).astype(np.float32)
    features = np.concatenate([targets, rng.normal(size=(n, 1))], axis=1)
    return (features + rng.normal(size=(n, 4))).astype(np.float32), targets


def masked(rng, n):
    masks = np.kron(rng.integers(0, 3, (n, 2, 2)), np.ones((1, 4, 4), np.int64))
    return (masks[:, None] + rng.normal(size=(n, 1, 8, 8))).astype(np.float32), masks


def run(tmp_path, make, settings, **cells):
    """Run a round; return the view, the pooled result, and the test sets in one."""
    folders, together = {}, []
    for number, (name, size) in enumerate(SIZES.items()):
        rng, kept = np.random.default_rng(number), {}
        for part, n in (("train", 24), ("val", 8), ("test", size)):
            kept[f"{part}_x"], kept[f"{part}_y"] = make(rng, n)
        folders[name] = tmp_path / name
        folders[name].mkdir()
        np.savez(folders[name] / "sets.npz", **kept)
        together.append((kept["test_x"], kept["test_y"]))
    federation = lay_out(
        tmp_path, folders, f"rounds: 1\n{settings}", load_data=LOAD, train=TRAIN, test=TEST,
        strategy=None, **cells,
    )  # fmt: skip
    local = rehearse(federation)
    list(local.events())
    done = history.read(local.folder)
    tested = done.tests["federation"]
    assert tested.sites.keys() == {name for name, size in SIZES.items() if size}
    assert report.write(local.folder).exists()
    final = load(local.folder / "model.safetensors")
    weights = {name: torch.tensor(array) for name, array in final.items()}
    features, targets = (np.concatenate(parts) for parts in zip(*together, strict=True))
    return view(done.start), tested.pooled(), weights, torch.tensor(features), targets


def layer(made, weights):
    made.load_state_dict({name.removeprefix("layer."): one for name, one in weights.items()})
    return made


def test_several_labels_an_example_have_the_figures_of_the_pooled_test_sets(tmp_path):
    settings = "task: multilabel\nlabels: [effusion, mass, nodule]\n"
    shown, pooled, weights, features, targets = run(
        tmp_path, several, settings, model=LINEAR, loss=BCE
    )
    assert pooled.examples == len(targets) == 63
    with torch.no_grad():
        scores = layer(nn.Linear(4, 3), weights)(features).sigmoid().numpy()
    figures, parts = shown.figures(pooled.tables), shown.parts(pooled.tables)
    guess = scores >= 0.5
    for k, name in enumerate(("effusion", "mass", "nodule")):
        expected = f1_score(targets[:, k], guess[:, k])
        assert parts[name]["f1"].value == pytest.approx(expected, abs=1e-9)
        expected = roc_auc_score(targets[:, k], scores[:, k])
        assert parts[name]["auc"].value == pytest.approx(expected, abs=0.03)
    expected = recall_score(targets, guess, average="macro")
    assert figures["sensitivity"].value == pytest.approx(expected, abs=1e-9)
    expected = f1_score(targets, guess, average="micro")
    assert parts["Micro average"]["f1"].value == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(
    ("own", "surfaces", "unit"),
    [({}, "", 0), ({"predict": PREDICT}, "", 0), ({"predict": IN_MM}, "surfaces: 3 mm\n", 0.5)],
    ids=["outputs", "predict", "surfaces"],
)
def test_masks_have_the_figures_of_all_cases(tmp_path, own, surfaces, unit):
    settings = f"task: segmentation\nlabels: [background, liver, spleen]\n{surfaces}"
    shown, pooled, weights, images, masks = run(
        tmp_path, masked, settings, model=DENSE, loss=CE, **own
    )
    assert pooled.examples == len(masks) == 63, "cases, not pixels"
    with torch.no_grad():
        predicted = layer(nn.Conv2d(1, 3, 3, padding=1), weights)(images).argmax(1).numpy()
    parts = shown.parts(pooled.tables)
    for k, name in ((1, "liver"), (2, "spleen")):
        pairs = [(m.ravel() == k, p.ravel() == k) for m, p in zip(masks, predicted, strict=True)]
        pairs = [pair for pair in pairs if pair[0].any() or pair[1].any()]
        for column, metric in (("dice", f1_score), ("iou", jaccard_score)):
            expected = np.mean([metric(*pair, zero_division=0) for pair in pairs])
            assert parts[name][column].value == pytest.approx(expected, abs=1e-9)
            assert parts[name][column].low < expected < parts[name][column].high
        expected = recall_score(masks.ravel() == k, predicted.ravel() == k)
        assert parts[name]["sensitivity"].value == pytest.approx(expected, abs=1e-9)
        assert ("hd95" in parts[name]) is bool(surfaces)
        if surfaces:
            both = [(m == k, p == k) for m, p in zip(masks, predicted, strict=True)]
            far = [hd95(*pair, unit, 3.0) for pair in both if pair[0].any() or pair[1].any()]
            assert parts[name]["hd95"].value == pytest.approx(np.mean(far), abs=1e-9)
