"""Findings on values: another range, another order of channels, another unit, missing values."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from itertools import permutations

from federator.runtime.protocol.evaluation.tables import Table
from federator.runtime.protocol.survey import FIGURES, Survey
from federator.runtime.server.survey.finding import Finding, odd_ones

# 0..255 beside 0..1: from half of that way on, which contrast alone does not go.
_RANGE = 16.0
_BYTES = (128.0, 512.0)  # a ratio about 255
# Another order of channels: the channels as they stand differ by this share of a deviation, and by
# three times as much as in the best order.
_APART, _BETTER = 0.25, 3.0
_ORDERED = 4  # channels at most
# A unit: level and spread differ by one factor, which is larger than two hospitals' patients give.
_FACTOR, _AGREE = 3.0, 1.5
_SPREAD_ERROR = 1.2  # relative error of an interquartile range, times the root of n (normal: 1.17)
_SURE = 3.0
_LEAST = 20  # examples
_MISSING = 0.01  # share of examples
# Factors between units of medicine, and an example of each; the nearest within a fifth is named.
_UNITS = {
    10.0: "mm and cm, or g/L and g/dL", 1000.0: "g and mg, or m and mm",
    100.0: "m and cm, or a share and a percentage", 18.0: "glucose in mg/dL and in mmol/L",
    88.4: "creatinine in µmol/L and in mg/dL", 38.7: "cholesterol in mg/dL and in mmol/L",
    12.0: "years and months", 365.25: "years and days", 30.4: "months and days",
    7.0: "weeks and days", 60.0: "minutes and seconds", 24.0: "days and hours",
    255.0: "0..1 and 0..255",
}  # fmt: skip


@dataclass(frozen=True)
class Channel:
    """The figures of a channel, see ``FIGURES`` (protocol/survey.py)."""

    n: float
    mean: float
    deviation: float
    between: float
    median: float
    spread: float

    @staticmethod
    def of(table: Table) -> "Channel":
        """Return the figures in a table."""
        return Channel(**dict(zip(FIGURES, table[0], strict=True)))


def channels(survey: Survey, kind: str = "channel") -> dict[int, Channel]:
    """Return the figures of a survey's channels, or targets, by number."""
    return {number: Channel.of(table) for number, table in survey.numbered(kind).items()}


def scales(surveys: Mapping[str, Survey]) -> list[Finding]:
    """Find images whose values span another range, such as 0..255 beside 0..1."""
    return odd_ones("scale", surveys, _other_scale)


def orders(surveys: Mapping[str, Survey]) -> list[Finding]:
    """Find images whose channels come in another order, such as BGR beside RGB."""
    return odd_ones("channel order", surveys, _other_order)


def units(surveys: Mapping[str, Survey]) -> list[Finding]:
    """Find columns of a table, or targets, that are in another unit."""
    found = []
    for kind, name in (("channel", "column"), ("target", "target")):
        numbers = sorted({number for one in surveys.values() for number in channels(one, kind)})
        odd: dict[tuple[str, ...], list[tuple[int, str]]] = {}
        for number in numbers:
            compare = partial(_other_unit, kind=kind, number=number)
            for each in odd_ones("unit", surveys, compare):
                odd.setdefault(each.sites, []).append((number, each.text))
        for sites, columns in odd.items():
            listed = ", ".join(str(number) for number, _ in columns[:8])
            listed += " and others" if len(columns) > 8 else ""
            what = f"{name}{'s' if len(columns) > 1 else ''} {listed} (from 0)"
            found.append(Finding.of("unit", sites, f"{what}: {columns[0][1]}"))
    return found


def missing(surveys: Mapping[str, Survey]) -> list[Finding]:
    """Find sites with missing values in channels in which others have none."""

    def compare(one: Survey, other: Survey) -> str | None:
        ours, theirs = one.numbered("missing"), other.numbered("missing")
        if not ours.keys() & theirs.keys():
            return None
        found = []
        for channel in ours.keys() & theirs.keys():
            there, gone = ours[channel][0]
            if not theirs[channel][0][1] and gone >= _MISSING * (there + gone):
                found.append((channel, gone / (there + gone)))
        if not found:
            return ""
        found.sort()
        share = max(share for _, share in found)
        listed = ", ".join(str(channel) for channel, _ in found[:8])
        listed += " and others" if len(found) > 8 else ""
        return f"up to {share:.0%} of the examples have no number in column {listed} (from 0)"

    return odd_ones("missing values", surveys, compare)


