"""Findings on records: the same ones at two sites, or in two sets of one site.

Each set's records are projected to a few dozen numbers (worker/survey/counting.py). Those of two
sets are correlated as far as the sets share records: by the number of shared records through the
root of the product of the sets' sizes.
"""

import math
from collections.abc import Mapping
from itertools import combinations
from statistics import NormalDist

from federator.runtime.protocol.evaluation.tables import Table
from federator.runtime.protocol.notices import SET_NAMES
from federator.runtime.protocol.survey import SETS, Survey
from federator.runtime.server.survey.finding import Finding

# Chance that unrelated sets are taken for the same in a run, over all comparisons of its sets.
_CHANCE = 1e-4
_WITHIN = 0.01  # share of a set's records that may be in another of the site


def same_records(surveys: Mapping[str, Survey]) -> list[Finding]:
    """Find records that two sites have in common."""
    sketches = {
        (site, part): table
        for site, survey in surveys.items()
        for part in SETS
        if (table := survey.tables.get(f"sketch.{part}")) is not None
    }
    pairs = [pair for pair in combinations(sketches, 2) if pair[0][0] != pair[1][0]]
    if not pairs:
        return []
    limit = NormalDist().inv_cdf(1 - _CHANCE / len(pairs))
    found: dict[tuple[str, str], list[str]] = {}
    for one, other in pairs:
        share, sure = _common(sketches[one], sketches[other])
        if sure > limit:
            text = (
                f"{one[0]}'s {SET_NAMES[one[1]]} and {other[0]}'s {SET_NAMES[other[1]]} "
                f"({share:.0%})"
            )
            found.setdefault((one[0], other[0]), []).append(text)
    return [
        Finding.of("same data", sites, f"records are the same: {'; '.join(texts)}")
        for sites, texts in found.items()
    ]


def same_records_within(surveys: Mapping[str, Survey]) -> list[Finding]:
    """Find records that a site has in two of its sets."""
    found: dict[str, list[str]] = {}
    for site, survey in surveys.items():
        texts = []
        for first, second in combinations(SETS, 2):
            table = survey.tables.get(f"both.{first}.{second}")
            alone, both = table[0] if table else (0, 0)
            if both > _WITHIN * (alone + both):
                names = f"{SET_NAMES[second]} that are in the {SET_NAMES[first]}, too"
                texts.append(f"{both:.0f} records of the {names}")
        if texts:
            found.setdefault("; ".join(texts), []).append(site)
    return [Finding.of("same data within", tuple(sites), text) for text, sites in found.items()]


def _common(one: Table, other: Table) -> tuple[float, float]:
    """Return which share of their records two sets have in common, and by how many deviations.

    By Fisher's transformation of a correlation (R. A. Fisher, Metron 1, 1921); its mean is known.
    """
    size = min(len(one[0]), len(other[0]))
    ours, theirs = ([a - b for a, b in zip(*rows, strict=True)][:size] for rows in (one, other))
    scale = math.sqrt(sum(a * a for a in ours) * sum(b * b for b in theirs))
    if not scale > 0 or size < 2:
        return 0.0, 0.0
    share = sum(a * b for a, b in zip(ours, theirs, strict=True)) / scale
    bounded = min(max(share, -0.9999), 0.9999)
    return min(max(share, 0.0), 1.0), math.atanh(bounded) * math.sqrt(size - 1)
