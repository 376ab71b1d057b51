"""Fourteen rounds of a model with BatchNorm under a server's momentum: figures stay figures.

The author's code, the strategy and the server are real; only Flower's transport is left out.
"""

import math

import numpy as np
import pytest
import torch
from fakes.site_grid import SiteGrid, serve
from fixtures.rehearsals import events, lay_out, lay_out_site
from flwr.serverapp import strategy as flower

from federator.app.convert import convert
from federator.runtime.app_config import app_config
from federator.runtime.server.storage.checkpoints import Checkpoint, RunFolder
from federator.runtime.weights.block_file import WeightFile
from federator.runtime.weights.format import save
from federator.runtime.worker.initial_model import build
from federator.runtime.worker.trainer import Trainer

MODEL = """\
class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(4, WIDTH), nn.BatchNorm1d(WIDTH), nn.ReLU(),
                                    nn.Linear(WIDTH, 2))

    def forward(self, x):
        return self.layers(x * 0.05)"""


class Careful(flower.FedAdam):
    """It runs by Flower's own Strategy.start."""


pytestmark = pytest.mark.usefixtures("in_a_run")


@pytest.fixture(autouse=True)
def one_thread():
    """With more, small tensors wait for threads when the machine is busy."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def sites(tmp_path_factory):
    """Two sites, and the app of which they run the parts."""
    root = tmp_path_factory.mktemp("batchnorm")
    data = {name: lay_out_site(root / name, seed) for seed, name in enumerate(("north", "south"))}
    app = convert(lay_out(root, data, model=MODEL), root / "build").app
    return app, data


@pytest.mark.parametrize(
    "strategy",
    [
        flower.FedAvgM(server_learning_rate=1.0, server_momentum=0.9),
        flower.FedAdam(),
        flower.FedYogi(eta=0.1),
        flower.FedAdagrad(eta=1.5),
        Careful(),
    ],
    ids=lambda strategy: type(strategy).__name__,
)
def test_statistics_are_the_mean_of_the_sites_in_each_of_fourteen_rounds(sites, strategy, tmp_path):
    app, data = sites
    weights, buffers, _ = build(app, 0)
    tasks = {name: Trainer(app, app_config(app), path, name) for name, path in data.items()}
    sent = []

    def follow(name):
        def answer(instruction, given):
            outcome, trained = tasks[name].follow(instruction, given)
            if instruction.kind == "train":
                sent.append((instruction.round, outcome.examples["trainset"], trained))
            return outcome, trained

        return answer

    folder = RunFolder(tmp_path / "run")
    save(tmp_path / "first.safetensors", weights)
    server = serve(
        SiteGrid({name: follow(name) for name in data}), folder, strategy, buffers, rounds=14
    )
    server.run(Checkpoint(0, WeightFile(tmp_path / "first.safetensors")))

    for number in range(1, 15):
        model = folder.load(number).weights.load()
        updates = [trained for round, _, trained in sent if round == number]
        counts = [count for round, count, _ in sent if round == number]
        assert len(updates) == 2
        for name in buffers:
            mean = np.average([update[name] for update in updates], axis=0, weights=counts)
            if name.endswith("num_batches_tracked"):
                assert model[name] == np.rint(mean)
            else:
                np.testing.assert_allclose(model[name], mean, rtol=1e-6)
        assert (model["layers.1.running_var"] > 0).all()
    measured = events(folder.path, "validation")
    assert sorted({event["round"] for event in measured}) == list(range(15))
    for event in measured:
        assert event["sites"].keys() == data.keys()
        assert all(math.isfinite(site["loss"]) for site in event["sites"].values())
