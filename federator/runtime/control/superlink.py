"""Starts Flower's SuperLink, if it can go on with what stands in its database.

Another version of Flower may have written that. An older one's is brought up to date by the
SuperLink itself, and a copy is kept first; one that a newer version has changed cannot be read,
and is left alone. Who is admitted stands there and nowhere else, so it is never replaced.
"""

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import flwr

from federator.errors import InputError, Problem
from federator.runtime.control.control_api import program
from federator.runtime.options import Parser

_REVISIONS = "alembic_version"  # Flower's table of the changes that its database has seen
_KEEP = 'do not remove the volume "state": all sites would need new keys'


def take_over(database: Path) -> None:
    """Check that this version of Flower can go on with a database, and note that it does.

    Of one that it is about to change, a copy is kept beside it, ``NAME.before-VERSION``.

    Raises:
        InputError: if it is not a SuperLink's, or that of a newer version.
    """
    note = database.with_name(f"{database.name}.flwr-version")
    written_by = note.read_text().strip() if note.exists() else ""
    known, newest = _known()
    try:
        found = _revisions(database)
        if not found <= known:
            newer = f"flwr {written_by}" if written_by else "a newer version of Flower"
            raise InputError(Problem(
                f"{database}: {newer} wrote it, which flwr {flwr.__version__} cannot read",
                hint=f"start the server with images of {newer}, as before; {_KEEP}",
            ))  # fmt: skip
        if found and found != newest:
            _copy(database, database.with_name(f"{database.name}.before-{flwr.__version__}"))
    except sqlite3.Error as error:
        raise InputError(Problem(
            f"{database}: it is not the database of a SuperLink ({error})",
            hint=f"put the server's own one there, from a copy; {_KEEP}",
        )) from None  # fmt: skip
    note.write_text(f"{flwr.__version__}\n")


def _known() -> tuple[set[str], set[str]]:
    """Return the revisions of a database that this version of Flower knows, and the newest."""
    from alembic.script import ScriptDirectory
    from flwr.supercore.state.alembic.utils import ALEMBIC_DIR

    scripts = ScriptDirectory(str(ALEMBIC_DIR))
    return {script.revision for script in scripts.walk_revisions()}, set(scripts.get_heads())


def _revisions(database: Path) -> set[str]:
    """Return the revisions that a database is at; none if there is nothing in it yet.

    Raises:
        sqlite3.Error: if it is not a SuperLink's.
    """
    if not database.exists():
        return set()
    with closing(sqlite3.connect(database)) as opened:
        if not opened.execute("SELECT name FROM sqlite_master").fetchone():
            return set()
        return {found for (found,) in opened.execute(f"SELECT version_num FROM {_REVISIONS}")}


def _copy(database: Path, copy: Path) -> None:
    with closing(sqlite3.connect(database)) as opened, closing(sqlite3.connect(copy)) as target:
        opened.backup(target)


def main(arguments: list[str] | None = None) -> int:
    """Become a SuperLink; what is not known here is said to that."""
    parser = Parser(prog="superlink", description=main.__doc__)
    parser.add_argument("--database", type=Path, required=True, help="where its state is kept")
    options, others = parser.parse_known_args(arguments)
    take_over(options.database)
    path = program("flower-superlink")
    os.execv(path, [path, f"--database={options.database}", *others])
