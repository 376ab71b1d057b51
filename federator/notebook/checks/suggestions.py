"""What an author may mean by a part that is missing: functions and classes, nothing else."""

import ast
import difflib
import re

from federator.notebook.checks import model_part
from federator.notebook.checks.missing_names import place
from federator.notebook.signatures import definition
from federator.notebook.slicing.closure import Program
from federator.notebook.slicing.statements import Step

# What functions of the parts are often called.
_USUAL = {
    "load_data": re.compile(r"(?:get|load|make|prepare|create|build)_?\w*(?:data|loader)\w*", re.I),
    "train": re.compile(r"(?:train|fit)_\w+|fit|\w*_train(?:ing)?|training_loop", re.I),
    "test": re.compile(r"(?:test|eval|valid)_\w+|evaluate|evaluation|validate|validation", re.I),
    "predict": re.compile(r"(?:predict|infer)_\w+|inference|prediction", re.I),
}
_SPLITS = ("train_test_split", "random_split", "read_csv", "load", "load_dataset", "Subset")


def near(program: Program, name: str) -> str:
    """Return a pointer to what may be meant by a missing part, with its place, or nothing."""
    found = _model(program) if name == "Model" else _function(program, name)
    return f"Is it `{found}` ({place(program.bindings(found)[-1])})? " if found else ""


def is_data(program: Program, name: str, step: Step) -> bool:
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
    return dotted in classes or dotted.startswith(
        ("torch.nn.", "torchvision.models.", "timm.", "monai.networks.", "torch.hub.")
    )
