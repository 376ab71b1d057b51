"""What the journal says of a site's part in a round: what it did, and what its update is like."""

from pydantic import BaseModel, ConfigDict


class Update(BaseModel):
    """What a site's update is beside the others' (geometry.py)."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    norm: float  # Euclidean, of the change of all parameters
    cosine: float | None = None  # to the mean of the other sites' directions
    share: float | None = None  # of the mean that the next model is; None if it is no such mean
    scale: float = 1.0  # what `robust: norm_bound` multiplied the change by


class Contribution(BaseModel):
    """What a site did in a round."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    ok: bool
    reason: str | None = None
    examples: int = 0
    seconds: float | None = None
    bytes_down: int = 0
    bytes_up: int = 0
    bytes_known: int = 0  # of weights that did not travel, since the other side had them
    update: Update | None = None
