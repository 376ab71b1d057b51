"""The author's code at a site: ``task.py`` imported once, its data loaded once, then kept warm."""

import inspect
import logging
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from federator.runtime.app_config import Setting, choose, local_steps
from federator.runtime.protocol.evaluation.settings import EvaluationSettings
from federator.runtime.protocol.instructions import FEDERATION, PERSONAL, Instruction
from federator.runtime.protocol.notices import Notice
from federator.runtime.protocol.outcomes import Evaluation, Failure, Outcome
from federator.runtime.protocol.survey import Survey
from federator.runtime.protocol.train_settings import split_settings
from federator.runtime.weights.encoding import model_form, read_model, write_update
from federator.runtime.weights.format import Tensor, Weights, describe
from federator.runtime.weights.local_tensors import LocalTensors
from federator.runtime.worker.author_code import import_task, reporting_failures, seed_all
from federator.runtime.worker.evaluation import Evaluator
from federator.runtime.worker.loaders import Drawn, draw, has_lone_example, is_plain_pair
from federator.runtime.worker.outputs import needs_more_than_one
from federator.runtime.worker.personal.ditto import Ditto, centres_of
from federator.runtime.worker.personal.local_part import LocalPart
from federator.runtime.worker.personal.volume import Volume
from federator.runtime.worker.privacy.training import PrivateTraining
from federator.runtime.worker.sandbox.pretrained import structure
from federator.runtime.worker.sandbox.scratch import Workspace
from federator.runtime.worker.site_data import SiteData, require_data
from federator.runtime.worker.state import fill, has_changed, take
from federator.runtime.worker.survey.reading import take_survey
from federator.runtime.worker.training.batches import Training
from federator.runtime.worker.training.throughput import Throughput, measure

if TYPE_CHECKING:
    import torch

log = logging.getLogger("federator")


