"""Which tensors of a model stay at a site: those that a pattern of the federation file names.

The others are *shared*: server, messages and files have these only. With BatchNorm's tensors local
this is FedBN (Li et al. 2021, https://arxiv.org/abs/2102.07623), with the last layers local FedPer
(Arivazhagan et al. 2019, https://arxiv.org/abs/1912.00818).
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import TypeVar

from federator.runtime.app_config import Setting
from federator.runtime.weights.format import WeightsError, listed

Of = TypeVar("Of")

SETTING = "local"
"""The key of an app's configuration at which the patterns stand, joined by commas."""
_NEAREST = 3


class LocalTensorsError(WeightsError):
    """Patterns that do not go with the model, in words."""


@dataclass(frozen=True)
class LocalTensors:
    """The tensors that stay at a site.

    Attributes:
        patterns: over the names of a state dictionary, as of fnmatch; ``*`` crosses dots.
    """

    patterns: tuple[str, ...] = ()

    @staticmethod
    def of(config: Mapping[str, Setting]) -> "LocalTensors":
        """Return what an app's configuration names."""
        return LocalTensors(tuple(filter(None, str(config.get(SETTING, "")).split(","))))

    def __bool__(self) -> bool:
        return bool(self.patterns)

    def has(self, name: str) -> bool:
        """Return whether the tensor of this name stays at a site."""
        return any(fnmatchcase(name, pattern) for pattern in self.patterns)

    def names(self, names: Iterable[str]) -> list[str]:
        """Return those of some names that stay at a site."""
        return [name for name in names if self.has(name)]

    def local(self, tensors: Mapping[str, Of]) -> dict[str, Of]:
        """Return what stays at a site of something by the tensors' names."""
        return {name: one for name, one in tensors.items() if self.has(name)}

    def shared(self, tensors: Mapping[str, Of]) -> dict[str, Of]:
        """Return what does not stay at a site of something by the tensors' names."""
        return {name: one for name, one in tensors.items() if not self.has(name)}

    def require_shared_only(self, names: Iterable[str]) -> None:
        """Check that a model on its way, or at the server, has no tensor that stays at a site.

        Raises:
            LocalTensorsError: naming the first that it has.
        """
        if found := self.names(names):
            raise LocalTensorsError(
                f"the model has {listed(found)}, which `local` keeps at the sites"
            )

    def require_fitting(self, names: Collection[str], same: Iterable[tuple[str, str]] = ()) -> None:
        """Check that the patterns go with a whole model.

        Args:
            names: of all its tensors.
            same: pairs of names that stand for one tensor (tied weights).

        Raises:
            LocalTensorsError: if a pattern names nothing, all tensors are named, or a tensor is
                both local and shared.
        """
        for pattern in self.patterns:
            if not any(fnmatchcase(name, pattern) for name in names):
                nearest = get_close_matches(pattern.replace("*", ""), names, _NEAREST, 0.0)
                raise LocalTensorsError(
                    f"no tensor of the model is called {pattern}; the nearest names: "
                    f"{', '.join(nearest)}"
                )
        if self and len(self.names(names)) == len(names):
            raise LocalTensorsError("all tensors of the model are local, so that none is shared")
        for one, other in same:
            if self.has(one) != self.has(other):
                local, shared = (one, other) if self.has(one) else (other, one)
                raise LocalTensorsError(
                    f"{local} is the same tensor as {shared}, which is shared: name both or none"
                )
