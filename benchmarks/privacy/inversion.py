"""Gradient inversion: which images does the server see again in an update?

A site trains a small network on a few handwritten digits. The server knows the model that it gave,
the learning rate, and the labels. It takes the difference of the weights for a gradient, and looks
for images that have the same one (Zhu et al. 2019, https://arxiv.org/abs/1906.08935, by L-BFGS from
several random starts; labels known and pixels held to 0..1 as in Geiping et al. 2020,
https://arxiv.org/abs/2003.14053). The start whose gradient is nearest is kept: the attacker does
not know the images.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from scipy.optimize import linear_sum_assignment
from skimage.metrics import structural_similarity

from benchmarks.masking import Sum
from benchmarks.poisoning import digits
from benchmarks.privacy.example import first_in_path, follow
from federator.runtime.app_config import Setting
from federator.runtime.masking.fixed_point import mean_step
from federator.runtime.protocol.instructions import Instruction
from federator.runtime.protocol.privacy.settings import PrivacySettings
from federator.runtime.weights.format import Weights
from federator.runtime.worker.author_code import import_task
from federator.runtime.worker.state import fill, take
from federator.runtime.worker.trainer import Trainer

Images = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]

SITES = ("north", "south", "west")
SIDE, RATE = 8, 0.1
STARTS, STEPS = 2, 300
TASK = f"""\
import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from federator.runtime.app import parameter

BATCH_SIZE = parameter("BATCH_SIZE", 1)


def load_data(data_path):
    read = np.load(f"{{data_path}}/images.npz")
    data = TensorDataset(torch.from_numpy(read["x"]), torch.from_numpy(read["y"]))
    loader = DataLoader(data, batch_size=BATCH_SIZE)
    return loader, loader, loader, dict.fromkeys(("trainset", "valset", "testset"), len(data))


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear({SIDE * SIDE}, 64), nn.Sigmoid(), nn.Linear(64, 10))

    def forward(self, x):
        return self.layers(x)


def train(net, trainloader, valloader, epochs, privacy=None):
    optimizer = torch.optim.SGD(net.parameters(), lr={RATE})
    if privacy:
        net, optimizer, trainloader = privacy(net, optimizer, trainloader)
    for _ in range(epochs):
        for x, y in trainloader:
            optimizer.zero_grad()
            nn.functional.cross_entropy(net(x), y).backward()
            optimizer.step()


def test(net, testloader):
    return 0.0, 0.0
