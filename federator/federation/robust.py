"""What bounds the influence of a single site on the model, as the federation file says it."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

from federator.federation.parts import Part
from federator.federation.yaml_file import wrong

_OF_TWO = "of two updates nothing tells which is too long: remove it"


class Robust(Part):
    """What bounds the influence of a single site on the model; what is absent bounds nothing."""

    norm_bound: Annotated[float, Field(ge=1, le=100)] | None = None
    """How long a site's update may be: a multiple of the median norm of the round's updates."""
    max_share: Annotated[float, Field(gt=0, le=1)] | None = None
    """The largest share of the mean that a site may have, however many examples it says it has."""

    @property
    def bounds(self) -> list[str]:
        """The names of those that are set."""
        return [name for name, value in self if value is not None]

    def require_fitting(self, others: Mapping[str, Any]) -> None:
        """Check that these bounds say something, and can be kept.

        Args:
            others: the fields of the file, by name.

        Raises:
            ValueError: if they do not, or cannot.
        """
        bounds = self.bounds
        if bounds and others.get("strategy") == "own":
            raise wrong("is not kept by a strategy of your own", "remove it", at=bounds[:1])
        if "sites" not in others:  # they are wrong, which is told
            return
        sites = len(others["sites"])
        if self.norm_bound is not None and sites < 3:
            raise wrong(f"needs 3 sites or more, not {sites}", _OF_TWO, at=["norm_bound"])
        if self.max_share is not None and self.max_share * sites < 1:
            few = f"must be at least 1/{sites}, since there are {sites} sites"
            raise wrong(few, at=["max_share"])
