"""Which site's update is unusual beside those of the others, by its norm and by its direction.

The rule is that of Iglewicz and Hoaglin 1993 ("How to Detect and Handle Outliers", p. 11; NIST
e-Handbook, 1.3.5.17): a value is an outlier if it is further than 3.5 times 1.4826 MAD from the
median, MAD being the median of the absolute deviations. It holds with up to half of the sites
poisoned. Of few sites the MAD is often much too small by chance, so that it has a lower limit,
chosen by judgement. How often a site is named then in runs that nobody had poisoned is counted by
`python -m benchmarks poisoning`.
"""

import math
from collections.abc import Sequence

import numpy as np

from federator.runtime.server.aggregation.geometry import LEAST_SITES, Geometry, Numbers

_CUT = 3.5
_MAD = 1.4826  # times the MAD is the standard deviation of normal values
_NORM_SPREAD = 0.4  # of the norm's natural logarithm: so at least a factor of 4 is unusual
_ANGLE_SPREAD = math.radians(15)  # so at least 52 degrees are


def unusual(sites: Sequence[str], geometry: Geometry) -> dict[str, str]:
    """Return what is unusual in the sites' updates, in words, by site.

    Args:
        sites: their names, as the geometry has them.
        geometry: of their updates.
    """
    if len(sites) < LEAST_SITES:
        return {}
    norms, cosines = geometry.norms, geometry.cosines
    tiny = max(float(norms.max()), 1e-300) * 1e-12
    logs = np.log(np.maximum(norms, tiny))
    angles = np.arccos(np.where(np.isnan(cosines), 0.0, cosines))
    found: dict[str, list[str]] = {}
    for place, far in enumerate(_deviations(logs, _NORM_SPREAD)):
        if abs(far) > _CUT:
            factor = math.exp(logs[place] - float(np.median(logs)))
            than = f"{factor:.3g} times the median of all sites"
            found.setdefault(sites[place], []).append(f"its norm is {than}")
    for place, far in enumerate(_deviations(angles, _ANGLE_SPREAD)):
        if far > _CUT and not math.isnan(cosines[place]):
            degrees = math.degrees(angles[place])
            usual = math.degrees(float(np.median(angles)))
            found.setdefault(sites[place], []).append(
                f"its direction is {degrees:.0f}° from that of the others (median {usual:.0f}°)"
            )
    return {site: " and ".join(texts) for site, texts in found.items()}


def _deviations(values: Numbers, least: float) -> list[float]:
    """Return how far each value is from the median, in robust standard deviations."""
    middle = np.median(values)
    spread = max(_MAD * float(np.median(np.abs(values - middle))), least)
    return [float(value) for value in (values - middle) / spread]
