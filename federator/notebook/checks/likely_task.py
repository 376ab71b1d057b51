"""The likely task of a notebook, by its losses, its metrics and the last layer of its model."""

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from federator.errors import Problem, Where
from federator.notebook.slicing.component import Component, Statement

# Names of calls and of what is reported, without underscores and in lower case.
_SIGNS: Mapping[str, re.Pattern[str]] = {
    kind: re.compile("|".join(patterns))
    for kind, patterns in {
        "survival": (
            r"cox\w*loss", r"\w*cox\w*likelihood\w*", r"\w*partiallikelihood\w*", r"coxph\w*",
            r"nllsurv\w*", r"deephit\w*", r"concordanceindex\w*", r"c(td|harrell)?index",
        ),
        "boxes": (
            r"(faster|mask|keypoint)rcnn\w*", r"retinanet\w*", r"fcosresnet\w*", r"ssd(lite)?\d\w*",
            r"boxiou", r"generalizedboxiou\w*", r"meanaverageprecision", r"boxes",
        ),
        "segmentation": (
            r"\w*dice\w*loss", r"dice|dice(score|coeff?|coefficient|metric)s?", r"\w*tversky\w*",
            r"(jaccard|lovasz)\w*loss", r"lovasz\w*", r"jaccard\w*|iou(score|metric)?|meaniou",
            r"hausdorff\w*|hd95?", r"surface(distance|dice)\w*",
        ),
        "dense": (
            r"(attention|basic|swin|dyn)?unet\w*", r"segresnet\w*", r"vnet",
            r"deeplabv3\w*", r"fcnresnet\w*", r"lraspp\w*", r"segformer\w*",
        ),
        "regression": (
            r"(mse|l1|smoothl1|huber|gaussiannll|logcosh)loss", r"mean(absolute|squared)error",
            r"rootmeansquarederror", r"mae|rmse|r2(score)?",
        ),
        "several": (r"multilabel\w*", r"asymmetricloss\w*"),
        "binary": (r"bce(withlogits)?loss", r"binarycrossentropy(withlogits)?"),
        "classes": (r"crossentropy(loss)?", r"nllloss"),
    }.items()
}  # fmt: skip
_LAYER = re.compile(r"(Lazy)?(?:Linear|Conv(Transpose)?[123]d)")
_POOLS = re.compile(r"\w*Pool[123]?d?|Flatten|flatten|mean|amax")
_WIDTHS = ("num_classes", "out_channels", "classes", "out_features", "num_labels", "n_classes")

# What the federation file needs beside the task.
_NEEDS = {
    "regression": " and `targets: {NAME: [LOWEST, HIGHEST]}`, with plausible values,",
    "survival": " and `horizon: TIME`",
    "segmentation": " and `labels: [background, NAME]`",
    "multilabel": " and `labels: [NAME, NAME]`",
}


class Sign(NamedTuple):
    """Something that tells of a task: a name, as it is written, and its place."""

    name: str
    where: Where


class _Output(NamedTuple):
    """What the last layer of ``Model`` gives: whether a value for each pixel, and how many."""

    dense: bool
    width: int | None


def problems(task: Component, name: str, labels: int, file: str) -> Iterator[Problem]:
    """Yield a warning if a notebook looks like another task than its federation file says.

    Args:
        task: what of the notebook goes to the sites.
        name: the task that the federation file says.
        labels: how many labels or classes it names.
        file: the notebook's name.
    """
    found = likely(task, labels, file)
    if found is None or name in (found[0], "other"):
        return
    likely_name, sign = found
    message = f"`{sign.name}` looks like `task: {likely_name}`, the federation file says `{name}`"
    more = _NEEDS.get(likely_name, "")
    hint = f"Write `task: {likely_name}`{more} there, unless {name} is meant."
    yield Problem(message, sign.where, hint)


