"""The slice of a notebook: the transitive closure of the statements that some names need.

The rules take a notebook as a program that runs from top to bottom.

- A name that is looked up while a statement runs is what the last statement above bound it to.
  Where that statement may not bind it (``if``, ``for``, ``try``), the ones before it go in too.
- A name that is looked up inside a function is what the *last* statement of the notebook bound it
  to, since the functions of the contract are called after everything has run. If the function is
  called on the way, every binding from that call on goes in.
- A statement that changes the object of a needed name goes in, above its use and below: item and
  attribute assignment, ``+=``, the methods that change built-in containers (``append``, ``update``
  …), all these through a second name or by a function that is handed the object, and decorators
  that register or patch (:mod:`effects`). One that would train or read data stays behind, with
  a warning that names what it changes.
- Other calls whose result is not kept (``torch.manual_seed(0)``) stay behind. The tag ``federate``
  takes a whole cell in, ``local`` keeps one out.
"""

import ast
import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator

from federator.notebook.reader import Notebook
from federator.notebook.slicing.component import SHORT_NAMES
from federator.notebook.slicing.definitions import Definitions
from federator.notebook.slicing.effects import Effects
from federator.notebook.slicing.effects_reader import EffectsReader
from federator.notebook.slicing.fixed_values import FixedValues
from federator.notebook.slicing.names import own_nodes
from federator.notebook.slicing.statements import BUILTINS, Step, Unreadable, steps_of

_FUNCTIONS = frozenset({"load_data", "train", "test", "predict", "patients_of"})
_PARTS = _FUNCTIONS | {"Model", "strategy"}
_COMPOUND = (ast.For, ast.AsyncFor, ast.While, ast.With, ast.AsyncWith, ast.If, ast.Try)


