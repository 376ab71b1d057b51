"""The command ``unpack``: writes the code of a site's file into a folder, for a build at a site."""

import sys
from pathlib import Path

from federator.runtime import app_files
from federator.runtime.options import Parser
from federator.runtime.review.changes import visible
from federator.runtime.review.site_file import SiteFile


def main(arguments: list[str] | None = None) -> int:
    """Write the code of a site's file into a folder; 1 if no site should accept that file."""
    parser = Parser(prog="unpack", description=main.__doc__)
    parser.add_argument("file", type=Path, help="the site's file")
    parser.add_argument("folder", type=Path, help="where the code is to be")
    options = parser.parse_args(arguments)
    file = SiteFile.read(options.file)
    problems = [visible(f"{file.name}: {problem}") for problem in file.problems]
    for problem in problems:
        print(problem, file=sys.stderr)
    if problems:
        return 1
    app_files.write(options.folder, file.app)
    return 0
