"""What the journal says of a masked sum: of which sites it is, and how exact."""

from pydantic import BaseModel, ConfigDict


class MaskedSum(BaseModel):
    """How a round's sum was made by secure aggregation; what a later version adds is ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    attempts: int
    sites: list[str]  # whose updates are in the sum
    quantum: float  # the mean differs by at most half of it, times the sites
    bound: float  # no step of a number is larger in the sum
    saturated: dict[str, int] = {}  # how many numbers were larger, of a site that had some
