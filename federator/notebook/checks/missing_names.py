"""Problems with names: undefined in a slice, set twice, or changed by what stays behind."""

import ast
import difflib
import re
from collections.abc import Iterator

from federator.errors import Problem
from federator.notebook.slicing.closure import Program
from federator.notebook.slicing.component import SHORT_NAMES, Undefined
from federator.notebook.slicing.names import own_nodes
from federator.notebook.slicing.statements import BUILTINS, Step, star_imports
from federator.runtime.plain_strategy import MODULE, STRATEGIES

_JUPYTERS = frozenset({"display", "get_ipython", "In", "Out", "_", "__"})
_IMPORTING_MAGICS = re.compile(r"%(?:run|load|pylab|store|loadpy)\b.*")
_RUN = re.compile(r"%run\s+(?:-\w+\s+)*[\"']?(?P<name>[A-Za-z_]\w*)\.(?P<kind>py|ipynb)\b")


def is_supplied(program: Program, missing: Undefined) -> bool:
    """Whether a missing name is one that everybody knows, and nothing says it is another."""
    usual = SHORT_NAMES.get(missing.name)
    others = [s for s in (*program.steps, *program.local) if missing.name in s.binds]
    return usual is not None and all(step.source == usual for step in others)


def explain(program: Program, missing: Undefined) -> Problem:
    """Return the error for a name that nothing defines before it is looked up."""
    reader = ", ".join(f"`{name}`" for name in sorted(missing.step.binds)) or "this statement"
    message = f"`{missing.name}` is not defined, and {reader} needs it"
    near = _near_in_function(missing)
    if near:
        return Problem(message, missing.where, near)
    return Problem(message, missing.where, _remedy(program, missing.name, missing.step))


def rebound_names(program: Program, steps: list[Step]) -> Iterator[Problem]:
    """Yield a warning for every global of a slice's functions that a later cell sets again."""
    for name in sorted({name for step in steps for name in step.later} - BUILTINS):
        bindings = program.bindings(name)
        if len(bindings) < 2:
            continue
        before, last = bindings[-2:]
        same = ast.dump(before.nodes[0]) == ast.dump(last.nodes[0])
        if before.cell.number != last.cell.number and name not in last.now and not same:
            message = f"`{name}` is set in {place(before)}, and again here"
            hint = "What the last cell sets counts, as when the notebook runs from the top."
            yield Problem(message, last.where(), hint)


def calls_left_behind(program: Program, steps: list[Step]) -> Iterator[Problem]:
    """Yield a warning for every statement that stays behind and may change what goes in."""
    needed = {name for step in steps for name in step.now | step.later} - program.origins.keys()
    defined = {getattr(node, "name", "") for step in steps for node in step.nodes}
    taken = {step.index for step in steps}
    for step in (step for step in program.steps if step.index not in taken):
        for name in sorted(program.left_behind.get(step.index, set()) & needed):
            message = f"this statement changes `{name}`, which goes in, and stays behind"
            hint = (
                "It needs what trains or reads data. Change what is needed in a statement of its "
                "own, or tag the cell `federate`."
            )
            yield Problem(message, step.where(), hint)
        doubts = program.effects[step.index].doubts
        for name in sorted(doubts.keys() & (needed - defined)):
            if not program.is_fixed(name) and name not in step.binds:
                message = f"this call stays behind, though `{name}` goes in"
                hint = "If it changes something that is needed, tag the cell `federate`."
                yield Problem(message, step.where(doubts[name]), hint)


def place(step: Step) -> str:
    """Return where a step is, inside its notebook."""
    where = step.where()
    return f"cell {where.cell}, line {where.line}"


def _near_in_function(missing: Undefined) -> str | None:
    """Return what may be meant by a name that a function looks up, among those it has itself."""
    line = missing.where.line or 0
    holders = [
        node
        for node in missing.step.walk()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.lineno <= line <= (node.end_lineno or 0)
    ]
    known: dict[str, int] = {}
    for node in (n for holder in holders for n in ast.walk(holder)):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            known.setdefault(node.id, node.lineno)
        elif isinstance(node, ast.arg):
            known.setdefault(node.arg, node.lineno)
    near = difflib.get_close_matches(missing.name, known.keys() - {missing.name}, 1, 0.8)
    return f"Did you mean `{near[0]}` (line {known[near[0]]})?" if near else None


def _remedy(program: Program, name: str, step: Step) -> str:
    local = next((s for s in program.local if name in s.binds), None)
    if local:
        return f"{place(local)} defines it, but is tagged `local`: take the tag off, or move it."
    if name in _JUPYTERS:
        return f"`{name}` exists in Jupyter only: use print(), or leave it out."
    later = next((s for s in program.bindings(name) if s.index > step.index), None)
    if later:
        return f"{place(later)} defines it, after its use: move it up."
    for star, node in star_imports(program.steps):
        return f"If it comes from `{ast.unparse(node)}` ({place(star)}), import it by its name."
    for cell in program.notebook.cells:
        for text in cell.foreign.values():
            script = _RUN.search(text)
            if script and script["kind"] == "py":
                return (
                    f"If it comes from `{text}` (cell {cell.number}), write instead: "
                    f"from {script['name']} import {name}. A module beside the notebook goes in."
                )
            if script:
                return (
                    f"If it comes from `{text}` (cell {cell.number}), write what is needed of it "
                    "into a cell, or into a module beside the notebook and import that."
                )
            if _IMPORTING_MAGICS.search(text):
                return f"If it comes from `{text}` (cell {cell.number}), write an import instead."
    function = _function_that_sets(program, name)
    if function:
        return f"It is only set inside {function}: return it from there, or define it outside."
    if name in STRATEGIES:
        return f"Import it: from {MODULE} import {name}"
    known = sorted({bound for other in program.steps for bound in other.binds} - {name})
    near = difflib.get_close_matches(name, known, 1, 0.8)
    return f"Did you mean `{near[0]}`?" if near else "Define it in the notebook, or import it."


def _function_that_sets(program: Program, name: str) -> str | None:
    for step in program.steps:
        for function in own_nodes(step.nodes):
            if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef) and any(
                (isinstance(n, ast.Name) and n.id == name and isinstance(n.ctx, ast.Store))
                or getattr(n, "name", None) == name
                for n in own_nodes(function.body)
            ):
                where = step.where(function)
                return f"`{function.name}` (cell {where.cell}, line {where.line})"
    return None
