"""The contract: which functions a notebook must define, and what goes where.

The sites get ``load_data``, ``Model``, ``train``, ``test``, the optional ``predict`` and
``patients_of``, and all that they need. The server gets the optional ``strategy`` and ``config``
and all that they need.
"""

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from federator.errors import NotebookError, Problem, Where
from federator.notebook import parameters, strategy, template_2022
from federator.notebook.cells import CellReport, cell_reports
from federator.notebook.checks import (
    downloads,
    missing_parts,
    model_part,
    module_settings,
    portability,
)
from federator.notebook.checks.missing_names import (
    calls_left_behind,
    explain,
    is_supplied,
    rebound_names,
)
from federator.notebook.dependencies.local_files import LocalFiles, find_local_files
from federator.notebook.reader import Notebook
from federator.notebook.signatures import (
    PARTS,
    Part,
    check,
    definitions,
    takes,
    without_folder,
)
from federator.notebook.slicing.closure import Program
from federator.notebook.slicing.component import (
    SHORT_NAMES,
    Component,
    component,
    undefined,
)
from federator.notebook.slicing.statements import Unreadable

_NAMES = tuple(part.name for part in PARTS)
_AGGREGATION = ("strategy", "config")
# Packages that add hundreds of megabytes to an image, by themselves or by what they bring along.
_HEAVY = frozenset({"torch", "torchvision", "tensorflow", "keras", "jax", "monai", "timm"})


@dataclass(frozen=True)
class Parts:
    """The components of a notebook.

    Attributes:
        task: the sites run this: load_data, Model, train, test, predict, patients_of and what they
            need.
        aggregation: the server runs this: strategy, config and what they need. It has no
            statements if the notebook has neither.
        parameters: name → literal, of the cells tagged ``parameters`` that a component needs.
        rounds: ``config["num_rounds"]`` if the notebook gives it as a number.
        strategy: class name of the strategy, FedAvg if the notebook has none.
        own_strategy: which of its statements has to run at the server; None if it is a plain one.
        warnings: what a person should know. A warning does not stop the conversion.
        cells: a report on each code cell.
        local_files: files beside the notebook that travel with the app.
    """

    task: Component
    aggregation: Component
    parameters: Mapping[str, parameters.Value]
    rounds: int | None
    strategy: str
    own_strategy: Problem | None
    warnings: tuple[Problem, ...]
    cells: tuple[CellReport, ...]
    local_files: LocalFiles


def take_apart(notebook: Notebook) -> Parts:
    """Split a notebook into its components: the parts and everything that they need.

    Raises:
        NotebookError: if the notebook cannot be converted. It lists every reason.
    """
    analysis = Analysis(notebook)
    problems = sorted(dict.fromkeys(analysis.problems()), key=_place_of)
    if problems:
        raise NotebookError(*problems)
    values = dict(parameters.read(analysis.steps))
    local_files, task, aggregation = find_local_files(
        notebook,
        component(analysis.task, analysis.supplied_task),
        component(analysis.aggregation, analysis.supplied_aggregation),
    )
    warnings = [*analysis.warnings(local_files), *local_files.warnings]
    return Parts(
        task=task,
        aggregation=aggregation,
        parameters=values,
        rounds=analysis.strategy.rounds,
        strategy=analysis.strategy.name,
        own_strategy=strategy.own_code(aggregation, notebook.name),
        warnings=tuple(sorted(dict.fromkeys(warnings), key=_place_of)),
        cells=tuple(cell_reports(analysis.program, analysis.task, analysis.aggregation, values)),
        local_files=local_files,
    )


