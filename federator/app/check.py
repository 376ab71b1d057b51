"""The check of a federation: its notebook against its federation file. Nothing is written."""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass

from federator.app import convert
from federator.app.tensor_names import tensor_names
from federator.errors import Problem, Where
from federator.federation.schema import Federation
from federator.notebook import contract, preview
from federator.notebook.contract import Parts
from federator.notebook.dependencies import requirements
from federator.notebook.reader import Notebook
from federator.notebook.strategy import literal
from federator.runtime import plain_strategy
from federator.runtime.plain_strategy import NotPlainError
from federator.runtime.weights.local_tensors import LocalTensors, LocalTensorsError

_TOO_FEW = "Lower num_malicious_nodes, or use `robust: {norm_bound: …}`."
_COUNTS = re.compile(r"(?:N|NUM|NUMBER_OF)?_?(?:CLASSES|LABELS)", re.IGNORECASE)
_NAMES = re.compile(r"(?:CLASS|LABEL)_?NAMES|CLASSES|LABELS", re.IGNORECASE)


@dataclass(frozen=True)
class Checked:
    """A notebook that can be converted.

    Attributes:
        source: the notebook.
        parts: what it was taken apart into.
        doubts: the warnings about it, and about its federation file.
        local: lines on the tensors that stay at the sites.
    """

    source: Notebook
    parts: Parts
    doubts: tuple[Problem, ...]
    local: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The preview of the conversion as plain text."""
        return "\n".join([preview.render(self.parts, self.source), *self.local])


def check_notebook(source: Notebook) -> Checked:
    """Check a notebook without a federation file.

    Raises:
        NotebookError: if it cannot be converted.
    """
    parts = contract.take_apart(source)
    missing = requirements.missing([*parts.task.imported, *parts.aggregation.imported])
    return Checked(source, parts, tuple(dict.fromkeys(source.warnings + parts.warnings + missing)))


def check_federation(read: Federation, source: Notebook | None = None) -> Checked:
    """Check a federation's notebook against its federation file. Write nothing.

    Args:
        read: the federation file.
        source: the notebook as it is open in an editor; if absent, its file is read.

    Raises:
        InputError: as :func:`convert.convert`.
    """
    rendered = convert.render(read, read.root / "build", source)
    source, parts, told = rendered.source, rendered.parts, rendered.components.warnings
    local, unfound = _local(parts, read)
    doubts = [*source.warnings, *told, *_labels(parts, read), *unfound, *_folders(read)]
    doubts += [*_strategy(parts, read), *_predict(parts, read)]
    doubts += _krum(rendered.app.files["aggregation.py"], read)
    return Checked(source, parts, tuple(dict.fromkeys(doubts)), tuple(local))


def _local(parts: Parts, read: Federation) -> tuple[list[str], list[Problem]]:
    """Return lines on the tensors that stay at the sites, and warnings, as far as the text shows.

    The model itself is not made here: what goes with it for certain is told when it first is.
    """
    local = LocalTensors(tuple(read.local))
    if not local:
        return [], []
    names = tensor_names(statement.source for statement in parts.task.statements)
    lines = [f"stays at each site: {name}" for name in local.names(names.known)]
    if names.unknown:
        where = ", ".join(filter(None, names.unknown)) or "Model"
        lines.append(f"tensors of {where} are known when the model is made: `federator run`")
        return lines, []
    try:
        local.require_fitting(names.known)
    except LocalTensorsError as error:
        return lines, [Problem(str(error), read.where("local"))]
    return lines, []


def _strategy(parts: Parts, read: Federation) -> Iterator[Problem]:
    """Yield a warning where code would run at the server that need not."""
    if read.strategy == "own" and parts.own_strategy is None:
        message = "`strategy: own` is not needed: the strategy is one of Flower's, with numbers"
        hint = "Remove this line: then no code of the notebook's runs at the server."
        yield Problem(message, read.where("strategy"), hint)


def _krum(aggregation: str, read: Federation) -> Iterator[Problem]:
    """Yield a warning where Krum or MultiKrum promises nothing (Blanchard et al. 2017, 4.2)."""
    try:
        strategy = plain_strategy.read(aggregation)
    except NotPlainError:
        return
    if strategy is None or strategy.name not in ("Krum", "MultiKrum"):
        return
    malicious = dict(enumerate(strategy.places)) | dict(strategy.names)
    given = malicious.get("num_malicious_nodes", malicious.get(5))
    count = given if type(given) is int else 0
    if count == 0:
        message = f"{strategy.name} is told of no malicious site: num_malicious_nodes is 0"
        yield Problem(message, Where(read.notebook.name), "Say how many it is to withstand.")
    elif len(read.sites) < (least := 2 * count + 3):
        message = f"{strategy.name} withstands {count} of {least} sites, not of {len(read.sites)}"
        yield Problem(message, Where(read.notebook.name), _TOO_FEW)


def _predict(parts: Parts, read: Federation) -> Iterator[Problem]:
    """Yield a warning where nothing can be evaluated without a ``predict``, and there is none."""
    nodes = (node for one in parts.task.statements for node in ast.parse(one.source).body)
    if any(isinstance(node, ast.FunctionDef) and node.name == "predict" for node in nodes):
        return
    for key, needs, given in (
        ("task", read.task == "survival", "return times, events, risks"),
        ("surfaces", (read.surfaces or "").endswith("mm"), "yield mask, predicted, spacing"),
    ):
        if needs:
            message = f"`{key}: {getattr(read, key)}` needs a predict, and the notebook has none"
            yield Problem(message, read.where(key), f"`def predict(net, loader): ... {given}`")


def _labels(parts: Parts, read: Federation) -> Iterator[Problem]:
    """Yield the constants that name or count classes otherwise than the federation file."""
    labels = list(read.labels or ())  # classes; a regression has targets instead
    if not labels:
        return
    for statement in parts.task.statements:
        for node in ast.parse(statement.source).body:
            target = node.targets[0] if isinstance(node, ast.Assign) else None
            if not isinstance(node, ast.Assign) or not isinstance(target, ast.Name):
                continue
            value = literal(node.value)
            names = isinstance(value, list | tuple) and all(isinstance(v, str) for v in value)
            if type(value) is int and _COUNTS.fullmatch(target.id) and value != len(labels):
                said = f"`{target.id}` is {value}"
            elif names and _NAMES.fullmatch(target.id) and list(value) != labels:  # type: ignore[call-overload]
                said = f"`{target.id}` is {value!r}"
            else:
                continue
            where = Where(read.notebook.name, statement.cell, statement.line + node.lineno - 1)
            message = f"{said}, and the federation file names the labels {', '.join(labels)}"
            yield Problem(message, where, "The two must be the same, in the same order.")


def _folders(read: Federation) -> Iterator[Problem]:
    """Yield a warning for each data folder of the local run that does not exist."""
    for site in read.sites:
        if site.data is not None and not site.data.is_dir():
            message = f"the data folder of site {site.name} is not there: {site.data}"
            hint = "`federator run` needs it; a real site has a folder of its own."
            yield Problem(message, read.where("sites"), hint)
