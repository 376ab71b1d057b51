"""The differential privacy of whole sites that a federation file asks for, and what excludes it."""

from collections.abc import Mapping

from pydantic import ValidationInfo, field_validator

from federator.federation.parts import Part
from federator.federation.yaml_file import wrong
from federator.runtime.protocol.privacy.settings import objection


class SitePrivacy(Part):
    """Differential privacy of whole sites: the server clips their updates and adds noise."""

    clip: float
    """The largest norm of a site's update, such as 1.0; a longer one is shortened to it."""
    noise: float
    """Standard deviation of the noise on the sum of the updates, in units of clip, such as 1.0."""
    delta: float
    """The probability with which the guarantee may fail, such as 1e-5."""

    @field_validator("clip", "noise", "delta")
    @classmethod
    def _gives_a_guarantee(cls, value: float, info: ValidationInfo) -> float:
        if phrase := objection(str(info.field_name), value):
            raise wrong(phrase)
        return value

    def require_fitting(self, others: Mapping[str, object]) -> None:
        """Check that a federation file asks for nothing that breaks the guarantee.

        Args:
            others: the fields of the file, by name.

        Raises:
            ValueError: if it does.
        """
        if others.get("strategy") == "own":
            raise wrong("is not kept by a strategy of your own", "remove one of the two")
        if others.get("baselines"):
            why = "does not go with `baselines`: the sites' own models get no noise"
            raise wrong(why, "remove `baselines`")
        robust = others.get("robust")
        if robust and getattr(robust, "bounds", None):
            why = "does not go with `robust`: the clipping norm bounds each site already"
            raise wrong(why, "remove `robust`")
