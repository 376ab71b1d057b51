"""Copies what the patterns find, as actions/upload-artifact does.

Below the artifact's root lies what is below the folder that all patterns have in common.
"""

import os
import shutil
from pathlib import Path

HERE = Path.cwd()


def found(pattern: str) -> set[Path]:
    """Return the files that a pattern means; of a folder, all that are in it."""
    place = HERE / pattern
    places = [place] if place.exists() else place.parent.glob(place.name)
    return {file for one in places for file in (one, *one.rglob("*")) if file.is_file()}


lines = [line.strip() for line in os.environ["PATTERNS"].splitlines() if line.strip()]
wanted = [line for line in lines if not line.startswith("!")]
files = set().union(*map(found, wanted))
files -= set().union(*(found(line[1:]) for line in lines if line.startswith("!")))
places = [HERE / line if (HERE / line).is_dir() else (HERE / line).parent for line in wanted]
common = os.path.commonpath(places)
for file in files:
    target = Path(os.environ["ARTIFACTS"], os.environ["NAME"], file.relative_to(common))
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(file, target)
