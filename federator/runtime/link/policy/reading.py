"""Reads ``policy.yaml``: strictly, each problem with its line and what to do about it."""

import difflib
import math
import re
from collections.abc import Callable, Mapping
from datetime import time
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]  # comes with flwr

from federator.errors import InputError, Problem, Where
from federator.runtime.files import read_text_file
from federator.runtime.link.policy.rules import NAMES, Hours, PrivacyRule, Rules
from federator.runtime.protocol.privacy.settings import MOST_DELTA, MOST_EPSILON

_LARGEST = 64 * 1024  # bytes
_MOST = 10**6
_DIGITS = 15
_HOURS = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)")
_SETS = ("train", "val", "test")
_PRIVACY = {"epsilon": MOST_EPSILON, "delta": MOST_DELTA}
_HINT = "docs/site-operator.md lists the keys of this file"


def read(path: Path | None) -> Rules:
    """Return the rules of a site's policy; the defaults, where there is no file or it is empty.

    Raises:
        InputError: with every problem of the file, and its line.
    """
    if path is None:
        return Rules()
    try:
        content = read_text_file(path)
    except OSError as error:
        raise InputError(Problem(f"cannot be read: {error.strerror}", Where(str(path)))) from None
    if len(content) > _LARGEST:
        raise InputError(Problem(f"is larger than {_LARGEST} bytes", Where(str(path)), _HINT))
    return _Reader(path.name).read(content.decode("utf-8", "replace"))


class _Wrong(Exception):
    """A value that is none: what it must be."""


class _Reader:
    def __init__(self, name: str) -> None:
        self._name = name
        self._problems: list[Problem] = []

    def read(self, text: str) -> Rules:
        try:
            root = yaml.compose(text, Loader=yaml.SafeLoader)
        except (yaml.YAMLError, ValueError, RecursionError) as error:
            mark = getattr(error, "problem_mark", None)
            line = 1 if mark is None else mark.line + 1
            hint = "check indentation, quotes and brackets here and in the line above"
            raise InputError(Problem("is not YAML", Where(self._name, line=line), hint)) from None
        if root is None:
            return Rules()
        found: dict[str, Any] = {}
        for key, node in self._pairs(root, "the file"):
            if key not in NAMES:
                self._tell(node, f"{key} is not a key of this file", _meant(key, NAMES))
            elif key in found:
                self._tell(node, f"{key} stands here twice", "keep one of them")
            else:
                found[key] = self._value(key, node)
        if self._problems:
            raise InputError(*self._problems)
        return Rules(**{key: value for key, value in found.items() if value is not None})

    def _pairs(self, node: Any, what: str) -> list[tuple[str, Any]]:  # noqa: ANN401  # a YAML node
        if not isinstance(node, yaml.MappingNode):
            self._tell(node, f"{what} must be keys and values (key: value)", _HINT)
            return []
        return [(str(key.value), value) for key, value in node.value]

    def _value(self, key: str, node: Any) -> object:  # noqa: ANN401  # a YAML node
        try:
            return _KINDS[key](self, key, node)
        except _Wrong as wrong:
            self._tell(node, f"{key} must be {wrong}", None)
            return None

    def _tell(self, node: Any, what: str, hint: str | None) -> None:  # noqa: ANN401  # a YAML node
        self._problems.append(Problem(what, Where(self._name, line=node.start_mark.line + 1), hint))

    def by_set(self, key: str, node: Any) -> Mapping[str, int]:  # noqa: ANN401  # a YAML node
        """Read a number for each set; a set that is not named keeps its default."""
        found = dict(getattr(Rules(), key))
        for name, value in self._pairs(node, key):
            if name in _SETS:
                try:
                    found[name] = _whole(value, 0, _MOST)
                except _Wrong as wrong:
                    self._tell(value, f"{key}: {name} must be {wrong}", None)
            else:
                self._tell(value, f"{key}: {name} is no set", "the sets are train, val and test")
        return found

    def privacy(self, key: str, node: Any) -> PrivacyRule:  # noqa: ANN401  # a YAML node
        """Read how much privacy may be spent."""
        found: dict[str, float] = {}
        for name, value in self._pairs(node, key):
            if name not in _PRIVACY:
                hint = "privacy has epsilon and delta"
                self._tell(value, f"{key}: {name} is not a key of it", hint)
                continue
            try:
                found[name] = _between(value, _PRIVACY[name])
            except _Wrong as wrong:
                self._tell(value, f"{key}: {name} must be {wrong}", None)
        return PrivacyRule(**found)


