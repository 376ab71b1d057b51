"""The ``strategy`` and ``config`` of a notebook, read from their text."""

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from federator.errors import Problem, Where
from federator.notebook.slicing.closure import Program
from federator.notebook.slicing.component import Component
from federator.notebook.slicing.names import own_nodes
from federator.notebook.slicing.statements import Definition, Step, assignments
from federator.runtime import plain_strategy
from federator.runtime.plain_strategy import MODULE, STRATEGIES, NotPlainError

_PRIVATE = "DifferentialPrivacy"
# What a run sends to `train` anyway, or uses itself.
_SENT_ANYWAY = frozenset({"server-round", "proximal-mu", "proximal_mu"})
_BY_PLACE = (
    "fraction_train",
    "fraction_evaluate",
    "min_train_nodes",
    "min_evaluate_nodes",
    "min_available_nodes",
)
_SCALAR = ast.Constant | ast.JoinedStr | ast.List | ast.Tuple | ast.Set | ast.Lambda
_WRITE = "Write: strategy = fl.serverapp.strategy.FedAvg()"
_WRITE_CONFIG = 'Write: config = {"num_rounds": 3}'


@dataclass
class StrategyReport:
    """What the text of a notebook says about the server's aggregation, and its problems.

    Attributes:
        name: class name of the strategy.
        proximal: whether it relies on a proximal term in ``train``, as FedProx does.
        rounds: ``config["num_rounds"]`` where the text gives it.
        sent: what its ``configure_train`` writes into the configuration that goes to the sites:
            the step, the name (None if it cannot be read), and the node that writes it.
    """

    name: str = "FedAvg"
    proximal: bool = False
    rounds: int | None = None
    sent: list[tuple[Step, str | None, ast.AST]] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)


def examine(program: Program, steps: list[Step]) -> StrategyReport:
    """Look at the steps of ``strategy`` and ``config``, in the spelling of today's API."""
    found = StrategyReport()
    classes = set()
    for step in steps:
        for node in step.walk():
            if isinstance(node, ast.ClassDef):
                classes.add(node.name)
                bases = [_flowers(program, base) or "" for base in node.bases]
                found.proximal |= "FedProx" in bases
                private = (base for base in bases if base.startswith(_PRIVATE))
                found.problems += [unusable(base, step, node) for base in private]
                found.sent += [(step, *entry) for entry in _entries_sent(node)]
            elif isinstance(node, ast.Call) and (name := _flowers(program, node.func)):
                found.proximal |= name == "FedProx" or "proximal_mu" in _arguments(node)
                if name not in STRATEGIES and name != "Strategy":
                    found.problems.append(unusable(name, step, node))
                _check_numbers(node, step, found)
    if program.bindings("strategy"):
        _name_strategy(program, classes, found)
    if program.bindings("config"):
        _read_config(program, found)
    return found


def own_code(aggregation: Component, notebook: str) -> Problem | None:
    """Return which statement of an aggregation would have to run at the server, if any."""
    text = "\n".join(statement.source for statement in aggregation.statements)
    try:
        plain_strategy.read(text)
    except NotPlainError as error:
        first, where = 1, Where(notebook)
        for statement in aggregation.statements:
            lines = statement.source.count("\n") + 1
            if first <= error.line < first + lines:
                where = Where(notebook, statement.cell, statement.line + error.line - first)
            first += lines
        return runs_at_server(error.what, where)
    return None


def runs_at_server(what: str, where: Where | None) -> Problem:
    """Return the error for a strategy that is code, where the federation file expects none."""
    message = f"the strategy is code that runs at the server: {what}"
    hint = (
        "Write one of Flower's strategies with numbers in it, or set `strategy: own` in the "
        "federation file: then it runs in a container of its own, and each site is told so."
    )
    return Problem(message, where, hint)


def ignored_settings(found: StrategyReport, takes: Callable[[str], bool]) -> Iterator[Problem]:
    """Yield a warning for each setting that a strategy sends and ``train`` does not take.

    Args:
        found: what the text says about the strategy.
        takes: whether ``train`` takes an argument of a name.
    """
    for step, name, node in found.sent:
        if name is None:
            message = "what `configure_train` writes into its configuration cannot be read here"
            hint = "Only numbers, texts, True and False that `train` takes by name reach it."
            yield Problem(message, step.where(node), hint)
        elif name not in _SENT_ANYWAY and not takes(name):
            message = (
                f"`{name}`, which `configure_train` sends, reaches no site: `train` takes none"
            )
            named = name if name.isidentifier() else "name"
            hint = f"Write: def train(net, trainloader, valloader, epochs, {named}=...): ..."
            yield Problem(message, step.where(node), hint)


def _entries_sent(node: ast.ClassDef) -> Iterator[tuple[str | None, ast.AST]]:
    """Yield what a strategy's ``configure_train`` writes into a configuration, by key."""
    methods = [
        n for n in node.body if isinstance(n, ast.FunctionDef) and n.name == "configure_train"
    ]
    for inner in (n for method in methods for n in ast.walk(method)):
        keys: list[ast.expr | None] = []
        if isinstance(inner, ast.Subscript) and isinstance(inner.ctx, ast.Store):
            if "config" in ast.unparse(inner.value).lower():
                keys = [inner.slice]
        elif isinstance(inner, ast.Call):
            last = ast.unparse(inner.func).rsplit(".", 1)
            record = last[-1] == "ConfigRecord"
            if record or (last[-1] == "update" and "config" in last[0].lower()):
                dicts = [a for a in inner.args if isinstance(a, ast.Dict)]
                keys = [key for one in dicts for key in one.keys]
                keys += [None for a in inner.args if not isinstance(a, ast.Dict | ast.Constant)]
        for key in keys:
            name = literal(key)
            yield (name if isinstance(name, str) else None), inner


