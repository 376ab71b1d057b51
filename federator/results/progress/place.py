"""Where the runs are that `federator status` and `federator watch` show, and how much of them.

What reads federation files is imported where it is needed: the server's image does not have it.
"""

from pathlib import Path

from federator.common.command_line import in_server
from federator.errors import InputError, Problem

RESULTS = "results"  # of a repository: each federation's folder in it has the folders of its runs


def is_federation(path: Path) -> bool:
    """Whether a path leads to a federation file, or to its folder."""
    from federator.federation.schema import FILE

    return path.name == FILE or (path / FILE).is_file()


def runs(path: Path | None) -> Path:
    """Return a run's folder, or the one that has those of all runs of a federation.

    Args:
        path: the folder or the file of a federation, the folder of its runs or of one run; None in
            the server's container.

    Raises:
        InputError: if there is no such folder, or the federation file is wrong.
    """
    if path is None:
        return in_server().runs
    from federator.federation import schema

    if is_federation(path):
        read = schema.read(path)
        return read.root / RESULTS / read.name
    if not path.is_dir():
        hint = "give the folder of a federation, or of a run"
        raise InputError(Problem(f"{path} is no folder", hint=hint))
    return path


def shows_sites(path: Path | None) -> bool:
    """Return whether figures of single sites may be published (``publish.sites``).

    Args:
        path: as in :func:`runs`. Where no federation file is beside a run, they may not.

    Raises:
        InputError: if the federation file is wrong.
    """
    if path is None:
        return in_server().settings.publish_sites
    from federator.federation import schema

    federation = path if is_federation(path) else _of_runs(path)
    return federation is not None and schema.read(federation).publish.sites


def _of_runs(folder: Path) -> Path | None:
    """Return the federation that ``results/NAME/RUN`` or ``results/NAME`` is of, if it is there."""
    from federator.federation.schema import FOLDER

    here = folder.resolve()
    for runs in (here, here.parent):
        if runs.parent.name == RESULTS:
            root = runs.parent.parent
            for federation in (root / FOLDER / runs.name, root):
                if is_federation(federation):
                    return federation
    return None
