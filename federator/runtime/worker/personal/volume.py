"""A site's volume: weights that stay there, by run, model and round.

``RUN/MODEL/round-NNN.safetensors`` are the weights after a round of training, and
``RUN/MODEL/model.safetensors`` is the whole model that was last tested. They outlive the worker,
and are never passed on. Of earlier runs the last one stays.
"""

import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from federator.runtime.protocol.outcomes import Failure
from federator.runtime.weights.format import Weights, WeightsError, load, save

WHOLE = "model.safetensors"
_RUNS = 2  # that are kept: the one that goes on, and the one before
_GROUP = 0o770  # the site may let another user of this group run its worker later


class Volume:
    """Keeps weights in a folder.

    Args:
        folder: the site's; None where it has none.
        every_round: whether the weights of every round are kept; else those of the last two.
    """

    def __init__(self, folder: Path | None, every_round: bool = False) -> None:
        self._given, self._every_round = folder, every_round

    def newest(self, run: str, model: str, number: int) -> tuple[int, Weights] | None:
        """Return the last weights up to a round, and their round; None if there are none.

        Raises:
            Failure: ``no-volume``, if the site has none.
        """
        for found, path in sorted(self._rounds(run, model), reverse=True):
            if found <= number:
                with suppress(OSError, WeightsError):  # an older one may be whole
                    return found, {name: array.copy() for name, array in load(path).items()}
        return None

    def keep(self, run: str, model: str, number: int, weights: Weights) -> None:
        """Keep the weights after a round; those of later rounds were of a run that was stopped.

        Raises:
            Failure: ``not-kept``, if they cannot be written; ``no-volume``, if there is none.
        """
        self._write(run, model, f"round-{number:03d}.safetensors", weights)
        before = [found for found, _ in self._rounds(run, model) if found < number]
        for found, path in self._rounds(run, model):
            if found > number or not (self._every_round or found in (number, *before[-1:])):
                path.unlink(missing_ok=True)

    def keep_whole(self, run: str, model: str, weights: Weights) -> None:
        """Keep a whole model, for the people at the site.

        Raises:
            Failure: as :meth:`keep`.
        """
        self._write(run, model, WHOLE, weights)

    def _write(self, run: str, model: str, name: str, weights: Weights) -> None:
        folder = self._folder / run / model
        try:
            for each in (folder.parent, folder):
                if not each.is_dir():
                    each.mkdir(parents=True)
                    each.chmod(each.stat().st_mode | _GROUP)
            save(folder / name, weights)
            self._forget(run)
        except OSError as error:
            raise Failure("not-kept", type(error).__name__) from None

    def _forget(self, run: str) -> None:
        """Remove what earlier runs have left, but for the last of them."""
        runs = [path for path in self._folder.iterdir() if path.is_dir() and path.name != run]
        runs.sort(key=lambda path: path.stat().st_mtime)
        for path in runs[: 1 - _RUNS]:
            shutil.rmtree(path, ignore_errors=True)

    def _rounds(self, run: str, model: str) -> list[tuple[int, Path]]:
        return sorted(_numbered(self._folder / run / model))

    @property
    def _folder(self) -> Path:
        if self._given is None:
            raise Failure("no-volume")
        return self._given


def _numbered(folder: Path) -> Iterator[tuple[int, Path]]:
    for path in folder.glob("round-*.safetensors"):
        with suppress(ValueError):
            yield int(path.name[6:-12]), path
