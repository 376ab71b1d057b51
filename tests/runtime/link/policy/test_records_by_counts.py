"""A coordinator of bad will reads patients by models of its choice: not within the defaults.

The notebook, the trainer and the link are honest. The coordinator signs what it likes: each model
calls malignant whoever's record lies beyond a plane, so that a count says how many patients do.
"""

from dataclasses import asdict

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from fakes.coordinator import NODE, OURS
from flwr.app import Message, RecordDict
from safetensors.numpy import load
from sklearn.datasets import load_breast_cancer

from federator.runtime.keys.coordinator_key import CoordinatorKey
from federator.runtime.link.link import Link
from federator.runtime.link.policy.guard import PolicyGuard
from federator.runtime.link.policy.rules import Rules
from federator.runtime.link.process import disclosure
from federator.runtime.protocol import messages, replies
from federator.runtime.protocol.disclosure import Policy
from federator.runtime.protocol.evaluation.tasks import Task
from federator.runtime.protocol.instructions import Instruction, sign
from federator.runtime.worker.trainer import Trainer

pytestmark = pytest.mark.usefixtures("in_a_run")

TASK = """\
import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


def load_data(data_path):
    x = torch.from_numpy(np.load(f"{data_path}/x.npy"))
    y = torch.from_numpy(np.load(f"{data_path}/y.npy"))
    loader = DataLoader(TensorDataset(x, y), batch_size=64)
    return loader, loader, loader, {"trainset": len(y), "valset": len(y), "testset": len(y)}


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(30, 2), nn.ReLU(), nn.Linear(2, 2))

    def forward(self, x):
        return self.layers(x)


def train(net, trainloader, valloader, epochs):
    pass


def test(net, testloader):
    with torch.no_grad():
        losses = [nn.functional.cross_entropy(net(x), y).item() for x, y in testloader]
    return float(np.mean(losses)), 0.5
"""
CONFIG = {"labels": "benign,malignant", "positive": "malignant", "rounds": 1, "local-epochs": 1,
          "seed": 0}  # fmt: skip
PATIENTS, FIELDS = 57, 30
KEY = Ed25519PrivateKey.generate()


class Refused(Exception):
    """The site follows no more."""


class Site:
    """A real link and a real trainer, and the coordinator's questions to them."""

    def __init__(self, folder, seen, rules, minimum):
        (folder / "task.py").write_text(TASK)
        self.trainer = Trainer(folder, CONFIG, folder, "north")
        policy = disclosure(Policy(Task("classification", 2), min_cell_count=minimum), rules)
        keys = (CoordinatorKey.of(KEY.public_key()),)
        guard = PolicyGuard(rules)
        self.link = Link("north", "a" * 64, keys, policy, True, self, guard=guard)
        self.set, self.asked = seen, 0

    def worker(self, _deadline):
        return self

    def send(self, packet, memory):
        instruction = Instruction.read(packet["instruction"])
        outcome, _ = self.trainer.follow(instruction, load(bytes(memory.buffer)))
        self.answered = asdict(outcome)

    def answer(self, _deadline):
        return self.answered

    def above(self, direction, threshold):
        """Return how many (benign, malignant) records have direction . x > threshold."""
        told = self.asked_of((direction, np.zeros(FIELDS)), (50.0, 50.0 + threshold), (1e4, -1e4))
        return np.array(told.tables["confusion"])[:, 1]

    def loss_beyond(self, direction, threshold):
        """Return the loss of a model that takes who lies beyond a threshold for benign.

        The farther beyond, the surer; of all others it is not sure at all.
        """
        units = (direction, np.zeros(FIELDS))
        return self.asked_of(units, (-threshold, 0.0), (-1e6, 0.0)).loss

    def asked_of(self, directions, offsets, scores):
        """Return the evaluation of a model whose score for malignant is the sum of two units."""
        self.asked += 1
        weights = {
            "layers.0.weight": np.array(directions, np.float32),
            "layers.0.bias": np.array(offsets, np.float32),
            "layers.2.weight": np.array([(0, 0), scores], np.float32),
            "layers.2.bias": np.zeros(2, np.float32),
        }
        text = Instruction("evaluate", self.asked, 4e9, sets=(self.set,)).write()
        record = messages.to_record(weights)
        digest = messages.Received(text, arrays=messages.packed_in(record)).digest
        config = messages.instruction_record(text, sign(KEY, text, OURS.run_id, NODE, digest))
        message = Message(RecordDict({"arrays": record, "config": config}), NODE, "evaluate")
        reply = self.link.answer(message, OURS, NODE)
        if reply.has_error():
            raise Refused(str(replies.read_failure(reply.error)[1]))
        return replies.outcome_in(reply.content, (self.set,), PLAIN).evaluations[self.set]


PLAIN = Policy(Task("classification", 2), min_cell_count=0)


@pytest.fixture
def cases(tmp_path, monkeypatch):
    """Write some patients' records; return them, scaled, and their labels."""
    monkeypatch.setattr("federator.runtime.link.followed.LONGEST", 1e10)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr("federator.runtime.link.link.log.disabled", True)
    bunch = load_breast_cancer()
    chosen = np.random.default_rng(1).permutation(len(bunch.target))[:PATIENTS]
    x = bunch.data[chosen]
    x = ((x - x.mean(axis=0)) / x.std(axis=0)).astype(np.float32)
    y = 1 - bunch.target[chosen]  # 1: malignant
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "y.npy", y.astype(np.int64))
    return x, y


def halved(site, direction, low, high, steps, repeats, rank):
    """Find the value of the ``rank``-th largest malignant record, by halving."""
    for _ in range(steps):
        middle = (low + high) / 2
        seen = max(site.above(direction, middle)[1] for _ in range(repeats))
        low, high = (middle, high) if seen >= rank else (low, middle)
    return (low + high) / 2