"""


@dataclass(frozen=True)
class Likeness:
    """How near images are to those that they are of.

    Attributes:
        error: mean squared error of a pixel in 0..1.
        structure: mean structural similarity (SSIM), at most 1.
    """

    error: float
    structure: float

    @property
    def decibels(self) -> float:
        """Peak signal-to-noise ratio."""
        return float(-10 * np.log10(self.error))

    @classmethod
    def of(cls, found: Images, true: Images) -> "Likeness":
        """Compare images with the true ones that are nearest, each with another one."""
        distances = ((found[:, None] - true[None]) ** 2).mean(axis=2)
        rows, columns = linear_sum_assignment(distances)
        pairs = [(found[row].reshape(SIDE, SIDE), true[column].reshape(SIDE, SIDE))
                 for row, column in zip(rows, columns, strict=True)]  # fmt: skip
        alike = [structural_similarity(*pair, data_range=1.0) for pair in pairs]
        return cls(float(distances[rows, columns].mean()), float(np.mean(alike)))


@dataclass(frozen=True)
class View:
    """What the server has, and of which images.

    Attributes:
        step: the model that came, minus the model that was given.
        images: all that it was trained on.
        labels: theirs.
    """

    step: Weights
    images: Images
    labels: Labels


class Round:
    """Sites that train the same model on so many digits each, once.

    Args:
        folder: to write the app and the data to.
        images: at each site.
        seed: of the digits and of the model.
    """

    def __init__(self, folder: Path, images: int, seed: int) -> None:
        self._folder, self._images, self._seed = folder, images, seed
        drawn, labels = digits(np.random.default_rng(seed))
        parts = [slice(n * images, (n + 1) * images) for n in range(len(SITES))]
        self._own = [(drawn[part], labels[part]) for part in parts]
        self.mean: Images = drawn[len(SITES) * images :].mean(axis=0)
        """The mean of all other digits."""
        (folder / "app").mkdir(parents=True, exist_ok=True)
        (folder / "app" / "task.py").write_text(TASK)
        for name, (x, y) in zip(SITES, self._own, strict=True):
            (folder / name).mkdir(exist_ok=True)
            np.savez(folder / name / "images.npz", x=x, y=y)
        self.given = take(self._site(0, None).model(seed))

    def _site(self, number: int, private: PrivacySettings | None) -> Trainer:
        config: dict[str, Setting] = {
            "labels": ",".join("0123456789"),
            "positive": "",
            "seed": 0,
            "metrics": "",
            "parameters.BATCH_SIZE": self._images,
            **({"privacy": private.write()} if private else {}),
        }
        app, name = first_in_path(self._folder / "app"), SITES[number]
        return Trainer(app, config, self._folder / name, name)

    def _trained(self, number: int, private: PrivacySettings | None = None) -> Weights:
        """Return what a site made of the model, by one step with all of its images."""
        told = Instruction("train", 1, 9e9, epochs=1, seed=self._seed)
        _, weights = follow(self._site(number, private), told, self.given)
        assert weights is not None
        return weights

    def plain(self, private: PrivacySettings | None = None) -> View:
        """Return what the server has of the first site in a plain federation."""
        return View(self._step(self._trained(0, private)), *self._own[0])

    def masked(self) -> tuple[View, View]:
        """Return what the server has with secure aggregation: the first site's update, the mean."""
        models = {name: self._trained(number) for number, name in enumerate(SITES)}
        total = Sum(self.given, list(SITES), self._images, self._folder)
        hidden = {name: total.hide(name, trained) for name, trained in models.items()}
        grid, share = total.terms.grid, total.terms.share(SITES[0])
        one = {
            name: (mean_step(numbers.reshape(-1), grid) / share).reshape(numbers.shape)
            for name, numbers in hidden[SITES[0]].load().items()
        }
        mean = {name: np.array(array) for name, array in total.mean().load().items()}
        both = (np.concatenate(each) for each in zip(*self._own, strict=True))
        return View(one, *self._own[0]), View(self._step(mean), *both)

    def _step(self, trained: Weights) -> Weights:
        return {name: trained[name].astype(float) - self.given[name] for name in trained}

    def invert(self, view: View) -> Images:
        """Return the images that an attacker finds, (images, 64)."""
        net = import_task(first_in_path(self._folder / "app")).Model().double()
        fill(net, self.given)
        wanted = [torch.from_numpy(-view.step[name] / RATE)
                  for name, _ in net.named_parameters()]  # fmt: skip
        size = torch.stack([one.square().sum() for one in wanted]).sum()
        wanted = [one / size.sqrt() for one in wanted]
        labels = torch.from_numpy(view.labels)
        draw = torch.Generator().manual_seed(self._seed)
        best, nearest, loss = None, float("inf"), torch.nn.functional.cross_entropy
        for _ in range(STARTS):
            free = torch.randn(view.images.shape, generator=draw, dtype=torch.float64)
            free.requires_grad_()

            def apart(free: torch.Tensor = free) -> torch.Tensor:
                own = torch.autograd.grad(
                    loss(net(free.sigmoid()), labels), net.parameters(), create_graph=True
                )
                parts = [(a / size.sqrt() - b).square().sum()
                         for a, b in zip(own, wanted, strict=True)]  # fmt: skip
                return torch.stack(parts).sum()

            reached = _descend(free, apart)
            if best is None or reached < nearest:
                best, nearest = free.detach().sigmoid().numpy(), reached
        assert best is not None
        return best.astype(np.float32)


def _descend(free: torch.Tensor, apart: Callable[[], torch.Tensor]) -> float:
    """Change numbers so that a distance becomes small; return the distance."""
    search = torch.optim.LBFGS(
        [free], max_iter=STEPS, history_size=50, line_search_fn="strong_wolfe",
        tolerance_grad=1e-12, tolerance_change=1e-14,
    )  # fmt: skip

    def closure() -> torch.Tensor:
        free.grad = None
        distance = apart()
        distance.backward()
        return distance

    search.step(closure)
    return float(apart().detach())
