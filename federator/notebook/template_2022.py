"""Translates a strategy of the 2022 template to Flower's message API.

A translated statement keeps its place, and takes as many lines of its cell as it took before.
"""

import ast
import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from federator.errors import Problem
from federator.notebook.slicing.closure import Program
from federator.notebook.slicing.statements import Step
from federator.notebook.strategy import unusable
from federator.runtime.plain_strategy import MODULE, STRATEGIES

_OLD_MODULE = "flwr.server.strategy"

_RENAMED = {
    "fraction_fit": "fraction_train",
    "fraction_eval": "fraction_evaluate",
    "min_fit_clients": "min_train_nodes",
    "min_eval_clients": "min_evaluate_nodes",
    "min_evaluate_clients": "min_evaluate_nodes",
    "min_available_clients": "min_available_nodes",
    "num_malicious_clients": "num_malicious_nodes",
    "q_param": "q",
    "qffl_learning_rate": "client_learning_rate",
}
_BY_PLACE = 5  # in both APIs the first five arguments have the same meaning and order

_WEIGHTS = "The first weights come from Model(), or from initial_weights: in the federation file."
_SETTINGS = "`train` gets no settings per round; use a cell tagged `parameters`."
_QUORUM = "How many sites a round needs is min_sites: in the federation file."
_DROPPED = {
    "initial_parameters": _WEIGHTS,
    "on_fit_config_fn": _SETTINGS,
    "on_evaluate_config_fn": _SETTINGS,
    "accept_failures": _QUORUM,
    "min_completion_rate_fit": _QUORUM,
    "min_completion_rate_evaluate": _QUORUM,
    "inplace": "It changes nothing in the result.",
}
_CENTRAL = "Take it out: the sites test every round's model on their own data."
_SUMMED = (
    "Take it out: the metrics of all sites are summed; "
    "name additional ones under metrics: in the federation file."
)
_REFUSED = {
    "eval_fn": _CENTRAL,
    "evaluate_fn": _CENTRAL,
    "fit_metrics_aggregation_fn": _SUMMED,
    "evaluate_metrics_aggregation_fn": _SUMMED,
    "num_clients_to_keep": "Use fl.serverapp.strategy.MultiKrum(num_nodes_to_select=...).",
    "first_aggregation_rule": "Use `selection_rule` of the new API.",
}
# The defaults of the two APIs differ here. The translation writes the old ones out, so that the
# strategy does the same as before.
_OLD_DEFAULTS: Mapping[str, Mapping[str, float]] = {
    "FedAdagrad": {"tau": 1e-9},
    "FedAdam": {"tau": 1e-9},
    "QFedAvg": {
        "q": 0.2,
        "client_learning_rate": 0.1,
        "min_train_nodes": 1,
        "min_evaluate_nodes": 1,
        "min_available_nodes": 1,
    },
}


@dataclass
class Translation:
    """A notebook whose strategy is spelled as today, and what was done for it."""

    program: Program
    problems: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)


def translate(program: Program) -> Translation:
    """Translate what ``strategy`` and ``config`` need; other statements are left as they are."""
    result = Translation(program)
    cells = {cell.number: cell for cell in program.notebook.cells}
    for step in program.closure(("strategy", "config")):
        translator = _Translator(program, step, result)
        new = [translator.visit(copy.deepcopy(node)) for node in step.nodes]
        if [ast.dump(node) for node in new] == [ast.dump(node) for node in step.nodes]:
            continue
        cell = cells[step.cell.number]
        lines, old = cell.source.split("\n"), step.source.split("\n")
        comments = next(at for at, line in enumerate(old) if not line.startswith("#"))
        first, last = step.line - 1 + comments, step.line - 1 + len(old)
        lines[first:last] = _written(new, last - first)
        cells[cell.number] = replace(cell, source="\n".join(lines))
        message = "this is the spelling of Flower's old API; it is translated"
        hint = f"Write: {'; '.join(map(ast.unparse, new))}"
        result.warnings.append(Problem(message, step.where(), hint))
    if result.warnings:
        result.program = Program(replace(program.notebook, cells=tuple(cells.values())))
    return result


def leftovers(program: Program, steps: list[Step]) -> Iterator[Problem]:
    """Yield the uses of Flower's old server API that no translation exists for."""
    for step in steps:
        for node in step.walk():
            dotted = program.dotted(node) if isinstance(node, ast.Attribute | ast.Name) else None
            if dotted and dotted.startswith("flwr.server."):
                yield _of_the_old_api(node, step)
                break


def _of_the_old_api(node: ast.AST, step: Step) -> Problem:
    message = f"`{ast.unparse(node)}` belongs to Flower's old API"
    return Problem(message, step.where(node), f"Use {MODULE} instead.")


