"""The object of a plain strategy, made by the server itself: none of the author's code runs."""

import importlib.util
from pathlib import Path

from flwr.serverapp import strategy as strategies

from federator.errors import RunError
from federator.runtime import plain_strategy
from federator.runtime import source_map as sourcemap
from federator.runtime.plain_strategy import NotPlainError, PlainStrategy

_HOW = (
    "the author sets `strategy: own` in federation.yaml: then it runs in a process of its own, by "
    "`federator run` or at a server"
)


def find(module: str) -> Path:
    """Return the file of a module, which is not imported for that.

    Raises:
        RunError: if there is none.
    """
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        raise RunError(f"the app has no module {module}")
    return Path(spec.origin)


def make(file: Path, source_map: str | None, sums: bool = False) -> strategies.Strategy:
    """Return the strategy that a module's text describes; FedAvg if it names none.

    Args:
        file: the module.
        source_map: where the converter wrote which cell each line came from.
        sums: whether only sums of updates will be known (secure aggregation).

    Raises:
        RunError: if the text has to be run, its class does not take its arguments, or sums do not
            do for it, with the cell.
    """
    try:
        found = plain_strategy.read(file.read_text(encoding="utf-8")) or PlainStrategy("FedAvg")
    except NotPlainError as error:
        text = f"the notebook's strategy is code to run at the server: {error.what}"
        raise RunError(f"{placed(text, source_map, file, error.line)}: {_HOW}") from None
    except (TypeError, OSError, ValueError) as error:
        raise RunError(f"the notebook's strategy cannot be read: {error}") from None
    if sums and (why := plain_strategy.beyond_sums(found)):
        raise RunError(placed(why, source_map, file, found.line))
    kind: type[strategies.Strategy] = getattr(strategies, found.name)
    try:
        return kind(*found.places, **found.names)
    except Exception as error:
        text = f"the notebook's strategy cannot be made: {type(error).__name__}: {error}"
        raise RunError(placed(text, source_map, file, found.line)) from None


def placed(text: str, source_map: str | None, file: Path, line: int) -> str:
    """Return a text with the place in the notebook of a line of the module, if known."""
    if source_map is None:
        return text
    return sourcemap.placed(text, sourcemap.read(Path(source_map)), file.name, line)
