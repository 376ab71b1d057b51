"""Folders that a notebook makes at its top level, for the files that its functions write.

Such a statement (``os.makedirs(ROOT, exist_ok=True)``, ``OUT.mkdir()``, ``if not
os.path.exists(ROOT): os.makedirs(ROOT)``) goes in where a path that goes in is made of the same
name or the same text: a site's working directory is empty at first. One with a path of the
author's own machine stays behind.
"""

import ast
from collections.abc import Iterable, Iterator

from federator.notebook.checks import portability
from federator.notebook.slicing.closure import Program
from federator.notebook.slicing.statements import BUILTINS, Step

_CALLS = frozenset({"os.makedirs", "os.mkdir"})


def needed(program: Program, steps: Iterable[Step]) -> Iterator[Step]:
    """Yield the steps that make a folder which these steps use, and are not among them."""
    steps = list(steps)
    taken = {step.index for step in steps}
    bound = {name for step in steps for name in step.binds} - program.origins.keys()
    texts = {text.removeprefix("./").split("/")[0] for text in _texts(steps)}
    for step in (step for step in program.steps if step.index not in taken):
        if not all(_makes_folder(program, node) for node in step.nodes):
            continue
        own = list(_texts([step]))
        names = step.now - BUILTINS - program.origins.keys()
        named = bool(names) and names <= bound
        written = any(text.removeprefix("./").split("/")[0] in texts for text in own if text)
        if (named or (not names and written)) and not any(map(portability.is_own_path, own)):
            yield step


def _makes_folder(program: Program, node: ast.stmt) -> bool:
    """Whether a statement makes folders and does nothing else."""
    if isinstance(node, ast.If):
        return not node.orelse and all(_makes_folder(program, one) for one in node.body)
    if not isinstance(node, ast.Expr) or not isinstance(node.value, ast.Call):
        return False
    called = node.value.func
    return program.dotted(called) in _CALLS or (
        isinstance(called, ast.Attribute) and called.attr == "mkdir"
    )


def _texts(steps: Iterable[Step]) -> Iterator[str]:
    for step in steps:
        for node in step.walk():
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value
