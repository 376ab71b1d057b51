"""The command ``review``: shows what a new site file changes, and refuses what none may have."""

import argparse
import sys
from pathlib import Path

from federator.runtime.review.beside import merged
from federator.runtime.review.changes import compare, visible
from federator.runtime.review.site_file import SiteFile


def main(arguments: list[str] | None = None) -> int:
    """Show what a new site file changes; 1 if no site should accept it."""
    parser = argparse.ArgumentParser(prog="review", description=main.__doc__)
    parser.add_argument("old", nargs="?", type=Path, help="the file that was approved")
    parser.add_argument("new", type=Path, help="the new file")
    options = parser.parse_args(arguments)
    new = SiteFile.read(options.new)
    for line in compare(SiteFile.read(options.old) if options.old else None, new):
        print(visible(line))
    problems = [*new.problems, *merged(options.new, new.tree)]
    same = options.old is not None and options.old.read_bytes() == new.content
    for problem in problems:
        print(visible(f"Do not accept {new.name}: {problem}."), file=sys.stderr)
    if same and not problems:
        print(f"{new.name} is the same file, to the letter: there is nothing to take.")
    elif not problems:
        print(
            f"The code is the app whose hash {new.name} names. Compare its fingerprint with the "
            "coordinator's by telephone before you start it."
        )
    return 1 if problems else 0
