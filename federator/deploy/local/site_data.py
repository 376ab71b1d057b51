"""The sites' data folders on this machine: checked before a local run, and again after it."""

import os
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path

from federator.errors import FederationFileError, FederatorError, Problem, RunError
from federator.federation.parts import Site
from federator.federation.schema import Federation
from federator.runtime.files import file_sha256

_HASHED = 2**20  # bytes; larger files are compared by size and times, since hashing takes long
_LOOKED_AT = 500_000  # entries, so that the search for links ends within seconds
_NAMED = 3  # paths that a message names


def require(federation: Federation) -> None:
    """Require that each site has a data folder with something in it.

    Raises:
        FederationFileError: for every site that has none.
    """
    where = federation.where("sites")
    problems = []
    for site in federation.sites:
        if site.data is None:
            message = f"site {site.name} has no data folder, and a local run needs one"
            problems.append(Problem(message, where, "write in its entry, for example:  data: PATH"))
        elif wrong := _wrong(site.data):
            message = f"the data folder of site {site.name} {wrong}: {site.data}"
            problems.append(Problem(message, where))
    if problems:
        raise FederationFileError(*problems)


def _wrong(folder: Path) -> str | None:
    """Return what is wrong with a data folder, as in "is empty"."""
    try:
        with os.scandir(folder) as entries:
            return None if next(entries, None) else "is empty"
    except FileNotFoundError:
        return "is not there"
    except OSError as error:
        return f"cannot be read ({error.strerror})"


def links_out(folder: Path) -> dict[Path, Path]:
    """Return the symbolic links in a folder that lead out of it, with what they lead to.

    At a hospital the worker sees the folder alone, and there they lead nowhere.
    """
    root = folder.resolve()
    found = {}
    for entry in islice(_entries(folder), _LOOKED_AT):
        if entry.is_symlink():
            target = Path(entry.path).resolve()
            if target != root and root not in target.parents:
                found[Path(entry.path)] = target
    return found


def describe(site: Site, links: Mapping[Path, Path]) -> Problem:
    """Return a warning about links that lead out of a site's data folder."""
    shown = _some([f"{link.name} (to {target})" for link, target in links.items()])
    message = f"site {site.name}: links lead out of its data folder: {shown}"
    hint = "at a hospital the worker sees that folder alone: there they lead nowhere"
    return Problem(message, hint=hint)


@contextmanager
def left_unchanged(sites: Iterable[Site]) -> Iterator[None]:
    """Check that the block writes nothing into the data folders.

    Raises:
        RunError: if something was written, together with the error of the block, if any.
    """
    folders = {site.name: site.data for site in sites if site.data is not None}
    before = {name: snapshot(folder) for name, folder in folders.items()}

    def written() -> list[Problem]:
        seen = {name: differences(before[name], snapshot(path)) for name, path in folders.items()}
        return [_written(name, folders[name], paths) for name, paths in seen.items() if paths]

    try:
        yield
    except FederatorError as error:
        if problems := written():
            raise RunError(*error.problems, *problems) from None
        raise
    if problems := written():
        raise RunError(*problems)


def _written(name: str, folder: Path, paths: Sequence[str]) -> Problem:
    message = (
        f"site {name}: the notebook's code wrote into the data folder: {_some(paths)} in {folder}"
    )
    hint = "at a hospital it is read-only: write to the working directory instead"
    return Problem(message, hint=hint)


def _some(names: Sequence[str]) -> str:
    """Return the first of several names, and how many more there are."""
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"{', '.join(names[:_NAMED])}{more}"


def snapshot(folder: Path) -> Mapping[str, object]:
    """Return, for each path below a folder, the values that change when it is written to."""
    found: dict[str, object] = {}
    for entry in _entries(folder):
        status = entry.stat(follow_symlinks=False)
        told: object = (status.st_mode, status.st_size, status.st_mtime_ns, status.st_ino)
        if stat.S_ISDIR(status.st_mode):
            told = status.st_mode
        elif stat.S_ISREG(status.st_mode) and status.st_size <= _HASHED:
            with suppress(OSError):
                told = told, file_sha256(Path(entry.path))
        found[os.path.relpath(entry.path, folder)] = told
    return found


def differences(before: Mapping[str, object], after: Mapping[str, object]) -> list[str]:
    """Return the paths in which two snapshots of a folder differ, sorted."""
    return sorted(
        path for path in before.keys() | after.keys() if before.get(path) != after.get(path)
    )


def _entries(folder: Path) -> Iterator[os.DirEntry[str]]:
    """Yield all that is below a folder and can be read; links are not followed."""
    waiting = [str(folder)]
    while waiting:
        with suppress(OSError), os.scandir(waiting.pop()) as entries:
            for entry in entries:
                yield entry
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)
