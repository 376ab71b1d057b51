"""Flower's strategies of differential privacy: refused, since their guarantee does not hold here.

Their noise is sized for a plain mean over the sites, but sites are weighed by their numbers of
examples, so that one site moves the model by more than is assumed; their norm takes in counters
(BatchNorm's); and those that clip at the sites need what no site here does.
"""

from collections.abc import Iterator, Mapping

from flwr.serverapp.strategy import (
    DifferentialPrivacyClientSideAdaptiveClipping,
    DifferentialPrivacyClientSideFixedClipping,
    DifferentialPrivacyServerSideAdaptiveClipping,
    DifferentialPrivacyServerSideFixedClipping,
    Strategy,
)

from federator.errors import RunError

_PRIVATE = (
    DifferentialPrivacyClientSideAdaptiveClipping,
    DifferentialPrivacyClientSideFixedClipping,
    DifferentialPrivacyServerSideAdaptiveClipping,
    DifferentialPrivacyServerSideFixedClipping,
)


def refuse_private(strategy: object) -> None:
    """Refuse such a strategy: by itself, as a subclass, or within another.

    Raises:
        RunError: with the reason.
    """
    for each in _parts(strategy, set()):
        if isinstance(each, _PRIVATE):
            raise RunError(
                f"{type(each).__name__} is refused: its noise is sized for a plain mean over the "
                "sites, but sites are weighed by their numbers of examples, so it protects less "
                "than it says. Use the strategy without it, and `site_privacy` in federation.yaml"
            )


def _parts(one: object, seen: set[int]) -> Iterator[object]:
    """Yield an object and the strategies that it holds, each once."""
    if id(one) in seen:
        return
    seen.add(id(one))
    yield one
    for held in vars(one).values() if hasattr(one, "__dict__") else ():
        several = held.values() if isinstance(held, Mapping) else held
        for each in several if isinstance(several, list | tuple | type({}.values())) else (held,):
            if isinstance(each, Strategy):
                yield from _parts(each, seen)
