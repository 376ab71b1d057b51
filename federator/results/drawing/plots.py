"""Line charts as numbers: where each line, point and tick stands in an SVG.

The template draws them; nothing here knows of colours or of markup.
"""

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, replace
from math import ceil, floor, isfinite, log10

WIDTH, HEIGHT = 360, 236
LEFT, RIGHT, TOP, BOTTOM = 42, 12, 12, 36
SQUARE = WIDTH - LEFT - RIGHT + TOP + BOTTOM  # the height of a chart with equal axes
Range = tuple[float, float]


@dataclass(frozen=True)
class Point:
    """A value with what to say about it; ``whole`` is false where only a part of it is known.

    Only points with the same ``of`` can be compared: no line is drawn from one to another.
    """

    x: float
    y: float | None
    tip: str = ""
    whole: bool = True
    of: Hashable = None


@dataclass(frozen=True)
class Series:
    """A line, its points from left: of site number ``site``, or of the federation (None)."""

    name: str
    site: int | None
    points: Sequence[Point]
    dashed: bool = False


@dataclass(frozen=True)
class Line:
    """A series in the chart's coordinates; ``path`` is an SVG path, broken where a value lacks.

    It is broken, too, between points that cannot be compared.
    """

    series: Series
    path: str
    points: Sequence[Point]


@dataclass(frozen=True)
class Chart:
    """A chart of ``WIDTH`` by ``height`` units; ticks are pairs of a place and its label.

    ``diagonal``: whether a line from the lower left to the upper right shows chance, or identity.
    """

    title: str
    x_name: str
    height: int
    lines: Sequence[Line]
    x_ticks: Sequence[tuple[float, str]]
    y_ticks: Sequence[tuple[float, str]]
    diagonal: bool = False


def span(series: Iterable[Series]) -> Range | None:
    """Give the lowest and the highest value of some series; None where there is no value."""
    values = [p.y for line in series for p in line.points if p.y is not None and isfinite(p.y)]
    return (min(values), max(values)) if values else None


def chart(
    title: str,
    x_name: str,
    series: Sequence[Series],
    y_range: Range | None = None,
    height: int = HEIGHT,
    diagonal: bool = False,
) -> Chart | None:
    """Lay out a chart; None where no series has a value.

    The y axis holds ``y_range`` (default: all values), widened to round numbers; it does not
    have to start at 0, so the template writes its ends.
    """
    y_range = y_range or span(series)
    columns = [point.x for line in series for point in line.points]
    if y_range is None or not columns:
        return None
    left, right = min(columns), max(columns)
    if right - left < 1e-9:  # such as of a single round
        right = left + 1
    bottom, top = y_range
    if top - bottom < 1e-9:
        bottom = top - (abs(top) / 10 or 1.0)
    rows = _ticks(bottom, top)
    bottom, top = rows[0][0], rows[-1][0]

    def across(x: float) -> float:
        return round(LEFT + (x - left) / (right - left) * (WIDTH - LEFT - RIGHT), 2)

    def up(y: float) -> float:
        return round(height - BOTTOM - (y - bottom) / (top - bottom) * (height - TOP - BOTTOM), 2)

    lines = []
    for line in series:
        placed = [
            replace(p, x=across(p.x), y=up(p.y) if p.y is not None and isfinite(p.y) else None)
            for p in line.points
        ]
        known = [point for point in placed if point.y is not None]
        lines.append(Line(line, _path(placed), known))
    smallest = 1.0 if all(float(x).is_integer() for x in columns) else 0.0  # no round 2.5
    inside = [(x, label) for x, label in _ticks(left, right, 6, smallest) if left <= x <= right]
    return Chart(
        title,
        x_name,
        height,
        lines,
        [(across(x), label) for x, label in inside],
        [(up(y), label) for y, label in rows],
        diagonal,
    )


def _path(points: Sequence[Point]) -> str:
    """Draw through points of the same kind, one kind after the other."""
    path = ""
    for kind in dict.fromkeys(point.of for point in points):
        pen = "M"
        for point in (point for point in points if point.of == kind):
            path += f"{pen}{point.x} {point.y}" if point.y is not None else ""
            pen = "L" if point.y is not None else "M"
    return path


def _ticks(
    low: float, high: float, most: int = 5, smallest: float = 0.0
) -> list[tuple[float, str]]:
    """Round numbers (1, 2 or 5 times a power of ten) that enclose the range, with labels."""
    least = (high - low) / most
    size = 10.0 ** floor(log10(least))
    step = next(size * factor for factor in (1, 2, 5, 10) if size * factor >= least * 0.999)
    step = max(step, smallest)
    decimals = max(0, -floor(log10(step * 1.001)))
    first, last = floor(round(low / step, 6)), ceil(round(high / step, 6))
    return [(i * step, f"{i * step:.{decimals}f}") for i in range(first, last + 1)]
