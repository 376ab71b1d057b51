"""What a notebook has to have for differential privacy, as far as its text shows it.

What the text does not show is found when the first model is made, and when a site joins.
"""

import ast
import re
from collections.abc import Iterator

from federator.errors import Problem, Where
from federator.federation.schema import Federation
from federator.notebook.contract import Parts
from federator.runtime.worker.privacy.models import REMEDIES

_CALL = "net, optimizer, trainloader = privacy(net, optimizer, trainloader)"
_TRAIN = f"def train(net, trainloader, valloader, epochs, privacy=None): ... {_CALL}"
# Models of torchvision that have BatchNorm; of some, norm_layer takes another layer's maker.
_WITH_BATCHNORM = re.compile(
    "(resnet|resnext|wide_resnet|mobilenet|efficientnet|densenet|shufflenet|mnasnet|regnet)"
    r"(_?[a-z]*\d[a-z0-9_]*)|googlenet|inception_v3|vgg\d+_bn"
)
_TESTS = frozenset({"isinstance", "issubclass"})


def problems(parts: Parts, federation: Federation) -> Iterator[Problem]:
    """Yield what keeps a notebook from being trained with a federation's privacy."""
    if federation.privacy is None:
        return
    name = federation.notebook.name
    trees = [(one, ast.parse(one.source)) for one in parts.task.statements]
    definitions = (node for _, tree in trees for node in tree.body)
    known = {n.name for n in definitions if isinstance(n, ast.FunctionDef | ast.ClassDef)}
    for statement, tree in trees:
        for node, message, hint in [*_layers(tree), *_train(tree)]:
            if getattr(node, "id", "") not in known:  # of that name, but the notebook's own
                line = statement.line + node.lineno - 1
                yield Problem(message, Where(name, statement.cell, line), hint)
    if federation.privacy.unit == "patient" and "patients_of" not in known:
        hint = "Write: def patients_of(dataset): ... return the patient of each record, in order"
        yield Problem("`privacy.unit` is patient, and there is no `patients_of`", Where(name), hint)
    if parts.strategy == "QFedAvg":
        message = "QFedAvg weighs sites by the loss of their training sets, which leaves no site"
        yield Problem(f"{message} under privacy", Where(name), "Choose another strategy.")


_Found = Iterator[tuple[ast.expr | ast.stmt, str, str]]


def _train(tree: ast.Module) -> _Found:
    """Yield ``train`` if it takes no ``privacy``, or never calls it."""
    for node in tree.body:
        if not isinstance(node, ast.FunctionDef) or node.name != "train":
            continue
        spec = node.args
        names = {argument.arg for argument in (*spec.args, *spec.kwonlyargs)}
        if "privacy" not in names and spec.kwarg is None:
            yield node, "`train` takes no `privacy`, which the federation asks for", _TRAIN
        elif "privacy" in names and not any(
            isinstance(one, ast.Name) and one.id == "privacy" for one in ast.walk(node)
        ):
            yield node, "`train` does not use `privacy`", f"Write before its loop: {_CALL}"


def _layers(tree: ast.Module) -> _Found:
    """Yield the layers, and the models of torchvision, that cannot be trained so."""
    tested = {
        id(one)
        for call in ast.walk(tree)
        if isinstance(call, ast.Call) and getattr(call.func, "id", "") in _TESTS
        for one in ast.walk(call)
    }
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call | ast.Attribute | ast.Name) or id(node) in tested:
            continue
        called = node.func if isinstance(node, ast.Call) else node
        last = getattr(called, "attr", "") or getattr(called, "id", "")
        if last in REMEDIES and not isinstance(node, ast.Call):
            message = f"`{last}` cannot be trained with differential privacy"
            yield node, message, f"Write {REMEDIES[last]} in its place."
        elif isinstance(node, ast.Call) and _WITH_BATCHNORM.fullmatch(last):
            if any(keyword.arg == "norm_layer" for keyword in node.keywords):
                continue
            message = f"`{last}` has BatchNorm, which cannot be trained with differential privacy"
            hint = "If it takes norm_layer, write norm_layer=lambda n: nn.GroupNorm(8, n)."
            yield called, message, hint