def _written(nodes: list[ast.stmt], lines: int) -> list[str]:
    """Return statements as so many lines of text: one for each argument where there is room."""
    text = "; ".join(map(ast.unparse, nodes)).split("\n")
    node = nodes[0]
    if (
        len(nodes) == 1
        and isinstance(node, ast.Assign)
        and isinstance(call := node.value, ast.Call)
    ):
        inside = [f"    {ast.unparse(argument)}," for argument in (*call.args, *call.keywords)]
        if lines >= len(inside) + 2:
            head = ast.unparse(ast.Assign(node.targets, call.func, lineno=1))
            text = [f"{head}(", *inside, ")"]
    return text + [""] * (lines - len(text))


class _Translator(ast.NodeTransformer):
    """Rewrites one step; what cannot be translated, or is lost, is added to the result."""

    def __init__(self, program: Program, step: Step, result: Translation) -> None:
        self._program = program
        self._step = step
        self._result = result

    def visit_Import(self, node: ast.Import) -> ast.Import:
        for alias in node.names:
            if alias.name.startswith(_OLD_MODULE):
                alias.name = MODULE
        return node

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.ImportFrom:
        if (node.module or "").startswith(_OLD_MODULE):
            node.module = MODULE
            for name in [a.name for a in node.names if a.name not in {*STRATEGIES, "Strategy"}]:
                self._result.problems.append(unusable(name, self._step, node))
        elif node.module == "flwr.server" and {a.name for a in node.names} == {"strategy"}:
            node.module = "flwr.serverapp"
        return node

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.ClassDef:
        # What its methods override is called by other names, and with other arguments, today.
        for base in node.bases:
            if (self._program.dotted(base) or "").startswith(_OLD_MODULE):
                self._result.problems.append(_of_the_old_api(base, self._step))
        self.generic_visit(node)
        return node

    def visit_Call(self, node: ast.Call) -> ast.expr:
        dotted = self._program.dotted(node.func) or ""
        self.generic_visit(node)
        name = dotted.rsplit(".", 1)[-1]
        if dotted == "flwr.server.ServerConfig":
            return self._config(node)
        if dotted.startswith(f"{_OLD_MODULE}."):
            self._rename_module(node.func)
            given = {_RENAMED.get(k.arg or "", k.arg) for k in node.keywords}
            for argument, default in _OLD_DEFAULTS.get(name, {}).items():
                if argument not in given:
                    node.keywords.append(ast.keyword(argument, ast.Constant(default)))
            if len(node.args) > _BY_PLACE or any(keyword.arg is None for keyword in node.keywords):
                message = f"the arguments of `{name}` cannot be read from the text"
                hint = "Write each one as name=value."
                self._result.problems.append(Problem(message, self._step.where(node), hint))
        elif not dotted.startswith(f"{MODULE}."):
            return node
        node.keywords = [keyword for keyword in node.keywords if self._keep(keyword)]
        return node

    def _rename_module(self, node: ast.expr) -> None:
        while isinstance(node, ast.Attribute):
            if node.attr == "server":
                node.attr = "serverapp"
            node = node.value

    def _keep(self, keyword: ast.keyword) -> bool:
        """Rename an argument; whether the message API has it."""
        name = keyword.arg or ""
        keyword.arg = _RENAMED.get(name, keyword.arg)
        if name not in _DROPPED and name not in _REFUSED:
            return True
        value = keyword.value.value if isinstance(keyword.value, ast.Constant) else keyword
        if value is None or (name == "num_clients_to_keep" and value == 0):
            return False
        if name in _REFUSED:
            message = f"`{name}` does not exist in Flower's message API"
            self._result.problems.append(
                Problem(message, self._step.where(keyword), _REFUSED[name])
            )
        else:
            message = f"`{name}` is left out of the converted strategy"
            self._result.warnings.append(
                Problem(message, self._step.where(keyword), _DROPPED[name])
            )
        return False

    def _config(self, node: ast.Call) -> ast.Dict:
        """Return Flower's old ServerConfig as the dictionary of the contract."""
        values = dict(zip(("num_rounds", "round_timeout"), node.args, strict=False))
        values |= {keyword.arg: keyword.value for keyword in node.keywords if keyword.arg}
        if "round_timeout" in values:
            message = "`round_timeout` is left out of the converted strategy"
            hint = "Write deadlines: {round: ...} in the federation file."
            self._result.warnings.append(Problem(message, self._step.where(node), hint))
        rounds = values.get("num_rounds", ast.Constant(1))
        return ast.Dict([ast.Constant("num_rounds")], [rounds])
