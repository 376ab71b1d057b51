"""Where the author's code works: a folder that it may write to, with links to data and assets.

The 2022 template's ``load_data()`` reads relative paths, and ``train`` may keep ``best.pt`` in the
working directory. The data folder is read-only, so the working directory is another: an empty
folder for each run, in which each entry of the data folder, and each asset that came with the app,
stands as a symbolic link.
"""

import os
import shutil
import tempfile
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from federator.runtime.app_files import ASSETS


class Workspace:
    """A new working directory for the author's code; it is removed with this object.

    Args:
        app: the folder of the app; None for where Python finds the module ``task``.
        data: the site's data folder; None where there is none, as where a model is first made.
    """

    def __init__(self, app: Path | None, data: Path | None) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="work-"))
        self._removal = weakref.finalize(self, _remove, self._folder, os.getpid())
        assets = (app or imported_from()) / ASSETS
        for path in sorted(assets.rglob("*")):
            if path.is_file():
                inside = self._folder / path.relative_to(assets)
                inside.parent.mkdir(parents=True, exist_ok=True)
                inside.symlink_to(path)
        if data is not None:
            _link_entries(data, self._folder)

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Work there."""
        before = Path.cwd()
        os.chdir(self._folder)
        try:
            yield
        finally:
            os.chdir(before)


def _remove(folder: Path, owner: int) -> None:
    if os.getpid() == owner:  # a DataLoader's processes are copies of their parent
        shutil.rmtree(folder, ignore_errors=True)


def imported_from() -> Path:
    """Return the folder that Python finds the author's code in."""
    spec = find_spec("task")
    return Path(spec.origin).parent if spec and spec.origin else Path()


def _link_entries(source: Path, target: Path) -> None:
    """Link what is in a folder into another; what is there already, an asset, stays."""
    for entry in source.iterdir():
        place = target / entry.name
        if place.is_dir() and not place.is_symlink() and entry.is_dir():
            _link_entries(entry, place)
        elif not os.path.lexists(place):
            place.symlink_to(entry)


def settle() -> None:
    """Give this process a home, caches and temporary files in a new, empty folder.

    So no cache of a person's own and no login hides what a site would lack. Libraries that fetch
    from Hugging Face are told that there is no network, so that they do not try for minutes.
    """
    folder = Path(tempfile.mkdtemp(prefix="site-"))
    home = folder / "home"
    home.mkdir()
    for name in [name for name in os.environ if name.startswith("XDG_")]:
        del os.environ[name]
    os.environ |= {"HOME": str(home), "TMPDIR": str(folder), "HF_HUB_OFFLINE": "1"}
    tempfile.tempdir = None  # so that it is looked up again
