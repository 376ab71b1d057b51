"""The author's code at a site: ``task.py`` imported once, its data loaded once, then kept warm."""

import inspect
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from federator.runtime import metrics
from federator.runtime.authored import import_task, seed_all, telling
from federator.runtime.disclosure import SETS
from federator.runtime.encoding import model_form, read_model, write_update
from federator.runtime.instructions import Instruction
from federator.runtime.outcomes import Evaluation, Failure, Outcome, Scores
from federator.runtime.parameters import Setting, choose
from federator.runtime.predictions import (
    decide,
    integers,
    predict_logits,
    read_prediction,
    read_test,
)
from federator.runtime.scratch import Workspace
from federator.runtime.weights import Weights, describe

if TYPE_CHECKING:
    import torch

log = logging.getLogger("federator")

_BINS = 64


@dataclass(frozen=True)
class Labels:
    """The names of the labels, and which one is positive (None where there are more than two)."""

    names: tuple[str, ...]
    positive: int | None

    @staticmethod
    def of(config: Mapping[str, Setting]) -> "Labels":
        """Return the labels that an app's configuration names."""
        names = tuple(str(config["labels"]).split(","))
        positive = names.index(str(config["positive"])) if len(names) == 2 else None
        return Labels(names, positive)


class Task:
    """The author's parts, ready to be told what to do.

    Args:
        folder: where ``task.py`` lies; None to import it from Python's path.
        config: the app's configuration, as the run has it.
        data: the site's data folder.
        site: the site's name; it takes part in the seeds.

    Raises:
        Failure: if there is no data, or the author's code cannot be imported.
    """

    def __init__(
        self, folder: Path | None, config: Mapping[str, Setting], data: Path, site: str
    ) -> None:
        self.loads = 0
        self._folder, self._data, self._site = folder, data, site
        self._labels = Labels.of(config)
        if not data.is_dir():
            raise Failure("data-missing")
        if not any(data.iterdir()):
            raise Failure("data-empty")
        choose(config)
        self._workspace = Workspace(folder, data)
        with telling("import"), self._workspace.entered():
            self._module = import_task(folder)
        self._net: torch.nn.Module | None = None
        self._loaders: dict[str, object] = {}
        self._examples: dict[str, int] = {}
        self._left: dict[str, Weights] = {}  # what roundings have left over, by model

    @telling()
    def follow(
        self, instruction: Instruction, weights: Weights | None
    ) -> tuple[Outcome, Weights | None]:
        """Do what an instruction says; return counts, and weights if it trained.

        Raises:
            Failure: if the author's code or the data does not allow it.
        """
        with self._workspace.entered():
            return self._follow(instruction, weights)

    def _follow(
        self, instruction: Instruction, weights: Weights | None
    ) -> tuple[Outcome, Weights | None]:
        self._load()
        if weights is None:
            return Outcome(self._examples), None
        net = self.model(instruction.seed)
        tensors, encoding = describe(take(net)), instruction.encoding
        if model_form(tensors, encoding) != describe(weights):
            raise Failure("misfit")
        given = read_model(weights, tensors, encoding)
        _fill(net, given)
        evaluations = {name: self._evaluate(net, name, instruction) for name in instruction.sets}
        if instruction.kind != "train":
            return Outcome(self._examples, evaluations), None
        self._net = None  # until it is known that training left its tensors as they were
        self._train(net, instruction)
        trained = take(net)
        if describe(trained) == tensors:
            self._net = net
            trained = {name: trained[name] for name in weights}
            left = self._left.setdefault(instruction.model, {})
            trained = write_update(given, trained, encoding, left)
        return Outcome(self._examples, evaluations), trained

    @telling()
    def label_counts(self) -> dict[str, list[int]]:
        """Return how many examples of each label every set holds, where labels are classes.

        Raises:
            Failure: as :meth:`follow`.
        """
        with self._workspace.entered():
            return self._label_counts()

    def _label_counts(self) -> dict[str, list[int]]:
        self._load()
        classes = len(self._labels.names)
        found = {}
        for name, loader in self._loaders.items():
            counts = np.zeros(classes, np.int64)
            for batch in loader:  # type: ignore[attr-defined]
                labels = integers(batch[1])
                if labels is None:
                    break
                if not set(labels.tolist()) <= set(range(classes)):
                    raise Failure("labels")
                counts += np.bincount(labels, minlength=classes)
            else:
                found[name] = counts.tolist()
        return found

    def model(self, seed: int) -> "torch.nn.Module":
        """Return the author's ``Model()``, built once, from a seed."""
        import torch

        if self._net is None:
            seed_all(seed)
            net = self._module.Model()
            if not isinstance(net, torch.nn.Module):
                raise Failure("contract", "Model")
            self._net = net.to(self._device())
        return self._net

    def _device(self) -> "torch.device":
        import torch

        chosen = getattr(self._module, "DEVICE", None) or getattr(self._module, "device", None)
        return torch.device(chosen or ("cuda" if torch.cuda.is_available() else "cpu"))

    def _load(self) -> None:
        if self._loaders:
            return
        self.loads += 1
        load_data = self._module.load_data
        parameters = list(inspect.signature(load_data).parameters.values())[:1]
        takes_path = any(p.default is p.empty or p.name == "data_path" for p in parameters)
        seed_all(0)
        found = load_data(str(self._data)) if takes_path else load_data()
        try:
            *loaders, examples = found
            self._examples = {name: int(examples[name]) for name in SETS}
            loaders_by_set = dict(zip(("train", "val", "test"), loaders, strict=True))
        except (TypeError, ValueError, KeyError):
            raise Failure("contract", "load_data") from None
        if min(self._examples.values()) <= 0:
            raise Failure("data-empty")
        self._check_labels(loaders_by_set["train"])
        self._loaders = loaders_by_set
        log.info("data loaded (%d): %s", self.loads, self._examples)

    def _check_labels(self, loader: object) -> None:
        """Read the training set until two labels were seen."""
        seen: set[int] = set()
        for batch in loader:  # type: ignore[attr-defined]
            labels = integers(batch[1]) if isinstance(batch, tuple | list) else None
            if labels is None:
                return
            seen.update(labels.tolist())
            if not seen <= set(range(len(self._labels.names))):
                raise Failure("labels")
            if len(seen) > 1:
                return
        raise Failure("single-class")

    def _train(self, net: "torch.nn.Module", instruction: Instruction) -> None:
        accepted = inspect.signature(self._module.train).parameters
        extra: dict[str, object] = {}
        if "proximal_mu" in accepted:
            extra["proximal_mu"] = instruction.proximal_mu
        if "global_weights" in accepted:
            extra["global_weights"] = [p.detach().clone() for p in net.parameters()]
        seed_all(instruction.seed, instruction.round, self._site)
        net.train()
        self._module.train(
            net, self._loaders["train"], self._loaders["val"], instruction.epochs, **extra
        )

    def _evaluate(self, net: "torch.nn.Module", name: str, instruction: Instruction) -> Evaluation:
        loader = self._loaders[name]
        seed_all(instruction.seed, instruction.round, name)
        net.eval()
        loss, further = read_test(self._module.test(net, loader))
        net.eval()
        predict: Callable[..., object] = getattr(self._module, "predict", predict_logits)
        labels, scores = read_prediction(predict(net, loader))
        classes, positive = len(self._labels.names), self._labels.positive
        try:
            predicted, chances = decide(scores, classes, positive)
            counts = metrics.confusion(labels, predicted, classes)
        except ValueError:
            log.exception("%s set", name)
            raise Failure("labels") from None
        binned: Scores | None = None
        if chances is not None and np.all((chances >= 0) & (chances <= 1)):
            binned = {"bins": _BINS, "counts": metrics.histogram(labels, chances, _BINS)}
        return Evaluation(counts, loss, len(labels), further, binned)


def take(net: "torch.nn.Module") -> Weights:
    """Return a model's state dictionary as arrays.

    Raises:
        Failure: if a tensor has a type that numpy does not know (bfloat16).
    """
    try:
        return {
            name: tensor.detach().cpu().numpy().copy() for name, tensor in net.state_dict().items()
        }
    except TypeError:
        raise Failure("contract", "Model") from None


def _fill(net: "torch.nn.Module", weights: Weights) -> None:
    import torch

    net.load_state_dict({name: torch.from_numpy(array.copy()) for name, array in weights.items()})
