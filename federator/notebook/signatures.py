"""What the functions of a filled notebook must look like, checked without running them."""

import ast
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from federator.errors import Problem
from federator.notebook.slicing.definitions import Function
from federator.notebook.slicing.names import own_nodes
from federator.notebook.slicing.statements import Step


@dataclass(frozen=True)
class Part:
    """A function of the contract: how it is called and how many values it returns.

    ``returns`` are the lengths that the tuple that it returns may have; of none nothing
    is checked. ``yields``: it may be a generator.
    """

    name: str
    arguments: tuple[str, ...]
    returns: tuple[int, ...]
    spelling: str
    required: bool = True
    yields: bool = False


PARTS = (
    Part(
        "load_data",
        ("data_path",),
        (4,),
        "def load_data(data_path): ... return trainloader, valloader, testloader, num_examples",
    ),
    Part("Model", (), (), "class Model(nn.Module): def __init__(self): ..."),
    Part(
        "train",
        ("net", "trainloader", "valloader", "epochs"),
        (),
        "def train(net, trainloader, valloader, epochs): ...",
    ),
    Part(
        "test",
        ("net", "testloader"),
        (2,),
        "def test(net, testloader): ... return loss, accuracy",
    ),
    Part(
        "predict",
        ("net", "loader"),
        (2, 3),  # times, events, risks
        "def predict(net, loader): ... return labels, scores",
        required=False,
        yields=True,
    ),
    Part(
        "patients_of",
        ("dataset",),
        (),
        "def patients_of(dataset): ... return the patient of each record",
        required=False,
        yields=True,
    ),
)

SPELLING = {part.name: part.spelling for part in PARTS}

Definitions = Mapping[str, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef]


def definitions(steps: Iterable[Step]) -> Definitions:
    """Return the functions and classes that steps define at the top level, by name."""
    nodes = (node for step in steps for node in own_nodes(step.nodes))
    kinds = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    return {node.name: node for node in nodes if isinstance(node, kinds)}


def check(part: Part, step: Step, known: Definitions) -> Iterator[Problem]:
    """Yield what is wrong with the step that binds a part other than ``Model``.

    Args:
        part: what is looked for.
        step: where it is bound.
        known: what the notebook defines, to follow ``train = fit``.
    """
    node = definition(part.name, step)
    if isinstance(node, ast.Name):
        node = known.get(node.id, node)
    where = step.where(node)
    if isinstance(node, ast.AsyncFunctionDef):
        hint = f"Write it without async: {part.spelling}"
        yield Problem(f"`{part.name}` is an async function", where, hint)
    elif isinstance(node, ast.FunctionDef | ast.Lambda):
        yield from _check_arguments(part, node, step)
        yield from _check_returns(part, node, step)
    elif not _may_be_callable(node):
        hint = f"Write: {part.spelling}"
        yield Problem(f"`{part.name}` is not a function", where, hint)


def takes(name: str, argument: str, step: Step) -> bool:
    """Whether a function takes an argument by name; True where that cannot be seen."""
    node = definition(name, step)
    if not isinstance(node, Function):
        return True
    spec = node.args
    names = {a.arg for a in (*spec.args, *spec.kwonlyargs)}
    return argument in names or spec.kwarg is not None


def without_folder(step: Step) -> bool:
    """Whether ``load_data`` can be called without a folder, as in the template of 2022."""
    node = definition("load_data", step)
    return isinstance(node, Function) and not (required(node) or node.args.vararg)


def definition(name: str, step: Step) -> ast.AST:
    """Return the node that binds a name: its definition, the assigned value, or the statement."""
    found: ast.AST = step.nodes[0]
    for node in own_nodes(step.nodes):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            if node.name == name:
                found = node
        elif isinstance(node, ast.Assign):
            if any(isinstance(t, ast.Name) and t.id == name for t in node.targets):
                found = node.value
        elif isinstance(node, ast.Import | ast.ImportFrom) and name in {
            a.asname or a.name for a in node.names
        }:
            found = node
    return found


