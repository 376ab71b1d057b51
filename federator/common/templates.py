"""The Jinja templates of everything generated: shipped with the package, or the repository's own.

Each stage has its folder of them: ``app/``, ``images/``, ``deploy/``, ``report/`` and
``repository/``. A file in ``component_templates`` of the repository replaces the package's file of
the same path in the first three of them. It is text to fill in, not a program: conversion of a
checkout runs nothing of it.
"""

import sys
from collections.abc import Iterator, Mapping
from importlib import resources
from importlib.resources.abc import Traversable
from io import StringIO
from pathlib import Path

import jinja2
import tomli_w
from jinja2.sandbox import ImmutableSandboxedEnvironment

from federator.errors import InputError, Problem, Where

FOLDER = "component_templates"
_REPLACEABLE = ("app", "images", "deploy")


class Templates:
    """The templates of one repository, or those of the package alone.

    Raises:
        InputError: if a template of the repository is in a place where it replaces nothing.
    """

    def __init__(self, repository: Path | None = None) -> None:
        self._own = repository and repository / FOLDER
        if misplaced := list(self._misplaced()):
            raise InputError(*misplaced)
        self._environment = ImmutableSandboxedEnvironment(
            loader=jinja2.FunctionLoader(self._source),
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            keep_trailing_newline=True,
            autoescape=False,
        )
        self._environment.filters |= {"toml": toml, "yaml": yaml, "docstring": docstring}

    def fill(self, file: str, /, **values: object) -> str:
        """Return the text of a generated file.

        Args:
            file: the path of its template in ``component_templates``, without ``.j2``.
            values: what the template uses.

        Raises:
            InputError: if the template is wrong.
        """
        try:
            return self._environment.get_template(f"{file}.j2").render(values)
        except jinja2.TemplateError as error:
            where = Where(place(file), line=getattr(error, "lineno", None))
            raise InputError(Problem(str(error), where)) from error

    def own(self) -> tuple[str, ...]:
        """Return the paths of the repository's templates that differ from the package's."""
        ours, files = _replaceable(), self._files()
        return tuple(
            name
            for name, path in files.items()
            if name in ours and path.read_bytes() != ours[name].read_bytes()
        )

    def _files(self) -> dict[str, Path]:
        """Return the files in the repository's folder, by their paths there, sorted."""
        found = sorted(self._own.rglob("*")) if self._own else []
        return {
            path.relative_to(self._own or "").as_posix(): path for path in found if path.is_file()
        }

    def _misplaced(self) -> Iterator[Problem]:
        """Yield an error for each file that was to replace a template, and replaces none."""
        if not self._own:  # also in an image, where the package has the report's templates only
            return
        ours = _replaceable()
        places = {_stem(name): name for name in ours}
        for name, path in self._files().items():
            fixed, where = shipped().joinpath(name), Where(f"{FOLDER}/{name}")
            if name not in ours and (place := places.get(_stem(name))):
                hint = f"move it to {FOLDER}/{place}"
                yield Problem("this template replaces none: it is in the wrong place", where, hint)
            elif name not in ours and fixed.is_file() and fixed.read_bytes() != path.read_bytes():
                hint = f"remove it; those in {', '.join(_REPLACEABLE)} can be replaced"
                yield Problem("this template cannot be replaced", where, hint)

    def read(self, file: str) -> str:
        """Return the text of a template that is used unchanged."""
        return self._source(file)[0]

    def _source(self, name: str) -> tuple[str, str, None]:
        own = self._own and self._own / name
        file: Traversable = own if own and own.is_file() else shipped() / name
        return file.read_text(encoding="utf-8"), str(file), None


def _stem(name: str) -> str:
    return Path(name).name.removesuffix(".j2")


def _replaceable() -> dict[str, Traversable]:
    """Return the package's templates that a repository may replace, by their paths."""
    return {
        f"{folder}/{file.name}": file
        for folder in _REPLACEABLE
        for file in shipped().joinpath(folder).iterdir()
    }


def place(file: str) -> str:
    """Return the path of a generated file's template in a repository."""
    return f"{FOLDER}/{file}.j2"


def shipped(folder: str = FOLDER) -> Traversable:
    """Return a folder that the package carries; in an editable install it is beside it."""
    try:
        return resources.files(f"federator.shipped.{Path(folder).name}")
    except ModuleNotFoundError:
        return Path(__file__).parents[2] / folder


def toml(value: object) -> str:
    """Write a value as TOML, a mapping as the lines of a table."""
    if isinstance(value, Mapping):
        return tomli_w.dumps(value).rstrip("\n")
    return tomli_w.dumps({"value": value}).removeprefix("value = ").rstrip("\n")


def yaml(value: object) -> str:
    """Write a value as YAML in one line, a text in quotes where it would be taken for more."""
    from ruamel.yaml import YAML  # the server writes reports, and its image has no ruamel.yaml

    written, writer = StringIO(), YAML(typ="safe", pure=True)
    writer.default_flow_style, writer.width, writer.allow_unicode = True, sys.maxsize, True
    writer.dump([value], written)
    return written.getvalue()[1:-2]


def docstring(text: str) -> str:
    """Escape text that is to stand inside a docstring."""
    return text.replace("\\", "\\\\").replace('"', '\\"')
