"""The differential privacy that a federation file asks for, and what does not go with it."""

from collections.abc import Mapping
from typing import Literal

from pydantic import ValidationInfo, field_validator

from federator.federation.parts import Part
from federator.federation.yaml_file import wrong
from federator.runtime.protocol.privacy.settings import PrivacySettings, objection


class Privacy(Part):
    """Differential privacy of each training at a site (DP-SGD), accounted there."""

    epsilon: float
    """The most that all trainings at a site may cost together, such as 8; smaller hides more."""
    delta: float
    """The probability with which that may fail, such as 1e-5; at most 1/n for n records."""
    clip: float
    """The largest norm of one record's gradient, such as 1.0; what is above is clipped."""
    noise: float
    """Standard deviation of the noise on a sum of gradients, in units of clip, such as 1.1."""
    unit: Literal["record", "patient"] = "record"
    """What is hidden: a record, or all records of a patient, whom patients_of tells apart."""

    @field_validator("epsilon", "delta", "clip", "noise")
    @classmethod
    def _gives_a_guarantee(cls, value: float, info: ValidationInfo) -> float:
        if phrase := objection(str(info.field_name), value):
            raise wrong(phrase)
        return value

    @property
    def settings(self) -> PrivacySettings:
        """The same, as link and worker are told."""
        return PrivacySettings.of(self.model_dump())

    def require_fitting(self, others: Mapping[str, object]) -> None:
        """Check that a federation file asks for nothing that privacy excludes.

        Args:
            others: the fields of the file, by name.

        Raises:
            ValueError: if it does.
        """
        if others.get("personal"):
            raise wrong(
                "does not go with `personal: ditto`: the sites' own models get no noise, and "
                "counts of them would leave",
                "remove `personal`",
            )
        if others.get("survey") == "required":
            raise wrong(
                "does not go with `survey: required`: a survey tells of training sets without "
                "noise",
                "remove `survey`: under privacy no site tells one",
            )
        if others.get("select") == "best":
            raise wrong(
                "does not go with `select: best`: no loss leaves a site, by which rounds are "
                "compared",
                "remove `select`",
            )
        if others.get("metrics"):
            raise wrong(
                "does not go with `metrics`: numbers that test returns get no noise, and do not "
                "leave",
                "remove `metrics`",
            )
