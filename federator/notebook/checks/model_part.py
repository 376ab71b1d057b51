"""Checks that ``Model()`` works without arguments and returns a model.

``Model`` may be a class, a function, a lambda, a ``functools.partial`` or an imported name. It
may not be a model that has been built, since each site builds its own.
"""

import ast
from collections.abc import Iterator, Mapping

from federator.errors import Problem
from federator.notebook.signatures import (
    SPELLING,
    definition,
    listed,
    required,
)
from federator.notebook.slicing.closure import Program
from federator.notebook.slicing.definitions import Function
from federator.notebook.slicing.names import own_nodes
from federator.notebook.slicing.statements import Step

_HINT = f"Write: {SPELLING['Model']}"
_MAKERS = ("from_pretrained", "create_model", "load", "load_model", "load_from_checkpoint")
# Where the libraries that notebooks use most keep their models, and the functions that build them.
MODEL_PACKAGES = (
    *("torch.nn.", "torchvision.models.", "torch.hub.", "timm.models.", "timm.create_model"),
    *("monai.networks.", "segmentation_models_pytorch."),
)
# What gives back the model that it is called on, or wraps the one that it is handed.
_SAME = frozenset({"to", "cuda", "cpu", "eval", "train", "half", "float", "double", "bfloat16"})
_WRAPPERS = frozenset(
    {
        *("torch.compile", "torch.jit.script", "torch.jit.trace", "torch.nn.DataParallel"),
        "torch.nn.parallel.DistributedDataParallel",
    }
)


def check(program: Program, step: Step) -> Iterator[Problem]:
    """Yield what is wrong with the step that binds ``Model``."""
    node, found_in = follow(program, definition("Model", step), step)
    where = found_in.where(node)
    if isinstance(node, ast.ClassDef):
        yield from _check_class(program, node, found_in)
    elif isinstance(node, ast.AsyncFunctionDef):
        yield Problem("`Model` is an async function", where, f"Write it without async. {_HINT}")
    elif isinstance(node, ast.FunctionDef | ast.Lambda):
        yield from _check_function(program, node, found_in)
    elif isinstance(node, ast.Call) and is_instance(program, node):
        message = "`Model` is a model that has been built, not what builds one"
        yield Problem(message, step.where(definition("Model", step)), _spelling(program, node))
    elif not isinstance(
        node, ast.Import | ast.ImportFrom | ast.Call | ast.Name | ast.Attribute | ast.IfExp
    ):
        yield Problem("`Model` is neither a class nor a function", where, _HINT)


def follow(program: Program, node: ast.AST, step: Step) -> tuple[ast.AST, Step]:
    """Return what a name stands for at last, and the step that says so."""
    for _ in range(10):
        bindings = program.bindings(node.id) if isinstance(node, ast.Name) else []
        before = [one for one in bindings if one is not step]
        if not (isinstance(node, ast.Name) and before):
            break
        step = before[-1]
        node = definition(node.id, step)
    return node, step


def is_module(program: Program, node: ast.ClassDef, depth: int = 10) -> bool:
    """Whether a class is seen to be a torch module, by its bases in the notebook or their names."""
    for base in node.bases:
        dotted = program.dotted(base) or ""
        last = dotted.rsplit(".", 1)[-1]
        if last.endswith(("Module", "PreTrainedModel")) or dotted.startswith(MODEL_PACKAGES):
            return True
        known = _class(program, base)
        if (
            known is not None
            and known is not node
            and depth
            and is_module(program, known, depth - 1)
        ):
            return True
    return False


def is_instance(program: Program, call: ast.expr, depth: int = 10) -> bool:
    """Whether an expression is seen to give a model, or another object, and nothing to call."""
    if not isinstance(call, ast.Call):
        return False
    function = call.func
    dotted = program.dotted(function) or ""
    last = dotted.rsplit(".", 1)[-1]
    if dotted in _WRAPPERS and call.args:
        return last == "DataParallel" or _built(program, call.args[0], depth)
    if isinstance(function, ast.Attribute) and function.attr in _SAME:
        return _built(program, function.value, depth)
    if isinstance(function, ast.Name) and (bindings := program.bindings(function.id)):
        node = definition(function.id, bindings[-1])
        if isinstance(node, ast.ClassDef):
            return True
        if isinstance(node, ast.FunctionDef | ast.Lambda) and depth:
            return any(_built(program, value, depth - 1) for value in returned(node))
    imported = dotted.split(".")[0] != dotted or dotted in program.origins.values()
    return (imported and last[:1].isupper()) or last in _MAKERS or dotted.startswith(MODEL_PACKAGES)


