"""A site's sets: loaded once by the author's ``load_data``, checked, and kept warm."""

import inspect
import logging
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType

from federator.runtime.protocol.disclosure import SETS
from federator.runtime.protocol.notices import Notice
from federator.runtime.protocol.outcomes import Failure
from federator.runtime.worker.author_code import reporting_failures, seed_all
from federator.runtime.worker.loaders import require_batches
from federator.runtime.worker.tasks.base import Reader

log = logging.getLogger("federator")


class SiteData:
    """The loaders of a site's sets, and how many examples each set has.

    Args:
        module: the author's.
        folder: the site's data folder.
        reader: of the federation's task, which checks the training set.

    Raises:
        Failure: if there is no data.
    """

    def __init__(self, module: ModuleType, folder: Path, reader: Reader) -> None:
        self._module, self._folder, self._reader = module, folder, reader
        self.loads = 0
        """How often the data were loaded."""
        self.loaders: dict[str, object] = {}
        """By ``train``, ``val`` and ``test``; none before :meth:`load`."""
        self.examples: dict[str, int] = {}
        """By ``trainset``, ``valset`` and ``testset``, as ``load_data`` says."""

    @property
    def sets(self) -> dict[str, object]:
        """The loaders of those sets that have examples."""
        return {part: one for part, one in self.loaders.items() if self.size(part)}

    def size(self, part: str) -> int:
        """Return how many examples a set has."""
        return self.examples[f"{part}set"]

    def first(self, part: str) -> object:
        """Return the first batch of a set; None where there is none."""
        with reporting_failures(part="load_data"):
            return next(iter(self.loaders[part]), None)  # type: ignore[call-overload]

    def load(self) -> tuple[Notice, ...]:
        """Load the data, unless they are; return what there is to warn of.

        Raises:
            Failure: if ``load_data`` fails, or returns something else than it must.
        """
        if self.loaders:
            return ()
        self.loads += 1
        load_data = self._module.load_data
        parameters = list(inspect.signature(load_data).parameters.values())[:1]
        takes_path = any(p.default is p.empty or p.name == "data_path" for p in parameters)
        seed_all(0)
        with reporting_failures(part="load_data"):
            found = load_data(str(self._folder)) if takes_path else load_data()
        try:
            *loaders, examples = found
            self.examples = {name: int(examples[name]) for name in SETS}
            loaders_by_set = dict(zip(("train", "val", "test"), loaders, strict=True))
        except (TypeError, ValueError, KeyError):
            raise Failure("contract", "load_data") from None
        if self.examples["trainset"] <= 0:
            raise Failure("data-empty", set="train")
        if min(self.examples.values()) < 0:
            raise Failure("contract", "load_data")
        with reporting_failures(part="load_data"):
            notices = self._check(loaders_by_set)
        self.loaders = loaders_by_set
        log.info("data loaded (%d): %s", self.loads, self.examples)
        return notices

    def _check(self, loaders: Mapping[str, object]) -> tuple[Notice, ...]:
        """Check the loaders, and the training set's labels."""
        notices = []
        for part, loader in loaders.items():
            if examples := self.size(part):
                require_batches(loader, part, examples)
            else:
                notices.append(Notice("no-examples", part))
        return (*notices, *self._reader.check_training_set(loaders["train"]))


def require_data(folder: Path) -> None:
    """Check that a data folder is there, with something in it.

    Raises:
        Failure: if not.
    """
    if not folder.is_dir():
        raise Failure("data-missing")
    if not any(folder.iterdir()):
        raise Failure("data-empty")
