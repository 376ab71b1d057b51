"""What the journal says of the sites' updates: norm, direction, weight, and which is unusual."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from federator.runtime.protocol.evaluation.tables import rounded
from federator.runtime.server.aggregation.contribution import Update
from federator.runtime.server.aggregation.geometry import Geometry
from federator.runtime.server.aggregation.robust import Weighting
from federator.runtime.server.aggregation.unusual import unusual
from federator.runtime.server.secure_aggregation.masked_sum import MaskedSum


@dataclass(frozen=True)
class Inspection:
    """What is known of a round's updates.

    Attributes:
        updates: by site.
        unusual: by site, why its update is.
        epsilon: what site-level privacy has cost in this and all earlier rounds.
        masked: how their sum was made, by secure aggregation; nothing else is known of them then.
    """

    updates: Mapping[str, Update] = field(default_factory=dict)
    unusual: Mapping[str, str] = field(default_factory=dict)
    epsilon: float | None = None
    masked: MaskedSum | None = None


def inspect(
    sites: Sequence[str], geometry: Geometry, weighting: Weighting | None = None
) -> Inspection:
    """Describe a round's updates.

    Args:
        sites: their names.
        geometry: of their updates, in the same order.
        weighting: how much each counts; None where the strategy makes no mean of them.
    """
    updates, norms, cosines = {}, geometry.norms, geometry.cosines
    for place, site in enumerate(sites):
        cosine = float(cosines[place])
        known: dict[str, float] = {"norm": rounded(float(norms[place]), 4)}
        if not math.isnan(cosine):
            known["cosine"] = round(cosine, 4)
        if weighting is not None:
            known["share"] = round(weighting.shares[place], 4)
            if weighting.scales[place] < 1:
                known["scale"] = rounded(weighting.scales[place], 4)
        updates[site] = Update.model_validate(known)
    return Inspection(updates, unusual(sites, geometry))