def _may_be_callable(node: ast.AST) -> bool:
    """Whether something that is no definition may be a function: imported, built, or an alias."""
    return isinstance(
        node, ast.Import | ast.ImportFrom | ast.Call | ast.Name | ast.Attribute | ast.IfExp
    )


def _check_arguments(
    part: Part, node: ast.FunctionDef | ast.Lambda, step: Step
) -> Iterator[Problem]:
    where, hint = step.where(node), f"Write: {part.spelling}"
    positional = [a.arg for a in (*node.args.posonlyargs, *node.args.args)]
    given = len(part.arguments)
    call = f"{part.name}({', '.join(part.arguments)})"
    zero_is_fine = part.name == "load_data" and not positional
    if len(positional) < given and not node.args.vararg and not zero_is_fine:
        takes = f"takes {listed(positional)}" if positional else "takes nothing"
        yield Problem(f"`{part.name}` {takes}, but is called as {call}", where, hint)
        return
    extra = required(node, given)
    if extra:
        message = f"`{part.name}` needs {listed(extra)} too, but is called as {call}"
        yield Problem(message, where, "Give every further argument a default.")
    for place, name in enumerate(positional):
        if name in part.arguments and part.arguments.index(name) != place:
            message = f"`{part.name}` has `{name}` in another place than its call, {call}"
            yield Problem(message, where, hint)
            return


def _check_returns(part: Part, node: ast.FunctionDef | ast.Lambda, step: Step) -> Iterator[Problem]:
    if not part.returns or isinstance(node, ast.Lambda):
        return
    hint = f"Write: {part.spelling}"
    inside = list(own_nodes(node.body))
    if part.yields and any(isinstance(n, ast.Yield | ast.YieldFrom) for n in inside):
        return
    asked = " or ".join(map(str, part.returns))
    returned = [n for n in inside if isinstance(n, ast.Return) and n.value is not None]
    if not returned and not any(isinstance(n, ast.Raise) for n in inside):
        yield Problem(f"`{part.name}` returns nothing", step.where(node), hint)
    for statement in returned:
        value = statement.value
        values = value.elts if isinstance(value, ast.Tuple) else []
        unpacked = any(isinstance(element, ast.Starred) for element in values)
        if _is_number(value, inside):
            message = f"`{part.name}` returns one value, not {asked}"
            yield Problem(message, step.where(statement), hint)
        elif values and not unpacked and len(values) not in part.returns:
            message = f"`{part.name}` returns {len(values)} values, not {asked}"
            yield Problem(message, step.where(statement), hint)


def _is_number(node: ast.expr | None, inside: list[ast.AST]) -> bool:
    """Whether an expression is a single value for sure: a number, or what was set to one."""
    if isinstance(node, ast.Constant):
        return True
    if isinstance(node, ast.BinOp):
        return isinstance(node.op, ast.Div | ast.FloorDiv | ast.Sub | ast.Pow)
    if isinstance(node, ast.Call):
        method = isinstance(node.func, ast.Attribute) and node.func.attr == "item"
        return method or ast.unparse(node.func) in ("float", "int", "len", "round")
    if isinstance(node, ast.Name):
        values = [
            n.value
            for n in inside
            if isinstance(n, ast.Assign)
            for target in n.targets
            if isinstance(target, ast.Name) and target.id == node.id
        ]
        stored = sum(
            isinstance(n, ast.Name) and n.id == node.id and isinstance(n.ctx, ast.Store)
            for n in inside
        )
        changed = sum(
            isinstance(n, ast.AugAssign)
            and isinstance(n.target, ast.Name)
            and n.target.id == node.id
            for n in inside
        )
        plain = all(_is_number(value, []) for value in values)
        return bool(values) and plain and len(values) + changed == stored
    return False


def required(node: Function, given: int = 0) -> list[str]:
    """Return the arguments without default, apart from the first ``given`` by position."""
    names = [argument.arg for argument in (*node.args.posonlyargs, *node.args.args)]
    pairs = zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True)
    by_name = [argument.arg for argument, default in pairs if default is None]
    return names[: len(names) - len(node.args.defaults)][given:] + by_name


def listed(names: Iterable[str]) -> str:
    """Return names for a sentence."""
    return ", ".join(f"`{name}`" for name in names)