class Analysis:
    """A notebook with its two slices, and the problems and warnings that concern them."""

    def __init__(self, notebook: Notebook) -> None:
        self.translation = template_2022.translate(Program(notebook))
        program = self.program = self.translation.program
        forced = [
            step
            for step in program.steps
            if "federate" in step.cell.tags and not step.binds.keys() & {*_AGGREGATION}
        ]
        self.task = module_settings.closure(program, _NAMES, forced)
        used = [name for name in _AGGREGATION if program.bindings(name)]
        self.aggregation = module_settings.closure(program, used) if used else []
        both = {step.index: step for step in (*self.task, *self.aggregation)}
        self.steps = [both[index] for index in sorted(both)]
        self.known = definitions(self.steps)
        self.strategy = strategy.examine(program, self.aggregation)
        task, aggregation = undefined(self.task), undefined(self.aggregation)
        self.undefined = [*task, *aggregation]
        # Short names that a slice uses, and that are imported for the author.
        self.supplied_task = [m for m in task if is_supplied(program, m)]
        self.supplied_aggregation = [m for m in aggregation if is_supplied(program, m)]
        self.absent = [n for n in (*_NAMES, *_AGGREGATION) if not program.bindings(n)]
        self.hidden = dict(self._hidden())

    def problems(self) -> Iterator[Problem]:
        """Yield everything that keeps the notebook from being converted."""
        yield from _tag_problems(self.program.notebook)
        for cell in self.program.unreadable:
            if cell in self.hidden.values() or "federate" in cell.cell.tags or self._in_doubt(cell):
                yield cell.problem
        for part in PARTS:
            yield from self._part_problems(part)
        for name in _AGGREGATION:
            yield from missing_parts.defined_twice(self.program, name)
        for missing in self.undefined:
            known = missing.name in self.hidden or missing.name in self.absent
            if not known and not is_supplied(self.program, missing):
                yield explain(self.program, missing)
        bases = (getattr(node, "bases", []) for node in self.known.values())
        subclassed = frozenset(ast.unparse(base) for several in bases for base in several)
        for step in self.steps:
            yield from portability.not_python(step)
            yield from missing_parts.unfilled_functions(step, subclassed)
            yield from missing_parts.unfilled_marks(step.cell, step.file)
        yield from self.translation.problems
        yield from template_2022.leftovers(self.program, self.aggregation)
        yield from module_settings.secrets(self.program, self.steps)
        yield from portability.problems(self.program, self.steps)
        yield from self.strategy.problems
        train = self.program.bindings("train")
        if self.strategy.proximal and train and not takes("train", "proximal_mu", train[-1]):
            message = f"`train` takes no `proximal_mu`, so {self.strategy.name} would be FedAvg"
            hint = "Write: def train(net, trainloader, valloader, epochs, proximal_mu=0.0): ..."
            yield Problem(message, train[-1].where(), hint)

    def warnings(self, local_files: LocalFiles) -> Iterator[Problem]:
        """Yield what a person should know about a notebook that can be converted."""
        yield from self.program.notebook.warnings
        yield from self.translation.warnings
        yield from self.strategy.warnings
        train = self.program.bindings("train")
        yield from strategy.ignored_settings(
            self.strategy, lambda name: bool(train) and takes("train", name, train[-1])
        )
        for cell in self.program.unreadable:
            if cell.cell.number in local_files.cells:
                continue
            message = f"the cell is left out: {cell.problem.message}"
            yield Problem(message, cell.problem.where, "Nothing that is needed seems to be in it.")
        for missing in (*self.supplied_task, *self.supplied_aggregation):
            usual = SHORT_NAMES[missing.name]
            message = f"`{missing.name}` is never imported; `{usual}` is supplied"
            yield Problem(message, missing.where, "Write the import in the notebook.")
        for name in self.absent:
            for step in (s for s in self.program.local if name in s.binds):
                message = f"`{name}` is not used, since its cell is tagged `local`"
                yield Problem(message, step.where())
        load_data = self.program.bindings("load_data")
        if load_data and without_folder(load_data[-1]):
            message = "`load_data` asks for no folder; it is called inside the site's data folder"
            hint = "Better: def load_data(data_path): ..."
            yield Problem(message, load_data[-1].where(), hint)
        yield from parameters.warnings(self.steps)
        yield from portability.warnings(
            self.program, self.steps, {asset.path for asset in local_files.assets}
        )
        yield from module_settings.left_behind(self.program, self.steps)
        yield from rebound_names(self.program, self.steps)
        yield from calls_left_behind(self.program, self.steps)
        yield from downloads.warnings(self.program, self.task)
        imports = component(self.aggregation).imports
        for module in [module for module in imports if module in _HEAVY][:1]:
            hint = "Leave the strategy free of the model if that is not meant."
            yield Problem(f"the server's image needs {module} as well", imports[module], hint)

    def _hidden(self) -> Iterator[tuple[str, Unreadable]]:
        """Yield the names that are needed, or may be, with the unreadable cells they may be in."""
        optional = {part.name for part in PARTS if not part.required} | {*_AGGREGATION}
        for name in (*self.absent, *(missing.name for missing in self.undefined)):
            cell = self.program.seems_to_define(name)
            # A script that is written to a file may well have a `config` of its own.
            if cell and not (cell.cell.language and name in optional):
                yield name, cell

    def _in_doubt(self, cell: Unreadable) -> bool:
        """Whether a cell may hold a part that is missing, or what an unreadable cell needs."""
        sought = {part.name for part in PARTS if part.required} & {*self.absent}
        missing = not sought <= self.hidden.keys()
        return not cell.cell.language and (
            missing or any(not c.cell.language for c in self.hidden.values())
        )

    def _part_problems(self, part: Part) -> Iterator[Problem]:
        bindings = self.program.bindings(part.name)
        last = bindings[-1:]
        # `train = timed(train)` wraps what stands above.
        if len(bindings) == 1 or (last and part.name in last[0].now):
            if part.name == "Model":
                yield from model_part.check(self.program, bindings[-1])
            else:
                yield from check(part, bindings[-1], self.known)
        elif bindings:
            yield from missing_parts.defined_twice(self.program, part.name)
        elif part.required and part.name not in self.hidden:
            local = next((s for s in self.program.local if part.name in s.binds), None)
            if local:
                message = f"`{part.name}` is only defined in a cell tagged `local`"
                yield Problem(message, local.where(), "Take the tag off, or move it.")
                return
            message = f"the notebook defines no `{part.name}`"
            hint = f"{missing_parts.suggestion(self.program, part.name)}Write: {part.spelling}"
            yield Problem(message, Where(self.program.notebook.name), hint)


def _place_of(problem: Problem) -> tuple[int, int]:
    where = problem.where
    return (where.cell or 0, where.line or 0) if where else (0, 0)


def _tag_problems(notebook: Notebook) -> Iterator[Problem]:
    for cell in notebook.cells:
        if "local" in cell.tags and cell.tags & {"federate", "parameters"}:
            other = sorted(cell.tags & {"federate", "parameters"})[0]
            message = f"the cell is tagged both `local` and `{other}`"
            yield Problem(message, Where(notebook.name, cell.number), "Keep one of the two.")
