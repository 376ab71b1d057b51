"""The command ``record`` at a site: checks its record, and exports it as a table."""

import sys
from pathlib import Path

from federator.errors import InputError, Problem
from federator.runtime.files import read_text_file
from federator.runtime.keys.site_key import read_private
from federator.runtime.link.records import entries, export
from federator.runtime.link.records.reading import Reading, read
from federator.runtime.options import Parser

_HINT = "the link writes it: docker compose up -d, and wait for the first answer"


def main(arguments: list[str] | None = None) -> int:
    """Check this site's record of what left it, or export it; 1 if it is not whole."""
    parser = Parser(prog="record", description=main.__doc__)
    add = parser.add_argument
    add("what", choices=["verify", "export"])
    add("--records", type=Path, default=Path("/records"), help="the folder of the record")
    add("--key", type=Path, help="the site's key, to check that the signatures are its own")
    add("--format", choices=["csv", "markdown", "lines"], default="csv",
        help="a table with all counts, one to read, or the lines as they are")  # fmt: skip
    options = parser.parse_args(arguments)
    content, found = load(options.records, options.key)
    if options.what == "export":
        writers = {"csv": export.as_csv, "markdown": export.as_markdown}
        write = writers.get(options.format)
        sys.stdout.write(content.decode() if write is None else write(found))
    out = sys.stderr if options.what == "export" else sys.stdout
    for line, what in found.faults:
        print(f"line {line} {what}", file=out)
    for note in found.notes:
        print(f"note: {note}", file=out)
    print(summary(found), file=out)
    return 1 if found.faults else 0


def load(records: Path, key: Path | None) -> tuple[bytes, Reading]:
    """Return a record, and what it says.

    Args:
        records: its folder.
        key: the site's key, by which and by what was noted beside it the record is checked.

    Raises:
        InputError: if it cannot be read.
    """
    noted, path = "", records / entries.FILE
    if key is not None:  # at first, since the link may write meanwhile: the note comes last
        note = key.with_suffix(".recorded")
        noted = read_text_file(note).decode(errors="replace") if note.exists() else ""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(Problem(f"{path}: cannot be read: {error.strerror}", hint=_HINT)) from None
    if key is None:
        return content, read(content)
    return content, read(content, read_private(key).public_key(), noted or "0")


def summary(found: Reading) -> str:
    """Return one line that says whether the record is whole."""
    keys = ", ".join(found.keys)
    counted = f"{len(found.lines)} lines, {len(found.answers)} answers, signed with {keys}"
    state = "the record is NOT whole" if found.faults else "the record is whole"
    return f"{state}: {counted}"