def unusable(name: str, step: Step, node: ast.AST) -> Problem:
    """Return the error for a class that is none of ``STRATEGIES``, listing those."""
    if name.startswith(_PRIVATE):
        message = (
            f"`{name}` would protect less than it says: its noise is made for a mean in which "
            "all sites count the same, and here each counts by its examples"
        )
        hint = "Use a strategy without it; train with record-level privacy, such as Opacus's."
        return Problem(message, step.where(node), hint)
    message = f"Flower has no strategy `{name}` for models with weights"
    hint = f"Available in {MODULE}: {', '.join(sorted(STRATEGIES))}."
    return Problem(message, step.where(node), hint)


def literal(node: ast.AST | None) -> object:
    """Return the value of a literal, None for anything that has to be computed."""
    try:
        return ast.literal_eval(node) if isinstance(node, ast.expr) else None
    except (ValueError, TypeError):
        return None


def _flowers(program: Program, node: ast.expr) -> str | None:
    """Return the class name of a strategy of Flower's message API, None for anything else."""
    dotted = program.dotted(node) or ""
    return dotted.rsplit(".", 1)[1] if dotted.startswith(f"{MODULE}.") else None


def _arguments(call: ast.Call) -> dict[str, ast.expr]:
    by_place = dict(zip(_BY_PLACE, call.args, strict=False))
    return by_place | {k.arg: k.value for k in call.keywords if k.arg}


def _check_numbers(call: ast.Call, step: Step, found: StrategyReport) -> None:
    numbers = {name: literal(value) for name, value in _arguments(call).items()}
    least = numbers.get("min_available_nodes")
    for name in _BY_PLACE:
        number = numbers.get(name)
        if not isinstance(number, int | float):
            continue
        if name.startswith("fraction_") and not 0 <= number <= 1:
            message = f"`{name}` is {number}; a fraction of the sites is between 0 and 1"
            found.problems.append(Problem(message, step.where(call), "1.0 means all sites."))
        elif number < 0:
            found.problems.append(Problem(f"`{name}` is {number}", step.where(call)))
        elif name.startswith("min_") and isinstance(least, int) and number > least:
            message = f"`{name}` is {number}, but `min_available_nodes` only {least}"
            hint = "How many sites a round needs is min_sites: in the federation file."
            found.warnings.append(Problem(message, step.where(call), hint))


def _name_strategy(program: Program, classes: set[str], found: StrategyReport) -> None:
    step, value = _last_value(program, "strategy")
    for _ in range(10):  # `strategy = chosen` and so on; a bound, since `a = b; b = a` has no end
        if not (isinstance(value, ast.Name) and program.bindings(value.id)):
            break
        if value.id in classes or _flowers(program, value):
            break
        step, value = _last_value(program, value.id)
    called = value.func if isinstance(value, ast.Call) else value
    known, found.name = None, "strategy"
    if isinstance(called, ast.Name | ast.Attribute):
        known = _flowers(program, called)
        found.name = known or ast.unparse(called).split(".")[-1]
    if isinstance(value, ast.Call) and (known or found.name in classes):
        return
    if known or found.name in classes:
        message = f"`strategy` is the class {found.name}, not a strategy made from it"
        found.problems.append(Problem(message, step.where(value), f"Write {found.name}()."))
    elif isinstance(value, _SCALAR | Definition | ast.Dict):
        message = "`strategy` is not one of Flower's strategies"
        found.problems.append(Problem(message, step.where(value), _WRITE))
    else:
        message = "the class of `strategy` cannot be read from the notebook's text"
        found.warnings.append(Problem(message, step.where(value)))


def _read_config(program: Program, found: StrategyReport) -> None:
    step, value = _last_value(program, "config")
    entries: list[tuple[object, ast.expr]] = []
    if isinstance(value, ast.Dict):
        entries = [(literal(k), v) for k, v in zip(value.keys, value.values, strict=True)]
    elif isinstance(value, ast.Call) and ast.unparse(value.func) == "dict":
        entries = [(keyword.arg, keyword.value) for keyword in value.keywords]
    elif isinstance(value, _SCALAR | Definition):
        message = "`config` is not a dictionary"
        found.problems.append(Problem(message, step.where(value), _WRITE_CONFIG))
    for later in program.closure(["config"]):
        for node in own_nodes(later.nodes):
            for target, entry in assignments(node):
                if isinstance(target, ast.Subscript) and ast.unparse(target.value) == "config":
                    entries.append((literal(target.slice), entry))
    for key, entry in entries:
        if key != "num_rounds":
            message = f"`{key}` in `config` is not used; only `num_rounds` is"
            found.warnings.append(Problem(message, step.where(entry)))
            continue
        if isinstance(entry, ast.Name) and len(program.bindings(entry.id)) == 1:
            _, constant = _last_value(program, entry.id)
            number = literal(constant)
        else:
            number = literal(entry)
        found.rounds = number if type(number) is int else None
        if number is not None and (found.rounds is None or found.rounds < 1):
            message = f"`num_rounds` is {number!r}; it counts rounds, from 1"
            found.problems.append(Problem(message, step.where(entry), _WRITE_CONFIG))


def _last_value(program: Program, name: str) -> tuple[Step, ast.AST]:
    """Return what a name is assigned to last, or the statement that binds it in another way."""
    step = program.bindings(name)[-1]
    for node in own_nodes(step.nodes):
        for target, value in assignments(node):
            if isinstance(target, ast.Name) and target.id == name:
                return step, value
    return step, step.nodes[0]
