"""Rounds of real workers whose tensors stay with them: what passes between them and the server."""

import numpy as np
import pytest
from fakes.site_grid import SiteGrid, serve
from fixtures.rehearsals import PLAIN_TRAIN, events, lay_out, lay_out_site
from fixtures.small_notebook import MODEL, TRAIN
from flwr.serverapp import strategy as flower

from federator.app.convert import convert
from federator.runtime.app_config import app_config
from federator.runtime.protocol import messages
from federator.runtime.server.storage.checkpoints import Checkpoint, RunFolder
from federator.runtime.weights.block_file import WeightFile
from federator.runtime.weights.format import load, save
from federator.runtime.weights.local_tensors import LocalTensors
from federator.runtime.worker.initial_model import build
from federator.runtime.worker.trainer import Trainer

pytestmark = pytest.mark.usefixtures("in_a_run")
PATTERNS = ("layers.1.*", "layers.3.*")
NORMED = MODEL.replace("nn.ReLU()", "nn.BatchNorm1d(WIDTH), nn.ReLU()")


class Listening(SiteGrid):
    """A grid that keeps every byte of weights that passes, and every text."""

    def __init__(self, follow):
        super().__init__(follow)
        self.passed: list[bytes] = []

    def _reply(self, message):
        reply = super()._reply(message)
        for each in (message, reply):
            for record in each.content.array_records.values():
                self.passed.append(messages.packed_in(record))
            self.passed.append(repr(dict(each.content.config_records)).encode())
        return reply


def sites(root, monkeypatch, settings, **changed):
    """Return a grid of two sites of the small notebook, and its app."""
    data = {name: lay_out_site(root / name, n) for n, name in enumerate(("east", "west"))}
    read = lay_out(root, data, f"{settings}select: best\n", model=NORMED, **changed)
    app = convert(read, root / "build").app
    monkeypatch.syspath_prepend(str(app))
    config = app_config(app)
    tasks = {
        name: Trainer(app, config, path, name, root / "personal" / name)
        for name, path in data.items()
    }
    return Listening({name: task.follow for name, task in tasks.items()}), app


@pytest.mark.parametrize(
    "strategy",
    [
        flower.FedAvg(),
        flower.FedAvgM(server_momentum=0.9),
        flower.FedAdam(),
        flower.FedMedian(),
        flower.FedProx(proximal_mu=0.1),
        flower.Bulyan(num_malicious_nodes=0),
    ],
    ids=lambda one: type(one).__name__,
)
def test_no_message_has_a_byte_of_a_local_tensor(tmp_path, monkeypatch, strategy):
    grid, app = sites(tmp_path, monkeypatch, f"local: {list(PATTERNS)}\n", train=PLAIN_TRAIN)
    folder = RunFolder(tmp_path / "run")
    server = serve(grid, folder, strategy, rounds=2, select="best", local=PATTERNS, baselines=True)
    first = build(app, 0, LocalTensors(PATTERNS))
    save(tmp_path / "first.safetensors", first.weights)
    server.run(Checkpoint(0, WeightFile(tmp_path / "first.safetensors")))

    kept = list((tmp_path / "personal").rglob("round-*.safetensors"))
    assert len(kept) == 2 * 2 * 2, "sites, models, rounds"
    found = [array for path in kept for array in load(path).values() if len(np.unique(array)) > 2]
    secrets = {array.tobytes() for array in found}
    assert len(secrets) >= 20
    whole = b"".join(grid.passed)
    assert whole.count(b"layers.0.weight") > 20, "the shared ones pass"
    assert b"layers.1" not in whole and b"layers.3" not in whole
    assert not [one for one in secrets if one in whole]
    assert WeightFile(tmp_path / "run" / "round-002.safetensors").tensors.keys() == {
        "layers.0.weight",
        "layers.0.bias",
    }


@pytest.mark.parametrize(
    ("strategy", "select"),
    [(flower.FedAvg(), "last"), (flower.Bulyan(num_malicious_nodes=0), "best")],
)
def test_the_sites_personal_models_are_evaluated_and_no_byte_of_them_passes(
    tmp_path, monkeypatch, strategy, select
):
    settings = "personal: ditto\nproximal_mu: 0.01\n"
    grid, app = sites(tmp_path, monkeypatch, settings, train=TRAIN)
    first = build(app, 0)
    save(tmp_path / "first.safetensors", first.weights)
    folder, how = RunFolder(tmp_path / "run"), {"rounds": 2, "select": select, "personal": True}
    server = serve(grid, folder, strategy, first.buffers, **how)
    chosen = server.run(Checkpoint(0, WeightFile(tmp_path / "first.safetensors")))

    kept = list((tmp_path / "personal").rglob("round-*.safetensors"))
    assert len(kept) == 2 * 2, "sites, rounds"
    second = [load(path) for path in kept if path.name == "round-002.safetensors"]
    secrets = [
        one
        for each in second
        for name, one in each.items()  # BatchNorm undoes the bias before it: it has no gradient
        if one.size > 1 and name != "layers.0.bias"
    ]
    assert len(secrets) == 2 * 7, "sites, tensors"
    whole = b"".join(grid.passed)
    assert not [one for one in secrets if one.tobytes() in whole]
    curve = [(e["model"], e["round"]) for e in events(folder.path, "validation")]
    assert [number for model, number in curve if model == "personal"] == [1, 2]
    tests = {event["model"]: event for event in events(folder.path, "test")}
    assert tests.keys() == {"federation", "personal"}
    assert tests["personal"]["sites"].keys() == {"east", "west"}
    assert tests["personal"]["round"] == chosen.round
    losses = [each["sites"]["east"]["loss"] for each in tests.values()]
    assert losses[0] != losses[1]
