"""Parts of the contract that are missing, that are defined twice, or that are not filled in."""

import ast
import difflib
import re
from collections.abc import Iterable, Iterator

from federator.errors import Problem, Where
from federator.notebook.checks import model_part
from federator.notebook.checks.missing_names import place
from federator.notebook.reader import Cell
from federator.notebook.signatures import SPELLING, definition
from federator.notebook.slicing.closure import Program
from federator.notebook.slicing.names import own_nodes
from federator.notebook.slicing.statements import Step

# Usual names for the functions of the contract.
_USUAL = {
    "load_data": re.compile(r"(?:get|load|make|prepare|create|build)_?\w*(?:data|loader)\w*", re.I),
    "train": re.compile(r"(?:train|fit)_\w+|fit|\w*_train(?:ing)?|training_loop", re.I),
    "test": re.compile(r"(?:test|eval|valid)_\w+|evaluate|evaluation|validate|validation", re.I),
    "predict": re.compile(r"(?:predict|infer)_\w+|inference|prediction", re.I),
}
_SPLITS = ("train_test_split", "random_split", "read_csv", "load", "load_dataset", "Subset")
_TODO_BETWEEN_MARKS = re.compile(
    r"^[ \t]*#+ *START CODE HERE.*\n(?:[ \t]*(?:#.*)?\n)*?[ \t]*(?P<todo>#+ *TODO).*\n"
    r"(?:[ \t]*(?:#.*)?\n)*?[ \t]*#+ *END CODE HERE",
    re.MULTILINE,
)


def suggestion(program: Program, name: str) -> str:
    """Return a pointer to what may be meant by a missing part, with its place, or nothing."""
    found = _model(program) if name == "Model" else _function(program, name)
    return f"Is it `{found}` ({place(program.bindings(found)[-1])})? " if found else ""


def defined_twice(program: Program, name: str) -> Iterator[Problem]:
    """Yield every definition of a part that makes it unclear which one is meant."""
    bindings = program.bindings(name)
    data = [step for step in bindings if _is_data(program, name, step)]
    if data and len(data) < len(bindings):
        for step in data:
            message = f"`{name}` is data here, and a function elsewhere"
            yield Problem(message, step.where(), f"Rename it, for example to {name}_set.")
        return
    for other in bindings[1:]:
        message = f"`{name}` is defined in {place(bindings[0])}, and again here"
        hint = "Keep one of them; rename the other, or tag its cell `local`."
        yield Problem(message, other.where(), hint)


def unfilled_functions(step: Step, subclassed: frozenset[str]) -> Iterator[Problem]:
    """Yield the functions of a step that the author has not written yet.

    A method that raises NotImplementedError in a class that others inherit from is not meant.
    """
    for name, function in _functions(step.nodes, subclassed):
        mark = next(_not_implemented(function.body), None)
        if mark is not None:
            message = f"`{name}` is not filled in: it still raises NotImplementedError"
            told = [n.value for n in ast.walk(mark) if isinstance(n, ast.Constant)]
            hint = f"Write its code: {told[0]!s}" if told else "Write its code."
            yield Problem(message, step.where(mark), hint)
        elif name in SPELLING and all(map(_is_empty, function.body)):
            message = f"`{name}` is not filled in: its body is empty"
            yield Problem(message, step.where(function), f"Write: {SPELLING[name]}")


def unfilled_marks(cell: Cell, file: str) -> Iterator[Problem]:
    """Yield the places between the marks of the 2022 template where nothing but TODO stands."""
    for match in _TODO_BETWEEN_MARKS.finditer(cell.source):
        line = cell.source.count("\n", 0, match.start("todo")) + 1
        yield Problem(
            "this part of the template is not filled in",
            Where(file, cell.number, line),
            "Write the code between START CODE HERE and END CODE HERE, and take TODO away.",
        )


def _is_data(program: Program, name: str, step: Step) -> bool:
    """Whether a step binds a name to data: by unpacking, reading, or as a container."""
    node = definition(name, step)
    if isinstance(node, ast.Assign | ast.For | ast.With):  # `train, test = ...`
        return True
    if isinstance(node, ast.Call):
        return (program.dotted(node.func) or "").rsplit(".", 1)[-1] in _SPLITS
    return isinstance(node, ast.List | ast.Dict | ast.Tuple | ast.Subscript | ast.ListComp)


def _function(program: Program, name: str) -> str | None:
    known = [
        bound
        for step in program.steps
        for bound in step.binds
        if isinstance(definition(bound, step), ast.FunctionDef | ast.Lambda)
    ]
    close = difflib.get_close_matches(name, known, 1, 0.7)
    usual = [one for one in known if name in _USUAL and _USUAL[name].fullmatch(one)]
    return next(iter([*close, *usual[-1:]]), None)


def _model(program: Program) -> str | None:
    """Return the model: the last module class that no other such class is built from.

    Where there is none, a function that returns a model.
    """
    classes: dict[str, ast.ClassDef] = {}
    functions: dict[str, ast.FunctionDef] = {}
    for step in program.steps:
        for bound in step.binds:
            node = definition(bound, step)
            if isinstance(node, ast.ClassDef) and model_part.is_module(program, node):
                classes[bound] = node
            elif isinstance(node, ast.FunctionDef):
                functions[bound] = node
    close = difflib.get_close_matches("Model", classes, 1, 0.7)
    used = {
        inner.id
        for node in classes.values()
        for inner in ast.walk(node)
        if isinstance(inner, ast.Name)
    }
    whole = [name for name in classes if name not in used] or list(classes)
    makers = [
        name
        for name, node in functions.items()
        if any(_gives_model(program, value, classes) for value in model_part.returned(node))
    ]
    return next(iter([*close, *whole[-1:], *makers[-1:]]), None)


def _gives_model(program: Program, node: ast.expr, classes: dict[str, ast.ClassDef]) -> bool:
    """Whether an expression is a model: of the notebook's classes, or of a known library."""
    dotted = (program.dotted(node.func) or "") if isinstance(node, ast.Call) else ""
    return dotted in classes or dotted.startswith(model_part.MODEL_PACKAGES)


def _functions(
    nodes: Iterable[ast.AST], subclassed: frozenset[str], prefix: str = ""
) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    for node in own_nodes(nodes):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            if not any("abstract" in ast.unparse(d) for d in node.decorator_list):
                yield prefix + node.name, node
        elif isinstance(node, ast.ClassDef) and node.name not in subclassed:
            yield from _functions(node.body, subclassed, f"{prefix}{node.name}.")


def _not_implemented(body: Iterable[ast.stmt]) -> Iterator[ast.Raise]:
    """Yield the `raise NotImplementedError` that a body reaches whatever its input is."""
    for node in body:
        if isinstance(node, ast.Raise) and node.exc is not None:
            raised = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
            if isinstance(raised, ast.Name) and raised.id == "NotImplementedError":
                yield node
        elif isinstance(node, ast.With | ast.For | ast.While):
            yield from _not_implemented(node.body)


def _is_empty(node: ast.stmt) -> bool:
    return isinstance(node, ast.Pass) or (
        isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    )