def returned(node: Function) -> list[ast.expr]:
    """Return the expressions that a function returns; of a variable, what it was set to last."""
    if isinstance(node, ast.Lambda):
        return [node.body]
    inside = list(own_nodes(node.body))
    known = {
        target.id: n.value
        for n in inside
        if isinstance(n, ast.Assign)
        for target in n.targets
        if isinstance(target, ast.Name)
    }
    values = [n.value for n in inside if isinstance(n, ast.Return) and n.value is not None]
    return [_made(value, known) for value in values]


def _made(node: ast.expr, known: Mapping[str, ast.expr]) -> ast.expr:
    """Return what a variable was set to, without the ``.to(device)`` of what is returned."""
    for _ in range(10):
        if isinstance(node, ast.Name) and node.id in known:
            node = known[node.id]
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            if node.func.attr not in _SAME:
                break
            node = node.func.value
    return node


def _built(program: Program, node: ast.expr, depth: int) -> bool:
    """Whether an expression, or what a name stands for, is a model that has been built."""
    if isinstance(node, ast.Name) and depth and program.bindings(node.id):
        found = definition(node.id, program.bindings(node.id)[-1])
        return isinstance(found, ast.expr) and _built(program, found, depth - 1)
    return bool(depth) and is_instance(program, node, depth - 1)


def _spelling(program: Program, call: ast.Call) -> str:
    bindings = program.bindings(call.func.id) if isinstance(call.func, ast.Name) else []
    if bindings and not (bindings[-1].origins or call.args or call.keywords):
        return f"Write: Model = {ast.unparse(call.func)}"
    text = ast.unparse(call)
    return f"Write: def Model(): return {text if len(text) <= 60 else '...'}"


def _class(program: Program, node: ast.expr) -> ast.ClassDef | None:
    bindings = program.bindings(node.id) if isinstance(node, ast.Name) else []
    found = definition(node.id, bindings[-1]) if isinstance(node, ast.Name) and bindings else None
    return found if isinstance(found, ast.ClassDef) else None


def _check_class(program: Program, node: ast.ClassDef, step: Step) -> Iterator[Problem]:
    where = step.where(node)
    if not node.bases:
        yield Problem("`Model` inherits from nothing, so it has no weights", where, _HINT)
    init = _initialiser(program, node)
    needed = required(init, 1) if init else []
    if needed:
        message = f"`Model()` needs {listed(needed)}, but it is built without arguments"
        fixed = ", ".join(f"{name}=..." for name in needed)
        yield Problem(message, where, f"Give defaults: def __init__(self, {fixed})")


def _check_function(
    program: Program, node: ast.FunctionDef | ast.Lambda, step: Step
) -> Iterator[Problem]:
    where = step.where(node)
    needed = required(node)
    if needed:
        message = f"`Model()` needs {listed(needed)}, but it is built without arguments"
        yield Problem(message, where, "Give every argument a default.")
    values = returned(node)
    inside = [] if isinstance(node, ast.Lambda) else list(own_nodes(node.body))
    if not values and not any(isinstance(n, ast.Raise) for n in inside):
        yield Problem("`Model` returns nothing", where, "Write: def Model(): ... return net")
    for value in values:
        if _class(program, value) is not None:
            text = ast.unparse(value)
            message = f"`Model` returns the class {text}, not a model made from it"
            yield Problem(message, step.where(value), f"Write: Model = {text}")


def _initialiser(program: Program, node: ast.ClassDef, depth: int = 10) -> ast.FunctionDef | None:
    """Return the ``__init__`` of a class, or of the notebook's class that it inherits it from."""
    for method in node.body:
        if isinstance(method, ast.FunctionDef) and method.name == "__init__":
            return method
    parent = _class(program, node.bases[0]) if node.bases else None
    if parent is None or parent is node or not depth:
        return None
    return _initialiser(program, parent, depth - 1)