def _images(one: Survey, other: Survey) -> tuple[list[Channel], list[Channel]]:
    """Return the channels of two surveys of images of as many channels; else none."""
    ours, theirs = channels(one), channels(other)
    if ours.keys() != theirs.keys() or min(len(one.shape), len(other.shape)) < 2:
        return [], []
    numbers = sorted(ours)
    return [ours[number] for number in numbers], [theirs[number] for number in numbers]


def _other_scale(one: Survey, other: Survey) -> str | None:
    ours, theirs = _images(one, other)
    ratios = [
        math.log2(a.deviation / b.deviation)
        for a, b in zip(ours, theirs, strict=True)
        if a.deviation > 0 and b.deviation > 0
    ]
    if not ratios:
        return None
    if min(map(abs, ratios)) < math.log2(_RANGE) or min(ratios) * max(ratios) < 0:
        return ""
    factor = 2.0 ** abs(sum(ratios) / len(ratios))
    way = "larger" if ratios[0] > 0 else "smaller"
    text = f"the images' values are {factor:.0f} times {way} than elsewhere"
    if _BYTES[0] <= factor <= _BYTES[1]:
        ends = ("0..255", "0..1") if ratios[0] > 0 else ("0..1", "0..255")
        text += f": {ends[0]} where others have {ends[1]}"
    return text


def _other_order(one: Survey, other: Survey) -> str | None:
    ours, theirs = _images(one, other)
    if not 2 <= len(ours) <= _ORDERED:
        return None
    points, goal = _profile(ours), _profile(theirs)
    if not points or not goal:
        return None
    apart = {order: _gap(points, goal, order) for order in permutations(range(len(points)))}
    as_it_is = apart.pop(tuple(range(len(points))))
    best = min(apart, key=lambda order: apart[order])
    error = sum(_error(side) for side in (ours, theirs))
    if as_it_is < max(_APART, _SURE * error) or as_it_is < _BETTER * apart[best]:
        return ""
    order = ", ".join(map(str, best))
    known = ": BGR where others have RGB, or the reverse" if best == (2, 1, 0) else ""
    return f"the images' channels look like those of elsewhere in the order {order}{known}"


def _profile(figures: list[Channel]) -> list[tuple[float, float]]:
    """Return mean and deviation of each channel, in mean deviations."""
    scale = sum(one.deviation for one in figures) / len(figures)
    if not scale > 0:
        return []
    return [(one.mean / scale, one.deviation / scale) for one in figures]


def _gap(
    points: list[tuple[float, float]], goal: list[tuple[float, float]], order: tuple[int, ...]
) -> float:
    """Return how far channels in an order are from others."""
    return math.hypot(*(a - b for place, end in zip(order, goal, strict=True)
                        for a, b in zip(points[place], end, strict=True)))  # fmt: skip


def _error(figures: list[Channel]) -> float:
    """Return by how much a profile is off by chance and by rounding."""
    scale = sum(one.deviation for one in figures) / len(figures)
    errors = (one.between * (1 / one.n**0.5 + max(1 / 32, 4 / one.n)) for one in figures)
    return math.hypot(*errors) / scale if scale > 0 else math.inf


def _other_unit(one: Survey, other: Survey, kind: str, number: int) -> str | None:
    if kind == "channel" and max(len(one.shape), len(other.shape)) > 1:
        return None
    a, b = channels(one, kind).get(number), channels(other, kind).get(number)
    if a is None or b is None or min(a.n, b.n) < _LEAST or min(a.spread, b.spread) <= 0:
        return None
    spread = math.log(a.spread / b.spread)
    error = _SPREAD_ERROR * (1 / a.n + 1 / b.n) ** 0.5
    if abs(spread) < math.log(_FACTOR) + _SURE * error:
        return ""
    centred = abs(a.median) < a.spread / 2 and abs(b.median) < b.spread / 2
    if not centred:
        if not a.median * b.median > 0:
            return ""
        level = math.log(a.median / b.median)
        if abs(level - spread) > math.log(_AGREE) + _SURE * error:
            return ""
    factor = math.exp(abs(spread))
    way = "larger" if spread > 0 else "smaller"
    near = min(_UNITS, key=lambda known: abs(math.log(known / factor)))
    known = f", as between {_UNITS[near]}" if abs(math.log(near / factor)) < math.log(1.2) else ""
    return f"values are about {factor:.3g} times {way} than elsewhere{known}"
