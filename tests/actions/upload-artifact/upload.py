"""Copies what the patterns find, as actions/upload-artifact does.

Below the artifact's root lies what is below the folder that all patterns have in common.
"""

import glob
import os
import shutil
from pathlib import Path

lines = [line.strip() for line in os.environ["PATTERNS"].splitlines() if line.strip()]
wanted = [line for line in lines if not line.startswith("!")]
refused = {Path(found) for line in lines if line.startswith("!") for found in glob.glob(line[1:])}
fixed = [line if Path(line).is_dir() else str(Path(line).parent) for line in wanted]
common = Path(os.path.commonpath(fixed))
target = Path(os.environ["ARTIFACTS"], os.environ["NAME"])
for line in wanted:
    for found in map(Path, glob.glob(line)):
        for file in [found, *found.rglob("*")] if found.is_dir() else [found]:
            if file.is_file() and file not in refused:
                place = target / file.relative_to(common)
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, place)
