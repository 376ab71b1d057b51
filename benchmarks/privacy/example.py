"""An example notebook's federation in one process: its sites' workers, and the server's mean.

The notebook's ``train`` gets the lines that docs/author.md tells an author to write; everything
else is its own. The workers are those of a site, without link and network between them.
"""

import contextlib
import importlib
import io
import shutil
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from types import ModuleType

import nbformat
import numpy as np
import numpy.typing as npt
import torch
from flwr.serverapp.strategy import FedAvg

from benchmarks.privacy.noise import settings_for
from federator.app.convert import convert
from federator.federation import schema
from federator.runtime.app_config import Setting, app_config, choose
from federator.runtime.protocol.instructions import Instruction
from federator.runtime.protocol.outcomes import Outcome
from federator.runtime.protocol.privacy.accountant import epsilon
from federator.runtime.protocol.privacy.settings import PrivacySettings
from federator.runtime.server.aggregation.blockwise import aggregate
from federator.runtime.server.aggregation.robust import Weighting
from federator.runtime.server.storage.checkpoints import Checkpoint, RunFolder
from federator.runtime.weights.block_file import WeightFile
from federator.runtime.weights.format import Weights, save
from federator.runtime.worker.author_code import import_task
from federator.runtime.worker.state import fill, take
from federator.runtime.worker.trainer import Trainer

Floats = npt.NDArray[np.float64]

HERE = Path(__file__).parents[2]
LINES = (
    ("valloader, epochs):\n", "valloader, epochs, privacy=None):\n"),
    (
        "    for _ in range(epochs):\n",
        "    if privacy:\n"
        "        net, optimizer, trainloader = privacy(net, optimizer, trainloader)\n"
        "    for _ in range(epochs):\n",
    ),
)


@dataclass(frozen=True)
class Example:
    """A federation of compose/, converted, with data that are laid out by a seed.

    Attributes:
        folder: in which all of it is.
        name: of the federation.
        changes: of the app's configuration.
    """

    folder: Path
    name: str
    changes: Mapping[str, Setting] = field(default_factory=dict)

    @classmethod
    def make(cls, folder: Path, name: str) -> "Example":
        """Convert a federation's notebook, whose ``train`` takes ``privacy``, into a folder."""
        for each in ("notebooks", "compose"):
            shutil.copytree(HERE / each, folder / each)
        read = schema.read(folder / "compose" / name)
        notebook = nbformat.read(read.notebook, as_version=4)
        (cell,) = (one for one in notebook.cells if "def train(" in one.source)
        for old, new in LINES:
            if cell.source.count(old) != 1:
                raise SystemExit(f"{read.notebook.name}: no place for the lines of privacy")
            cell.source = cell.source.replace(old, new)
        nbformat.write(notebook, read.notebook)
        convert(read, folder / "build")
        return cls(folder, name)

    def varied(self, **changes: Setting) -> "Example":
        """Return the example with other settings of its configuration, or parameters."""
        known = self.config
        told = {f"parameters.{name}" if name.isupper() else name.replace("_", "-"): value
                for name, value in changes.items()}  # fmt: skip
        if unknown := [name for name in told if "parameters" not in name and name not in known]:
            raise ValueError(f"no settings: {unknown}")
        return replace(self, changes={**self.changes, **told})

    @property
    def config(self) -> dict[str, Setting]:
        """The app's configuration."""
        return {**app_config(self.folder / "build" / self.name / "app"), **self.changes}

    @cached_property
    def sites(self) -> list[str]:
        """The sites of its federation file."""
        return [site.name for site in schema.read(self.folder / "compose" / self.name).sites]

    def data(self, seed: int) -> Path:
        """Return the folder of the sites' data as a seed deals them, laid out once."""
        found = self.folder / "data" / str(seed)
        if not found.exists():
            with quiet():
                self.layout.main([str(found), "--seed", str(seed)])
        return found

    @property
    def layout(self) -> ModuleType:
        """The script that lays out the sites' data."""
        if (folder := str(HERE / "notebooks")) not in sys.path:
            sys.path.append(folder)
        return importlib.import_module(f"{self.name.replace('-', '_')}_sites")

    def site(self, name: str, data: Path, private: PrivacySettings | None = None) -> "Trainer":
        """Return a site's worker."""
        config = {**self.config, **({"privacy": private.write()} if private else {})}
        app = first_in_path(self.folder / "build" / self.name / "app")
        return Trainer(app, config, data / name, name)

    def code(self) -> ModuleType:
        """Import the app's ``task.py``, with the parameters of the configuration."""
        app = first_in_path(self.folder / "build" / self.name / "app")
        choose(self.config)
        return import_task(app)

    def private(self, most: float, delta: float, clip: float, seed: int = 0) -> PrivacySettings:
        """Return settings with which the run costs each site an epsilon at most, for training."""
        epochs = int(self.config["rounds"]) * int(self.config["local-epochs"])
        return self.private_of(self.sites, self.data(seed), epochs, most, delta, clip)

    def private_of(
        self, sites: Iterable[str], data: Path, epochs: int, most: float, delta: float, clip: float
    ) -> PrivacySettings:
        """Return settings with which so many epochs cost each of some sites an epsilon at most."""
        plans, probe = [], PrivacySettings(1.0, delta, clip, 1.0)
        for name in sites:
            joined, _ = follow(self.site(name, data, probe), Instruction("join", 0, _later()))
            assert joined.spending is not None
            plans.append((joined.spending.sample_rate, joined.spending.steps * epochs))
        return settings_for(most, delta, clip, plans)