class Program:
    """A notebook as Python runs it: its steps in order, and what they bind and look up."""

    def __init__(self, notebook: Notebook) -> None:
        """Read all cells; those tagged ``local`` take no part in anything."""
        self.notebook = notebook
        steps, unreadable = steps_of(notebook)
        self.steps = [step for step in steps if "local" not in step.cell.tags]
        self.local = [step for step in steps if "local" in step.cell.tags]
        self.unreadable = [cell for cell in unreadable if "local" not in cell.cell.tags]
        self.origins = {n: o for step in self.steps for n, o in step.origins.items()}
        self._bindings: dict[str, list[Step]] = {}
        self._events: dict[str, list[Step]] = {}
        self._fixed = FixedValues(self.bindings, self.dotted)
        self._list_events()
        self.effects = self._read_effects()
        self.left_behind = dict(self._take_changes_in())

    def _list_events(self) -> None:
        for step in self.steps:
            for name in step.binds:
                known = self._bindings.setdefault(name, [])
                # An import that is repeated is no event, or a plot cell could move it.
                if known and _same_import(name, known[-1], step):
                    continue
                known.append(step)
                self._events.setdefault(name, []).append(step)
            for name in step.changes - step.binds.keys() - self.origins.keys():
                self._events.setdefault(name, []).append(step)

    def _read_effects(self) -> dict[int, Effects]:
        """Return what each step does to objects that were there before it, by its index."""
        nodes = (node for step in self.steps for node in own_nodes(step.nodes))
        imported = self.origins.keys() | (SHORT_NAMES.keys() - self._bindings.keys())
        for step in self.steps:
            inside = step.walk()
            imported |= {
                (alias.asname or alias.name).split(".")[0]
                for node in inside
                if isinstance(node, ast.Import | ast.ImportFrom)
                for alias in node.names
            }
        reader = EffectsReader(Definitions(nodes, self.dotted, imported, _PARTS))
        return {step.index: reader.read(step.nodes) for step in self.steps}

    def _take_changes_in(self) -> Iterator[tuple[int, set[str]]]:
        """List the steps that change a name's object in another way than by their own targets.

        Yields the indices of those that are too much to take in, with the names.
        """
        for step in self.steps:
            more = {
                name
                for name in self.effects[step.index].changes.keys() - step.binds.keys()
                if not self.is_fixed(name) and self._may_be_changed(name, step)
            }
            if not more or (more <= step.changes and not isinstance(step.nodes[0], _COMPOUND)):
                continue
            if not step.is_definition and self.trains_or_reads(step, more):
                yield step.index, more
                for name in more & step.changes:
                    self._events[name].remove(step)
                continue
            for name in more - step.changes:
                known = self._events.setdefault(name, [])
                known.insert(bisect_right(known, step.index, key=lambda s: s.index), step)

    def _may_be_changed(self, name: str, step: Step) -> bool:
        """Whether a name is the notebook's own, or a definition is registered at an import."""
        if name not in self.origins:
            return True
        decorators = (d for node in step.nodes for d in getattr(node, "decorator_list", []))
        return any("regist" in ast.unparse(decorator) for decorator in decorators)

    def is_fixed(self, name: str) -> bool:
        """Whether all that a name is ever bound to are values that cannot be changed."""
        return self._fixed.holds(name)

    def trains_or_reads(self, step: Step, changed: Iterable[str] = ()) -> bool:
        """Whether a step needs the contract's functions, or data: the notebook's own run.

        What the names that it changes need anyway does not count.
        """
        anyway = {one.index for one in self.closure(changed)} - {step.index}
        needed = [one for one in self.closure((), [step]) if one.index not in anyway]
        return any(_FUNCTIONS & one.binds.keys() or self.effects[one.index].reads for one in needed)

    def bindings(self, name: str) -> list[Step]:
        """Return the steps that bind a name, in order."""
        return self._bindings.get(name, [])

    def dotted(self, node: ast.expr) -> str | None:
        """Return the full name of ``a.b.c`` with imports resolved, or None for anything else."""
        parts = []
        while isinstance(node, ast.Attribute):
            parts.append(node.attr)
            node = node.value
        if not isinstance(node, ast.Name):
            return None
        root = self.origins.get(node.id)
        if root is None and node.id in SHORT_NAMES and not self.bindings(node.id):
            root = SHORT_NAMES[node.id].split()[1]
        return ".".join([root or node.id, *reversed(parts)])

    def closure(self, names: Iterable[str], forced: Iterable[Step] = ()) -> list[Step]:
        """Return the steps that the names need once the notebook has run, in order."""
        end = len(self.steps) + len(self.local)
        taken: dict[int, Step] = {}
        seen: set[tuple[str, int, bool]] = set()
        todo = [(name, end, False) for name in names]
        for step in (*forced, *(step for step in self.steps if step.is_future)):
            taken[step.index] = step
            todo += self._needs(step, end)
        while todo:
            lookup = todo.pop()
            if lookup in seen:
                continue
            seen.add(lookup)
            for step in self._found(*lookup):
                taken[step.index] = step
                todo += self._needs(step, lookup[1])
        return sorted(taken.values(), key=lambda step: (not step.is_future, step.index))

    def _needs(self, step: Step, at: int) -> Iterator[tuple[str, int, bool]]:
        """Yield what a step looks up, as (name, before which step, and at any time after it)."""
        for name in step.now:
            yield name, step.index, False
        for name in step.later:
            # A cell further down that calls something `sum` does not take the builtin away.
            if name in BUILTINS:
                yield name, step.index, False
            else:
                yield name, at, True

    def _found(self, name: str, at: int, or_after: bool) -> Iterator[Step]:
        """Yield the steps that made what a name means just before step ``at`` (or after)."""
        events = self._events.get(name, [])
        for step in reversed([step for step in events if step.index < at]):
            yield step
            if step.binds.get(name):
                break
        for step in (step for step in events if step.index >= at):
            # What was looked up may have been kept, and is still changed under this name.
            if or_after or name in step.changes or name not in step.binds:
                yield step
            elif step.binds.get(name):
                break

    def seems_to_define(self, name: str) -> Unreadable | None:
        """Return the unreadable cell whose text looks as if it bound a name."""
        pattern = re.compile(
            rf"^(?:(?:async\s+)?(?:def|class)\s+{name}\b|{name}\s*(?::[^=\n]+)?=(?!=)"
            rf"|\s*(?:from\s.+\s)?import\s.*\b{name}\b)",
            re.MULTILINE,
        )
        return next((c for c in self.unreadable if pattern.search(c.cell.source)), None)


def _same_import(name: str, known: Step, step: Step) -> bool:
    """Whether a step imports what the name means already; ``import a.b`` may add to ``a``."""
    if name not in step.origins or known.origins.get(name) != step.origins[name]:
        return False
    return step.binds[name] or ast.dump(step.nodes[0]) == ast.dump(known.nodes[0])
