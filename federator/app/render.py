"""The Flower App of a federation: five short files, written from the parts of a notebook.

The modules and small files beside the notebook that it needs are copied into the app unchanged.

A change that does not affect the model leaves the app's bytes, and so its hash, as they are: the
app holds no cell number, no version of an installed package, and nothing about the sites.
"""

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from federator.app import codegen
from federator.app.codegen import Module
from federator.common.templates import Templates, place
from federator.errors import FederationFileError, InputError, NotebookError, Problem, Where
from federator.federation.schema import Federation
from federator.federation.yaml_file import did_you_mean, shown
from federator.notebook.contract import Parts
from federator.notebook.data_layout import Layout
from federator.notebook.parameters import Value
from federator.runtime import app_files
from federator.runtime.app_files import LAYOUT
from federator.runtime.protocol.instructions import PERSONAL
from federator.runtime.source_map import SourceMap, Span
from federator.runtime.weights.local_tensors import SETTING

DEFAULT_ROUNDS = 3  # as of Flower's Strategy.start

_KINDS = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}


@dataclass(frozen=True)
class App:
    """The files of a Flower App, by name, and the way back to the notebook."""

    files: Mapping[str, str]
    source_map: SourceMap


def render_app(
    notebook: str,
    parts: Parts,
    federation: Federation | None = None,
    layout: Layout | None = None,
) -> App:
    """Write the files of the app; the same parts give the same bytes.

    Args:
        notebook: the notebook's file name, as the files and error messages show it.
        parts: the analysed notebook.
        federation: the federation file. Without one the templates are those of the package, and
            there is no ``pyproject.toml``: it holds what a run is set to.
        layout: how the author describes the data, for the people at the sites.

    Raises:
        FederationFileError: if the federation file sets a parameter that there is not, or one to
            a value of another type.
        NotebookError: if the author's statements together are no valid Python, or a module is
            called as Flower leaves it out.
        InputError: if the repository's own copy of a template is wrong.
    """
    modules = {
        "task.py": codegen.write(parts.task, parts.parameters, notebook),
        "aggregation.py": codegen.write(parts.aggregation, parts.parameters, notebook),
    }
    templates = Templates(federation.root if federation else None)
    files = {
        name: templates.fill(f"app/{name}", notebook=notebook, module=written)
        for name, written in modules.items()
    }
    spans = {name: _spans(name, files[name], written) for name, written in modules.items()}
    source_map = SourceMap(notebook, spans)
    _compile(files, source_map)
    task = federation.task if federation else "classification"
    for name in ("client_app.py", "server_app.py"):
        files[name] = templates.fill(f"app/{name}", task=task)
    if federation:
        used = {name for written in modules.values() for name in written.parameters}
        defaults = {name: value for name, value in parts.parameters.items() if name in used}
        files["pyproject.toml"] = templates.fill(
            "app/pyproject.toml",
            name=federation.name,
            notebook=notebook,
            config=_config(federation, parts),
            parameters=_parameters(federation, defaults),
            assets={file.path: app_files.digest(file.text) for file in parts.local_files.assets},
        )
    files |= {file.path: file.text for file in parts.local_files.modules}
    files |= {f"{app_files.ASSETS}/{file.path}": file.text for file in parts.local_files.assets}
    _require_bundled([file.path for file in parts.local_files.modules], notebook)
    if layout is not None:
        files[LAYOUT] = layout.text
    return App(files, source_map)


def _require_bundled(modules: Sequence[str], notebook: str) -> None:
    """See that Flower takes all modules into an app: its hash and the server's copy lack others."""
    if not modules:
        return
    from federator.runtime.flower import left_out  # slow to import, and seldom needed

    hint = "Rename it: Flower takes no test_*.py, no *_test.py and no folder such as lib or build."
    problems = [
        Problem(f"{name} beside the notebook cannot be in a Flower App", Where(notebook), hint)
        for name in left_out(modules)
    ]
    if problems:
        raise NotebookError(*problems)


def _config(federation: Federation, parts: Parts) -> dict[str, Value]:
    return {
        "rounds": federation.rounds or parts.rounds or DEFAULT_ROUNDS,
        "local-epochs": federation.local_epochs,
        **({"local-steps": federation.local_steps} if federation.local_steps else {}),
        "seed": federation.seed,
        **federation.evaluation.write(),
        "select": federation.select,
        **({SETTING: ",".join(federation.local)} if federation.local else {}),
        **_personal(federation),
        **({"privacy": federation.privacy.settings.write()} if federation.privacy else {}),
    }


def _personal(federation: Federation) -> dict[str, Value]:
    if federation.personal is None:
        return {}
    return {PERSONAL: federation.personal, "proximal-mu": federation.proximal_mu}


def _parameters(federation: Federation, defaults: Mapping[str, Value]) -> dict[str, Value]:
    """Return the parameters of a run: the notebook's, as the federation file sets them."""
    values, problems = dict(defaults), []
    for name, value in federation.parameters.items():
        if name not in defaults:
            problems.append(_no_parameter(name, defaults, federation))
            continue
        kind = type(defaults[name])
        values[name] = float(value) if (kind, type(value)) == (float, int) else value
        if type(values[name]) is not kind:
            message = f"parameters.{name} is {_KINDS[kind]} in the notebook, not {shown(value)}"
            problems.append(Problem(message, federation.where("parameters", name)))
    if problems:
        raise FederationFileError(*problems)
    return values


def _no_parameter(name: str, known: Iterable[str], federation: Federation) -> Problem:
    listed = ", ".join(known) or "there is none"
    return Problem(
        f"parameters.{name} is no parameter of the notebook that its components need",
        federation.where("parameters", name),
        did_you_mean(name, known)
        or f"parameters are the literals of the notebook's cell tagged parameters: {listed}",
    )


def _spans(file: str, text: str, written: Module) -> tuple[Span, ...]:
    """Return where the statements of a module stand in the file that a template made of it."""
    before, found, _ = text.partition(written.text + "\n")
    if not found:
        raise InputError(
            Problem(
                "the template leaves the author's code out, or changes it",
                Where(place(f"app/{file}")),
                "write {{ module.text }} on a line of its own",
            )
        )
    offset = before.count("\n")
    return tuple(replace(span, first=span.first + offset) for span in written.spans)


def _compile(files: Mapping[str, str], source_map: SourceMap) -> None:
    problems = []
    for name, text in files.items():
        try:
            with warnings.catch_warnings(action="ignore"):
                compile(text, name, "exec")
        except SyntaxError as error:
            where = source_map.locate(name, error.lineno or 0)
            problems.append(Problem(f"{error.msg}, in {name}", where))
    if problems:
        raise NotebookError(*problems)