@dataclass(frozen=True)
class Run:
    """What came of a federation.

    Attributes:
        model: the final one.
        updates: of the last round, by site.
        spent: epsilon of the site that spent most on training; None without privacy.
    """

    model: Weights
    updates: dict[str, Weights]
    spent: float | None


def federate(example: Example, seed: int, private: PrivacySettings | None = None) -> Run:
    """Run a federation: as many rounds and epochs as its file says, and the server's mean."""
    data, config = example.data(seed), example.config
    workers = [example.site(name, data, private) for name in example.sites]
    steps: list[dict[tuple[float, float], int]] = [{} for _ in workers]
    told = Instruction("train", 1, _later(), epochs=int(config["local-epochs"]), seed=seed)
    root = example.folder / "run"
    root.mkdir(exist_ok=True)
    updates: dict[str, Weights] = {}
    with quiet():
        first = take(workers[0].model(seed))
        save(root / "first.safetensors", first)
        model = Checkpoint(0, WeightFile(root / "first.safetensors"))
        for number in range(1, int(config["rounds"]) + 1):
            given = {name: np.array(array) for name, array in model.weights.load().items()}
            files, examples = [], []
            for place, worker in enumerate(workers):
                outcome, trained = worker.follow(replace(told, round=number), given)
                assert trained is not None
                updates[example.sites[place]] = trained
                save(root / f"{place}.safetensors", trained)
                files.append(WeightFile(root / f"{place}.safetensors"))
                examples.append(float(outcome.examples["trainset"]))
                if cost := outcome.spending:
                    step = (cost.sample_rate, cost.noise)
                    steps[place][step] = steps[place].get(step, 0) + cost.steps
            shares = Weighting.of([one / sum(examples) for one in examples])
            folder = RunFolder(root / "models")
            model = aggregate(FedAvg(), number, model, files, shares, folder, (), hashed=False)
    spent = max(epsilon(each, private.delta) for each in steps) if private else None
    final = {name: np.array(array) for name, array in model.weights.load().items()}
    return Run(final, updates, spent)


def measured(code: ModuleType, model: Weights, table: Path) -> tuple[Floats, Floats]:
    """Return what a model says of the records in a table, and their losses, (records,).

    Of a class that is log p / (1 - p) of the true one, of a number its error.

    Args:
        code: of an example of tables.
        model: its weights.
        table: a CSV file.
    """
    records, truths = code.read_set(table).tensors
    net = code.Model().eval()
    fill(net, model)
    with torch.no_grad():
        outputs = net(records).double().numpy()
    if outputs.ndim == 1:
        errors = outputs - truths.numpy()
        return errors, np.abs(errors)
    row = np.arange(len(truths))
    margins = outputs[row, truths.numpy()] - outputs[row, 1 - truths.numpy()]
    return margins, np.logaddexp(0, -margins)


def follow(
    worker: Trainer, instruction: Instruction, weights: Weights | None = None
) -> tuple[Outcome, Weights | None]:
    """Have a worker follow an instruction, without what it prints."""
    with quiet():
        return worker.follow(instruction, weights)


def first_in_path(app: Path) -> Path:
    """Put an app's folder first in Python's path: of several, each has a module ``task``."""
    with contextlib.suppress(ValueError):
        sys.path.remove(str(app))
    sys.path.insert(0, str(app))
    return app


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Leave out what the author's code prints."""
    with contextlib.redirect_stdout(io.StringIO()):
        yield


def _later() -> float:
    return time.time() + 3600