def attack(site, rank=1, repeats=1):
    """Read a whole record; what could not be asked any more is taken to be the mean."""
    record, unit = np.zeros(FIELDS), np.eye(FIELDS, dtype=np.float32)
    try:
        first = halved(site, unit[0], -8, 8, 22, repeats, rank)
        record[0] = first
        second = halved(site, unit[0], -8, 8, 22, repeats, rank + 1)
        near = min(0.4 * abs(first - second) / 8, 0.05) or 0.05
        for number in range(1, FIELDS):
            tilted = unit[0] + near * unit[number]
            found = halved(site, tilted, first - 6 * near, first + 6 * near, 14, repeats, rank)
            record[number] = (found - first) / near
    except Refused as refused:
        return record, str(refused)
    return record, ""


def missed(record, cases):
    """Return by how much a record differs from that of the patient it is of, in deviations."""
    x, y = cases
    malignant = x[y == 1]
    return np.abs(record - malignant[np.argmax(malignant[:, 0])])


def test_without_the_rules_a_whole_record_is_read(tmp_path, cases):
    """Else the tests below could not fail."""
    free = Rules(evaluations_per_app={"test": 10**6}, evaluations_in_all={"test": 10**6})
    site = Site(tmp_path, "test", free, minimum=1)
    record, refused = attack(site)
    assert not refused
    assert site.asked == 450
    assert np.median(missed(record, cases)) < 0.01


@pytest.mark.parametrize("seen", ["val", "test"])
@pytest.mark.parametrize(("rank", "repeats"), [(1, 1), (1, 8)])
def test_within_the_defaults_a_record_is_not_read(tmp_path, cases, seen, rank, repeats):
    """Neither as it was shown, nor by who knows how counts are rounded and asks again and again."""
    site = Site(tmp_path, seen, Rules(), minimum=5)
    record, refused = attack(site, rank, repeats)
    assert "rule: evaluations_per_app" in refused
    assert site.asked == Rules().evaluations_per_app[seen] + 1
    errors, guessed = missed(record, cases), missed(np.zeros(FIELDS), cases)
    # By the mean of all patients alone, some values of thirty are near as well.
    for near in (0.01, 0.05):
        assert (errors < near).sum() <= (guessed < near).sum() + 2


def test_five_thresholds_show_no_small_group(tmp_path, cases):
    """As a strategy of the author's asked: by weights that it called the next model."""
    x, y = cases
    site, exact = Site(tmp_path, "val", Rules(), minimum=5), 0
    unit = np.eye(FIELDS, dtype=np.float32)[0]
    for threshold in (-1, -0.5, 0, 0.5, 1, 1.5, 2):
        told = site.above(unit, threshold)
        true = [int(((x[:, 0] > threshold) & (y == label)).sum()) for label in (0, 1)]
        assert all(count == 0 or count >= 5 for count in told)
        exact += sum(a == b and 0 < b < 5 for a, b in zip(told, true, strict=True))
    assert not exact


def read_by_losses(site, cases):
    """Read the record of the malignant patient with the largest first value, by losses alone.

    That this patient lies beyond a threshold, and nobody else, some ten counts show before.
    """
    x, y = cases
    first, second = np.sort(x[y == 1][:, 0])[:-3:-1]
    if max(x[y == 0][:, 0]) > first:
        raise AssertionError("somebody else lies beyond")
    unit = np.eye(FIELDS, dtype=np.float32)
    near, below = (first - second) / 32, first - (first - second) / 1000
    start = site.loss_beyond(unit[0], below)
    lengths = []
    for number in range(1, FIELDS):
        up, down = (
            site.loss_beyond(unit[0] + sign * near * unit[number], below) for sign in (1, -1)
        )
        lengths.append((up - start if up > down else start - down) * PATIENTS / 1e6 / near)
    return np.array([first, *lengths])


def test_by_losses_that_a_site_lets_leave_a_record_is_read(tmp_path, cases):
    """Else the default that the next test shows would not be needed."""
    site = Site(tmp_path, "val", Rules(losses=("val",)), minimum=5)
    record = read_by_losses(site, cases)
    assert site.asked < Rules().evaluations_per_app["val"] / 4
    assert np.median(missed(record, cases)) < 0.05


@pytest.mark.usefixtures("cases")
@pytest.mark.parametrize("seen", ["val", "test"])
@pytest.mark.parametrize("rules", [Rules(), Rules(losses=())])
def test_within_the_defaults_no_loss_tells_anything(tmp_path, seen, rules):
    site = Site(tmp_path, seen, rules, minimum=5)
    told = {site.loss_beyond(direction, 0.0) for direction in np.eye(FIELDS, dtype=np.float32)}
    assert told == {None}
    assert site.answered["evaluations"][seen]["loss"] > 0, "the worker's"


ALL = ("train", "val", "test")


@pytest.mark.parametrize(
    ("task", "minimum", "said", "leave"),
    [
        ("classification", 5, None, ()),
        ("multilabel", 2, None, ()),
        ("classification", 1, None, ALL),  # public data
        ("segmentation", 5, None, ALL),  # sums tell as much
        ("regression", 5, None, ALL),
        ("survival", 5, None, ALL),
        ("other", 5, None, ALL),  # nothing else is told
        ("classification", 5, ("val",), ("val",)),
        ("other", 1, (), ()),
    ],
)
def test_of_which_sets_a_loss_leaves_depends_on_what_else_is_told(task, minimum, said, leave):
    policy = Policy(Task(task, 2), min_cell_count=minimum)
    assert disclosure(policy, Rules(losses=said)).losses == leave