def likely(task: Component, labels: int, file: str) -> tuple[str, Sign] | None:
    """Return the likely task and what tells of it; None where signs are missing or at odds.

    Args:
        task: what of the notebook goes to the sites.
        labels: how many labels or classes the federation file names.
        file: the notebook's name.
    """
    signs = _signs(task.statements, file)
    output = _output(task.statements)
    for kind, name in (("survival", "survival"), ("boxes", "other"), ("several", "multilabel")):
        if kind in signs:
            return name, signs[kind]
    losses = [kind for kind in ("regression", "binary", "classes") if kind in signs]
    if "segmentation" in signs and "regression" not in losses:
        return "segmentation", signs["segmentation"]
    if len(losses) != 1:  # such as a classification with an error of its own beside
        return None
    (loss,) = losses
    sign = signs[loss]
    if "dense" in signs or output.dense:  # of images, a regression is no figure of a target
        return None if loss == "regression" else ("segmentation", signs.get("dense", sign))
    if loss == "binary":
        width = labels if output.width is None else output.width
        return "multilabel" if width > 2 or output.width == 2 else "classification", sign
    return "regression" if loss == "regression" else "classification", sign


def _signs(statements: Iterable[Statement], file: str) -> dict[str, Sign]:
    """Return the first sign of each kind."""
    found: dict[str, Sign] = {}
    renamed: dict[str, str] = {}
    for statement in statements:
        for node in ast.walk(ast.parse(statement.source)):
            if isinstance(node, ast.ImportFrom):
                renamed |= {one.asname: one.name for one in node.names if one.asname}
            for at, name in _named(node):
                name = renamed.get(name, name)
                plain = name.replace("_", "").lower()
                where = Where(file, statement.cell, statement.line + at.lineno - 1)
                for kind, pattern in _SIGNS.items():
                    if pattern.fullmatch(plain):
                        found.setdefault(kind, Sign(name, where))
    return found


def _named(node: ast.AST) -> Iterator[tuple[ast.expr, str]]:
    """Yield the names of what is called, is a base class, or is reported in a dictionary."""
    if isinstance(node, ast.Call):
        yield node, _last(node.func)
    elif isinstance(node, ast.ClassDef):
        yield from ((base, _last(base)) for base in node.bases)
    elif isinstance(node, ast.Dict):
        for key in node.keys:
            if isinstance(key, ast.Constant) and isinstance(key.value, str):
                yield key, key.value


def _last(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else str(getattr(node, "id", ""))


def _output(statements: Iterable[Statement]) -> _Output:
    """Read the last layer of ``Model``, or the arguments of what builds it."""
    numbers: dict[str, int] = {}
    calls: list[ast.Call] = []
    for statement in statements:
        for node in ast.parse(statement.source).body:
            if isinstance(node, ast.Assign) and (value := _whole(node.value, {})) is not None:
                numbers |= {_last(target): value for target in node.targets}
            elif getattr(node, "name", "") == "Model":
                calls = [inner for inner in ast.walk(node) if isinstance(inner, ast.Call)]
    calls.sort(key=lambda call: (call.lineno, call.col_offset))
    names = [_last(call.func) for call in calls]
    layers = [k for k, name in enumerate(names) if _LAYER.fullmatch(name)]
    flat = any(name.endswith("Linear") or _POOLS.fullmatch(name) for name in names)
    given = [k.value for call in calls for k in call.keywords if k.arg in _WIDTHS]
    if not given and layers:
        place = 0 if names[layers[-1]].startswith("Lazy") else 1
        given = calls[layers[-1]].args[place : place + 1]
    return _Output(bool(layers) and not flat, _whole(given[-1], numbers) if given else None)


def _whole(node: ast.expr, numbers: Mapping[str, int]) -> int | None:
    """Return a whole number that is written, or that a name stands for."""
    if isinstance(node, ast.Constant):
        return node.value if type(node.value) is int else None
    return numbers.get(_last(node))
