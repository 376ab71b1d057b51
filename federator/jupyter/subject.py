"""What a magic is about: a notebook, and the federation file that names it."""

from dataclasses import dataclass
from pathlib import Path

import yaml  # type: ignore[import-untyped]  # comes with flwr

from federator.errors import InputError, NotebookError, Problem
from federator.federation import schema
from federator.federation.schema import FILE, FOLDER, Federation
from federator.federation.yaml_file import did_you_mean
from federator.jupyter.cells_run import CellsRun
from federator.jupyter.open_notebook import OpenNotebook, opened


@dataclass(frozen=True)
class Kernel:
    """This kernel: where it works, which notebook it serves if that is known, and what was run."""

    folder: Path
    notebook: Path | None
    run: CellsRun

    def opened(self, path: Path) -> OpenNotebook:
        """Read a notebook, and if it is this kernel's, with the cells run since it was saved.

        Raises:
            InputError: as :func:`opened`.
        """
        return opened(path, self.run if path.resolve() == self.notebook else None)


@dataclass(frozen=True)
class Subject:
    """A notebook with its federation, if there is one, and how they were found."""

    notebook: OpenNotebook
    federation: Federation | None
    told: str

    def required(self) -> Federation:
        """Return the federation.

        Raises:
            InputError: if there is none.
        """
        if self.federation is None:
            raise InputError(Problem(self.told, hint=f"name one: %federator … {FOLDER}/NAME"))
        return self.federation


def found(kernel: Kernel, target: str | None) -> Subject:
    """Find what a magic is about.

    Args:
        kernel: this kernel.
        target: a federation's folder, such as ``compose/NAME``, or a notebook file; if absent, the
            federation that names this kernel's notebook.

    Raises:
        InputError: if that is not there, or not known, or its files have mistakes.
    """
    if target is not None and target.endswith(".ipynb"):
        path = _placed(kernel, target)
        return _of_notebook(kernel, path)
    if target is not None:
        read = schema.read(_placed(kernel, target))
        return Subject(kernel.opened(read.notebook), read, _named(read))
    if kernel.notebook is not None:
        return _of_notebook(kernel, kernel.notebook)
    files = _federations(kernel.folder)
    if len(files) != 1:
        hint = f"name it: %federator … {FOLDER}/NAME, or a notebook: %federator check FILE.ipynb"
        names = ", ".join(file.parent.name for file in files)
        message = "the front end does not tell which notebook this is"
        message += f", and there are several federations: {names}" if names else ""
        raise InputError(Problem(message, hint=hint))
    read = schema.read(files[0])
    return Subject(kernel.opened(read.notebook), read, f"{_named(read)}, the only one here")


def _of_notebook(kernel: Kernel, path: Path) -> Subject:
    """Find the federation that names a notebook.

    Raises:
        InputError: if several do, or its file has mistakes.
    """
    files = _federations(path.parent)
    naming = [file for file in files if _names(file, path)]
    if len(naming) > 1:
        names = ", ".join(f"{FOLDER}/{file.parent.name}" for file in naming)
        message = f"{path.name} is the notebook of several federations"
        raise InputError(Problem(message, hint=f"name one of {names}"))
    if not naming:
        where = f" (there are {', '.join(f.parent.name for f in files)})" if files else ""
        told = f"no federation names {path.name}{where}"
        return Subject(kernel.opened(path), None, told)
    read = schema.read(naming[0])
    return Subject(kernel.opened(path), read, f"{_named(read)}, which names this notebook")


def _named(read: Federation) -> str:
    return f"federation {read.name}"


def _placed(kernel: Kernel, target: str) -> Path:
    """Return the path that a person means: from where the kernel works, or a folder above it.

    Raises:
        InputError: if there is nothing.
    """
    bases = [kernel.folder, *kernel.folder.parents]
    if kernel.notebook is not None:
        bases += [kernel.notebook.parent, *kernel.notebook.parent.parents]
    path = next((base / target for base in bases if (base / target).exists()), None)
    if path is None:
        if target.endswith(".ipynb"):
            raise NotebookError(f"there is no notebook {target}")
        names = [f"{FOLDER}/{file.parent.name}" for file in _federations(kernel.folder)]
        hint = did_you_mean(target, names) or (f"there are {', '.join(names)}" if names else None)
        raise InputError(Problem(f"there is no federation {target}", hint=hint))
    return path.resolve()


def _federations(folder: Path) -> list[Path]:
    """Return the federation files of the repository that a folder is in."""
    for base in (folder, *folder.parents):
        if files := sorted(base.glob(f"{FOLDER}/*/{FILE}")):
            return files
    return []


def _names(file: Path, notebook: Path) -> bool:
    """Whether a federation file names a notebook; what else is in it may be wrong."""
    try:
        named = yaml.safe_load(file.read_text(encoding="utf-8"))["notebook"]
        return bool((file.parent / named).resolve() == notebook.resolve())
    except (yaml.YAMLError, ValueError, TypeError, LookupError, OSError):
        return False
