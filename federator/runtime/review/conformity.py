"""Compares a compose file with all that may stand in one, and says what may not, line by line."""

from collections.abc import Iterator, Mapping, Sequence

from federator.runtime.review.forms import Form
from federator.runtime.review.permitted import (
    BUILT_HERE,
    FILE,
    SAME,
    Entry,
    Keys,
    Optional,
    Permitted,
    Same,
)
from federator.runtime.review.worker_build import base
from federator.runtime.review.yaml_tree import Tree

_LONGEST = 60  # characters of a value in a message


def departures(file: Tree) -> Iterator[str]:
    """Yield what no site's file may have, and what each must have and this one has not.

    Args:
        file: a site's file, without the app.
    """
    built = file.get("services", "worker", "build")
    yield from compared(file, FILE if built is None else BUILT_HERE, SAME, "site")
    image, text = file.get("services", "link", "image"), built and built.get("dockerfile_inline")
    if image and text and base(str(text.value)) != image.value:
        yield f"line {text.line}: services.worker.build starts from another image than the link's"


def compared(file: Tree, permitted: Keys, same: Same, whose: str) -> Iterator[str]:
    """Yield a line for each difference between a file and all that may stand in it.

    Args:
        file: the file.
        permitted: all that may stand in it.
        same: the values that must be the same.
        whose: the file is, in the lines.
    """
    yield from _Comparison(whose).compare(file, permitted, "")
    for one, other in same:
        first, second = file.get(*one), file.get(*other)
        if first and second and first.plain != second.plain:
            yield f"line {second.line}: {'.'.join(other)} is not that of {one[1]}"


class _Comparison:
    def __init__(self, whose: str) -> None:
        self._whose = whose

    def compare(self, tree: Tree, permitted: Permitted, place: str) -> Iterator[str]:
        """Yield a line for each difference below a place in the file."""
        if isinstance(permitted, Mapping):
            yield from self._keys(tree, permitted, place)
        elif isinstance(permitted, str | Form):
            if not _same_text(tree, permitted):
                yield f"line {tree.line}: {place} is {_shown(tree)}, not {_words(permitted)}"
        else:
            yield from self._items(tree, permitted, place)

    def _keys(self, tree: Tree, permitted: Keys, place: str) -> Iterator[str]:
        if not isinstance(tree.value, dict):
            yield f"line {tree.line}: {place or 'the file'} is {_shown(tree)}, not keys with values"
            return
        for key, value in tree.value.items():
            inner = f"{place}.{key}".lstrip(".")
            if key in permitted:
                yield from self.compare(value, _inside(permitted[key]), inner)
            else:
                yield f"line {value.line}: {_cut(inner)} is no setting of a {self._whose}'s file"
        for key, one in permitted.items():
            if key not in tree.value and not isinstance(one, Optional):
                yield f"line {tree.line}: {f'{place}.{key}'.lstrip('.')} is missing"

    def _items(self, tree: Tree, permitted: Sequence[Entry], place: str) -> Iterator[str]:
        """Yield what is different in a list, whose items keep the order of those permitted."""
        if not isinstance(tree.value, list):
            yield f"line {tree.line}: {place} is {_shown(tree)}, not a list"
            return
        rest = list(permitted)
        for item in tree.value:
            left = list(rest)
            while left and any(self.compare(item, _inside(left[0]), place)):
                if not isinstance(left.pop(0), Optional):
                    left.clear()
            if not left:
                yield from self._of_same_target(item, permitted, place)
                none = f"which no {self._whose}'s file has there"
                yield f"line {item.line}: {place} has {_shown(item)}, {none}"
                return
            rest = left[1:]
        for one in rest:
            if not isinstance(one, Optional):
                yield f"line {tree.line}: {place} lacks {_words(one)}"

    def _of_same_target(self, item: Tree, permitted: Sequence[Entry], place: str) -> Iterator[str]:
        """Yield how a mount differs from the one that is permitted at its place inside."""
        target = item.get("target")
        for one in map(_inside, permitted):
            if target and isinstance(one, Mapping) and one.get("target") == target.value:
                yield from self.compare(item, one, place)


def _inside(permitted: Entry) -> Permitted:
    return permitted.permitted if isinstance(permitted, Optional) else permitted


def _same_text(tree: Tree, permitted: "str | Form") -> bool:
    if not isinstance(tree.value, str):
        return False
    return permitted.matches(tree.value) if isinstance(permitted, Form) else tree.value == permitted


def _words(permitted: Permitted) -> str:
    if isinstance(permitted, Form):
        return permitted.words
    if isinstance(permitted, Mapping):
        return f"{permitted['target']}" if "target" in permitted else ", ".join(permitted)
    return f"“{permitted}”" if permitted else "empty"


def _shown(tree: Tree) -> str:
    """Return a value as a message shows it: a text in quotes, and of a long one the beginning."""
    if isinstance(tree.value, dict):
        return _cut("keys: " + ", ".join(tree.value))
    if isinstance(tree.value, list):
        return "a list"
    return f"“{_cut(tree.value)}”"


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
