"""A compose file as a tree of texts with lines, refused where Compose could read it otherwise.

Compose reads YAML by another library than this one, and merges by tags of its own: ``network_mode:
!reset none`` removes the setting that it seems to make. So a file has no tags, no key twice, no
second document and no line break but a newline; every value is the text that it is.
"""

import re
from dataclasses import dataclass

import yaml  # type: ignore[import-untyped]  # comes with flwr

from federator.errors import InputError

_LARGEST = 2**20  # bytes
_MOST_VALUES = 10_000  # a site's file has some hundred; YAML's aliases could make billions
_BREAKS = re.compile("\r(?!\n)|[\x85\u2028\u2029\ufeff]")  # a line's end to one reader in two
_TAGS = {yaml.ScalarNode: "str", yaml.SequenceNode: "seq", yaml.MappingNode: "map"}


@dataclass(frozen=True)
class Tree:
    """A value in a file: a text, a list, or values by their keys; and the line where it begins."""

    line: int
    value: "str | list[Tree] | dict[str, Tree]"

    def get(self, *keys: str) -> "Tree | None":
        """Return the value that some keys lead to, if there is one."""
        found: Tree | None = self
        for key in keys:
            found = found.value.get(key) if found and isinstance(found.value, dict) else None
        return found

    @property
    def plain(self) -> object:
        """The value without its lines: a text, a list, or values by their keys."""
        if isinstance(self.value, dict):
            return {key: value.plain for key, value in self.value.items()}
        return [one.plain for one in self.value] if isinstance(self.value, list) else self.value


def parse(name: str, content: bytes) -> Tree:
    """Read a file.

    Args:
        name: what messages call it.
        content: the file.

    Raises:
        InputError: if it is no YAML, or none that every reader understands alike.
    """
    if len(content) > _LARGEST:
        raise InputError(f"{name}: is larger than {_LARGEST // 1024} KiB: no compose file")
    try:
        text = content.decode()
        if found := _BREAKS.search(text):
            line = text.count("\n", 0, found.start()) + 1
            raise InputError(f"{name}, line {line}: has a character that ends a line for some")
        node = yaml.compose(text, Loader=yaml.BaseLoader)
        if node is None:
            raise InputError(f"{name}: is not a compose file")
        tree = _tree(name, node, {})
        if _count(tree, {}) > _MOST_VALUES:
            raise InputError(f"{name}: has more than {_MOST_VALUES} values: no compose file")
        return tree
    except (yaml.YAMLError, ValueError) as error:
        raise InputError(f"{name}: is not YAML: {error}") from None
    except RecursionError:
        raise InputError(f"{name}: is nested too deeply for a compose file") from None


def _tree(name: str, node: yaml.Node, known: dict[int, Tree | None]) -> Tree:
    line = node.start_mark.line + 1
    if id(node) in known:
        if (made := known[id(node)]) is None:
            raise InputError(f"{name}, line {line}: a value holds itself: no compose file")
        return made
    known[id(node)] = None
    if node.tag != f"tag:yaml.org,2002:{_TAGS[type(node)]}":
        raise InputError(f"{name}, line {line}: has the tag {node.tag}: no compose file")
    if isinstance(node, yaml.MappingNode):
        tree = Tree(line, _mapping(name, node, known))
    elif isinstance(node, yaml.SequenceNode):
        tree = Tree(line, [_tree(name, one, known) for one in node.value])
    else:
        tree = Tree(line, str(node.value))
    known[id(node)] = tree
    return tree


def _mapping(name: str, node: yaml.Node, known: dict[int, Tree | None]) -> dict[str, Tree]:
    values: dict[str, Tree] = {}
    for key, value in node.value:
        line = key.start_mark.line + 1
        if not isinstance(key, yaml.ScalarNode):
            raise InputError(f"{name}, line {line}: a key is no text: no compose file")
        text = _tree(name, key, known).value
        assert isinstance(text, str)
        if text in values:
            raise InputError(f"{name}, line {line}: {text} is there twice: no compose file")
        values[text] = _tree(name, value, known)
    return values


def _count(tree: Tree, known: dict[int, int]) -> int:
    """Return how many values there are with all aliases written out, which is not done for it."""
    if isinstance(tree.value, str):
        return 1
    if id(tree) not in known:
        inner = tree.value.values() if isinstance(tree.value, dict) else tree.value
        known[id(tree)] = 1 + sum(_count(one, known) for one in inner)
    return known[id(tree)]
