"""Findings on labels: a class that is missing, labels that are numbered in another order."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations, permutations

from federator.runtime.protocol.evaluation.tasks import Task
from federator.runtime.protocol.notices import SET_NAMES
from federator.runtime.protocol.survey import SETS, Survey
from federator.runtime.server.survey.finding import Finding, odd_ones

# A class is missing where so many examples of others would have one of it, but for this chance.
_CHANCE = 1e-3
# What is more than so many errors counts: the errors are added up as if all channels, and both
# labels, were alike. Of one channel, both differences are 2.4 such errors, or 3.4 of independent
# ones, from none: a chance of 1e-7.
_SURE = 1.0
_OPPOSITE = -0.5  # cosine of the differences
# Shares of labels alone: so far apart, and so near in another order (total variation distance). At
# 0.4 a prevalence of 30 % is taken for 70 %; hospitals of one disease differ by less, or the
# finding is worth a look.
_FAR, _NEAR = 0.4, 0.1
_MOST_LABELS = 6  # whose orders are all tried


def missing_classes(
    surveys: Mapping[str, Survey], labels: Sequence[str], task: Task
) -> list[Finding]:
    """Find classes that a site, or one of its sets, has no example of."""
    known = {site: totals for site, one in surveys.items() if (totals := _totals(one, task))}
    everywhere = [sum(row[k] for row in known.values()) for k in range(len(labels))]
    found = []
    for k, label in enumerate(labels):
        if known and not everywhere[k]:
            found.append(Finding.of("class missing", tuple(known), f"no example of class {label}"))
            continue
        lacking = []
        for site, row in known.items():
            size, others = row[-1], sum(one[-1] for one in known.values()) - row[-1]
            if not row[k]:
                if others and _is_odd(everywhere[k] / others, size):
                    share = f"{everywhere[k] / others:.0%}"
                    text = f"no example of class {label} among {size}; elsewhere {share} are"
                    found.append(Finding.of("class missing", (site,), text))
                continue
            lacking += [(site, part) for part in _lacking(surveys[site], k, row[k] / size, task)]
        for site, part in lacking:
            text = f"no example of class {label} in the {SET_NAMES[part]}, but in others of its own"
            found.append(Finding.of("class missing", (site,), text))
    return found


def swapped(surveys: Mapping[str, Survey], labels: Sequence[str], task: Task) -> list[Finding]:
    """Find sites whose labels are numbered in another order.

    What the examples of two labels have for channel means lies the other way round then. Where
    the channels do not tell the labels apart, the labels' shares are compared.
    """

    def compare(one: Survey, other: Survey) -> str | None:
        evidence = 0
        for first, second in _pairs(task):
            sign = _direction(one, other, first, second)
            evidence += sign > 0
            if sign < 0:
                names = [labels[k] for k in (first, second) if k is not None]
                what = " and ".join(names) if len(names) > 1 else f"with and without {names[0]}"
                return f"the examples of {what} differ the other way round than elsewhere"
        return "" if evidence else _by_shares(one, other, labels, task)

    return odd_ones("labels swapped", surveys, compare)


def _totals(survey: Survey, task: Task) -> list[int] | None:
    """Return the examples of each label, and of all, over sets that were read to their end."""
    if task.name not in ("classification", "multilabel", "segmentation") or survey.partial:
        return None
    rows = [survey.tables.get(f"labels.{part}") for part in SETS]
    found = [row for row in rows if row is not None]
    if not found:
        return None
    having = [sum(int(row[-1][k]) for row in found) for k in range(task.size)]
    size = sum(having) if task.name == "classification" else max(
        sum(int(row[0][k] + row[1][k]) for row in found) for k in range(task.size)
    )  # fmt: skip
    return [*having, size] if size else None


def _lacking(survey: Survey, label: int, share: float, task: Task) -> Iterator[str]:
    for part in SETS:
        if (rows := survey.tables.get(f"labels.{part}")) is None or rows[-1][label]:
            continue
        single = task.name == "classification"
        size = sum(rows[-1]) if single else rows[0][label]
        if _is_odd(share, int(size)):
            yield part


def _is_odd(share: float, size: int) -> bool:
    """Tell whether so many examples would have hardly none of a class with this share."""
    return bool((1 - min(max(share, 0.0), 1.0)) ** min(size, 10**6) < _CHANCE)


def _pairs(task: Task) -> Iterator[tuple[int, int | None]]:
    """Yield the labels to compare: each two, or each with all examples."""
    if task.name == "multilabel":
        yield from ((label, None) for label in range(task.size))
    else:
        yield from combinations(range(task.size), 2)


def _direction(one: Survey, other: Survey, first: int, second: int | None) -> int:
    """Tell whether two labels' examples differ in the same direction (1), the opposite (-1)."""
    products = squares = others = noise = 0.0
    ours, theirs = _differences(one, first, second), _differences(other, first, second)
    for channel in ours.keys() & theirs.keys():
        (a, a_error), (b, b_error) = ours[channel], theirs[channel]
        products += a * b
        squares += a * a
        others += b * b
        noise += abs(b) * a_error + abs(a) * b_error + a_error * b_error
    if not squares or not others or abs(products) < _SURE * noise:
        return 0
    cosine = products / (squares * others) ** 0.5
    if cosine < _OPPOSITE:
        return -1
    return 1 if cosine > 0 else 0


def _differences(survey: Survey, first: int, second: int | None) -> dict[int, tuple[float, float]]:
    """Return by channel the difference of two labels' means, in deviations, and its own error."""
    ours = survey.numbered(f"label.{first}")
    theirs = survey.numbered("channel" if second is None else f"label.{second}")
    found = {}
    for channel in ours.keys() & theirs.keys():
        (one,), (other,) = ours[channel], theirs[channel]
        spreads = (one[2], other[2 if second is not None else 3])
        scale = max(spreads)
        if scale > 0:
            difference = (one[1] - other[1]) / scale
            found[channel] = difference, _error(one[0]) + _error(other[0])
    return found


def _error(count: float) -> float:
    """Return the error of a mean over so many examples, and of its rounding, in deviations."""
    return float((1 / count + (2 / count) ** 2) ** 0.5)


def _by_shares(one: Survey, other: Survey, labels: Sequence[str], task: Task) -> str | None:
    if task.name != "classification" or task.size > _MOST_LABELS:
        return None
    totals = [_totals(one, task), _totals(other, task)]
    if totals[0] is None or totals[1] is None:
        return None
    ours, theirs = ([count / row[-1] for count in row[:-1]] for row in totals if row)
    if _distance(ours, theirs) < _FAR:
        return ""
    if min(_distance(list(order), theirs) for order in permutations(ours)) > _NEAR:
        return ""
    shown = [
        " / ".join(f"{share:.0%} {label}" for share, label in zip(row, labels, strict=True))
        for row in (ours, theirs)
    ]
    return f"the labels' shares are those of elsewhere in another order: {shown[0]}, not {shown[1]}"


def _distance(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Return the total variation distance of two distributions."""
    return sum(abs(a - b) for a, b in zip(ours, theirs, strict=True)) / 2