class Trainer:
    """The author's parts, ready to be told what to do.

    Args:
        folder: where ``task.py`` lies; None to import it from Python's path.
        config: the app's configuration, as the run has it.
        data: the site's data folder.
        site: the site's name; it takes part in the seeds.
        personal: the folder of what stays at the site; None where it has none.

    Raises:
        Failure: if there is no data, or the author's code cannot be imported.
    """

    def __init__(
        self,
        folder: Path | None,
        config: Mapping[str, Setting],
        data: Path,
        site: str,
        personal: Path | None = None,
    ) -> None:
        self._told = False
        self._folder, self._site = folder, site
        require_data(data)
        choose(config)
        self._workspace = Workspace(folder, data)
        with reporting_failures("import"), self._workspace.entered():
            self._module = import_task(folder)
        self._settings = EvaluationSettings.of(config)
        self._evaluator = Evaluator(self._module, self._settings)
        self._data = SiteData(self._module, data, self._evaluator.reader)
        volume = Volume(personal, every_round=config.get("select") == "best")
        self._local = LocalPart(LocalTensors.of(config), volume)
        self._ditto = Ditto.of(config, volume, self._module) if config.get(PERSONAL) else None
        self._private = PrivateTraining.of(config, self._module)
        self._training = Training(local_steps(config))
        self._net: torch.nn.Module | None = None
        self._form: dict[str, Tensor] = {}  # of the model as Model() gave it
        self._left: dict[str, Weights] = {}  # what roundings have left over, by model

    @property
    def loads(self) -> int:
        """How often the data were loaded."""
        return self._data.loads

    @reporting_failures()
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
        notices = list(self._data.load())
        if self._ditto and instruction.model == PERSONAL and instruction.kind == "evaluate":
            net = self.model(instruction.seed)
            fill(net, self._ditto.tested(self._form, instruction))
            return self._outcome(*self._evaluate_all(net, instruction)), None
        if weights is None:
            notices += self._look_ahead(instruction.seed)
            outcome = self._outcome({}, notices)
            if self._private:  # whose survey does not leave: it tells of the training set
                net = self.model(instruction.seed)
                epoch = self._private.epoch(net, self._data.loaders["train"])
                return replace(outcome, spending=epoch), None
            return replace(outcome, survey=self._survey() if instruction.survey else None), None
        net = self.model(instruction.seed)
        self._require_form(net)
        shared, encoding = self._local.tensors.shared(self._form), instruction.encoding
        if model_form(shared, encoding) != describe(weights):
            raise Failure("misfit")
        given = read_model(weights, shared, encoding)
        whole, told = self._local.complete(given, instruction)
        notices += told
        fill(net, whole)
        self._local.keep_tested(whole, instruction)
        evaluations, more = self._evaluate_all(net, instruction)
        notices += more
        if instruction.kind != "train":
            return self._outcome(evaluations, notices), None
        self._net = None  # until it is known that training left its tensors as they were
        notices += self._train(net, instruction)
        if instruction.epochs and not has_changed(net, whole):
            notices.append(Notice("unchanged"))
        trained = take(net)
        if describe(trained) == self._form:
            self._net = net
            self._local.keep(trained, instruction)
            trained = {name: trained[name] for name in weights}
            left = self._left.setdefault(instruction.model, {})
            trained = write_update(given, trained, encoding, left)
            if self._ditto and instruction.model == FEDERATION:
                self._net = None
                notices += self._ditto.train(net, whole, instruction, self._train)
                self._net = net
        elif self._local.tensors:  # what grew may have a name that stays
            raise Failure("grown")
        outcome = self._outcome(evaluations, notices)
        return replace(outcome, spending=self._private.spent if self._private else None), trained

    def _outcome(self, evaluations: dict[str, Evaluation], notices: Iterable[Notice]) -> Outcome:
        told = tuple(dict.fromkeys(notices))
        for notice in told:
            log.warning("%s", notice)
        return Outcome(self._data.examples, evaluations, told)

    @reporting_failures(part="load_data")
    def label_counts(self) -> dict[str, Drawn]:
        """Read every set that has examples through, and return what it gave.

        Raises:
            Failure: as :meth:`follow`.
        """
        with self._workspace.entered():
            self._data.load()
            task = self._settings.task
            classes = task.size if task.name == "classification" else 0  # no others are counted
            return {part: draw(loader, classes) for part, loader in self._data.sets.items()}

    @reporting_failures(part="load_data")
    def throughput(self) -> Throughput | None:
        """Measure how fast the training set is read, and the model computes; the model is spoilt.

        Raises:
            Failure: as :meth:`follow`.
        """
        with self._workspace.entered():
            self._data.load()
            return measure(self.model(0), self._data.loaders["train"])

    def model(self, seed: int) -> "torch.nn.Module":
        """Return the author's ``Model()``, built once, from a seed."""
        import torch

        if self._net is None:
            seed_all(seed)
            with reporting_failures(part="Model"):
                net = structure(self._module.Model)
            if not isinstance(net, torch.nn.Module):
                raise Failure("contract", "Model")
            self._net = net.to(self._device())
            made = take(self._net)
            self._form = describe(made)
            self._local.begin(made)
        return self._net

    def _require_form(self, net: "torch.nn.Module") -> None:
        """Check that a model still has the tensors that ``Model()`` gave it.

        Raises:
            Failure: ``grown``, if not.
        """
        if describe(take(net)) != self._form:
            self._net = None
            raise Failure("grown")

    def _device(self) -> "torch.device":
        import torch

        chosen = getattr(self._module, "DEVICE", None) or getattr(self._module, "device", None)
        return torch.device(chosen or ("cuda" if torch.cuda.is_available() else "cpu"))

    def _look_ahead(self, seed: int) -> list[Notice]:
        """Find what would fail only after training began: labels, outputs, a last batch of one.

        Raises:
            Failure: if the labels of a set, or the model's outputs, are not what they must be.
        """
        reader, sets = self._evaluator.reader, self._data.sets
        notices = self._training.look_ahead(self._data.loaders["train"])
        lone = has_lone_example(self._data.loaders["train"])
        if not reader.predicts:
            batches = {part: self._data.first(part) for part in sets if part != "train"}
            for part, batch in batches.items():  # the training set's were read (site_data.py)
                reader.check_batch(batch, part)
            part = "val" if "val" in sets else "train"
            batch = batches["val"] if part == "val" else self._data.first(part)
            reader.check_outputs(self.model(seed), batch, part)
            self._require_form(self.model(seed))
        if lone and is_plain_pair(batch := self._data.first("train")):
            assert isinstance(batch, tuple | list)
            if needs_more_than_one(self.model(seed), batch[0]):
                notices.append(Notice("last-batch", "train"))
        return notices

    def _survey(self) -> Survey:
        """Count what the data hold.

        The records' hashes are salted with the code that the site took, by hand: whoever starts
        runs gets no other hashes, and so no more of the records, by starting more of them.
        """
        text = Path(str(self._module.__file__)).read_bytes()
        sizes = {part: self._data.size(part) for part in self._data.sets}
        return take_survey(self._data.sets, sizes, self._settings.task, sha256(text).digest())

    def _train(
        self, net: "torch.nn.Module", instruction: Instruction, centre: Weights | None = None
    ) -> list[Notice]:
        """Train a model by the author's ``train``; return what there is to warn of."""
        accepted = inspect.signature(self._module.train).parameters
        given, left = split_settings(self._module.train, instruction.settings)
        if left and not self._told:
            log.warning("train takes no %s, which the strategy writes for it", ", ".join(left))
            self._told = True
        extra: dict[str, object] = {**given}
        mu = 0.0 if self._private else instruction.proximal_mu
        if "proximal_mu" in accepted:
            extra["proximal_mu"] = mu
        if "global_weights" in accepted:
            own = [p.detach().clone() for p in net.parameters()]
            extra["global_weights"] = own if centre is None else centres_of(net, centre)
        seed_all(instruction.seed, instruction.round, self._site)
        net.train()
        loaders = self._data.loaders
        private: AbstractContextManager[object] = nullcontext()
        if self._private:
            private = self._private.session(net, loaders["train"], instruction)
        with private as privacy:
            if privacy and "privacy" in accepted:
                extra["privacy"] = privacy
            train = self._module.train
            return self._training.run(train, net, loaders, instruction.epochs, extra)

    def _evaluate_all(
        self, net: "torch.nn.Module", instruction: Instruction
    ) -> tuple[dict[str, Evaluation], list[Notice]]:
        """Evaluate a model on each set that is asked for and has examples."""
        evaluations, notices = {}, list[Notice]()
        for part in instruction.sets:
            if self._private and part == "train":  # no loss of the training set leaves
                continue
            if self._data.size(part):
                evaluations[part], told = self._evaluate(net, part, instruction)
                notices += told
        return evaluations, notices

    def _evaluate(
        self, net: "torch.nn.Module", part: str, instruction: Instruction
    ) -> tuple[Evaluation, tuple[Notice, ...]]:
        seed_all(instruction.seed, instruction.round, part)
        examples = self._data.size(part)
        return self._evaluator.evaluate(
            net, self._data.loaders[part], part, examples, instruction.round
        )