def _between(node: Any, most: float) -> float:  # noqa: ANN401  # a YAML node
    what = f"a number above 0, and at most {most:g}"
    try:  # YAML 1.1, which PyYAML reads, takes 1e-5 for a text
        number = float(node.value) if isinstance(node, yaml.ScalarNode) else math.nan
    except ValueError:
        number = math.nan
    if not 0 < number <= most:
        raise _Wrong(what)
    return number


def _whole(node: Any, least: int, most: int) -> int:  # noqa: ANN401  # a YAML node
    value = _scalar(node, "int", f"a whole number from {least} to {most}")
    if not value.isdecimal() or not least <= int(value) <= most:
        raise _Wrong(f"a whole number from {least} to {most}, not {value}")
    return int(value)


def _truth(_: _Reader, __: str, node: Any) -> bool:  # noqa: ANN401  # a YAML node
    return _scalar(node, "bool", "true or false").lower() in ("true", "yes", "on")


def _scalar(node: Any, kind: str, what: str) -> str:  # noqa: ANN401  # a YAML node
    if not isinstance(node, yaml.ScalarNode) or node.tag != f"tag:yaml.org,2002:{kind}":
        raise _Wrong(what)
    return str(node.value)


def _hours(_: _Reader, __: str, node: Any) -> tuple[Hours, ...]:  # noqa: ANN401  # a YAML node
    found = []
    for each in node.value if isinstance(node, yaml.SequenceNode) else [node]:
        what = 'hours of the day in UTC, such as "20:00-06:00", or a list of them'
        match = _HOURS.fullmatch(_scalar(each, "str", what))
        if match is None:
            raise _Wrong(what)
        begin, start, end, stop = map(int, match.groups())
        found.append(Hours(time(begin, start), time(end, stop)))
    return tuple(found)


def _sets(_: _Reader, __: str, node: Any) -> tuple[str, ...]:  # noqa: ANN401  # a YAML node
    what = "a list of sets: train, val, test, or [] for none"
    if not isinstance(node, yaml.SequenceNode):
        raise _Wrong(what)
    found = tuple(_scalar(each, "str", what) for each in node.value)
    if not set(found) <= set(_SETS):
        raise _Wrong(what)
    return found


def _number(least: int, most: int) -> Callable[[_Reader, str, Any], int]:
    return lambda _reader, _key, node: _whole(node, least, most)


def _meant(word: str, known: tuple[str, ...]) -> str:
    close = difflib.get_close_matches(word.lower(), known, n=1)
    return f"did you mean {close[0]}?" if close else _HINT


_KINDS: Mapping[str, Callable[[_Reader, str, Any], object]] = {
    "rounds_per_app": _number(0, _MOST),
    "rounds_in_all": _number(0, _MOST),
    "evaluations_per_app": _Reader.by_set,
    "evaluations_in_all": _Reader.by_set,
    "min_cell_count": _number(0, 1000),
    "loss_digits": _number(1, _DIGITS),
    "metric_digits": _number(1, _DIGITS),
    "sum_digits": _number(1, _DIGITS),
    "bins": _sets,
    "losses": _sets,
    "sums": _sets,
    "hours_utc": _hours,
    "baselines": _truth,
    "own_strategies": _truth,
    "survey": _truth,
    "largest_model_mb": _number(1, _MOST),
    "privacy": _Reader.privacy,
}
