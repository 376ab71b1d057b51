"""What a new version of a site's file changes, before anything of it runs at the site.

Everything stands in the file: images by digest, settings, and the code that runs beside the data.
The code is the app whose hash the file names, the only one that the site's link takes part in;
that is computed again here. Nothing is asked of the network.
"""

import argparse
import difflib
import json
import re
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml  # type: ignore[import-untyped]  # comes with flwr

from federator.errors import InputError, Problem
from federator.runtime import app_files
from federator.runtime.files import fingerprint

APP = "x-app"
"""The key in a compose file under which the app's files stand, every dollar sign doubled."""

_IMAGE = re.compile(r"services\.[\w-]+\.image")
_HASH = re.compile(r"services\.[\w-]+\.environment\.FEDERATOR_APP_HASH: (\w+)")
_LARGEST = 2**20  # bytes
_MOST_VALUES = 10_000  # a site's file has some hundred; YAML's aliases could make billions


@dataclass(frozen=True)
class SiteFile:
    """A site's compose file, taken apart.

    Attributes:
        name: how a person calls it.
        content: the file.
        settings: a line for everything in it but the app.
        app: the app's files by name.
    """

    name: str
    content: bytes
    settings: tuple[str, ...]
    app: dict[str, str]

    @classmethod
    def read(cls, path: Path) -> "SiteFile":
        """Read a file.

        Raises:
            InputError: if it cannot be read, or is not a compose file.
        """
        try:
            return cls.parse(path.name, path.read_bytes())
        except OSError as error:
            hint = "it must be in the folder of compose.yaml, and readable for every user"
            raise InputError(Problem(f"{path}: {error.strerror}", hint=hint)) from None

    @classmethod
    def parse(cls, name: str, content: bytes) -> "SiteFile":
        """Take a file's content apart.

        Raises:
            InputError: if it is not that of a compose file.
        """
        if len(content) > _LARGEST:
            raise InputError(f"{name}: is larger than {_LARGEST // 1024} KiB: no compose file")
        try:
            # BaseLoader leaves every value the text that it is: nothing is shown as another.
            data = yaml.load(content, Loader=yaml.BaseLoader)
        except (yaml.YAMLError, ValueError) as error:
            raise InputError(f"{name}: is not YAML: {error}") from None
        except RecursionError:
            raise InputError(f"{name}: is nested too deeply for a compose file") from None
        if not isinstance(data, dict) or "services" not in data:
            raise InputError(f"{name}: is not a compose file")
        app = data.pop(APP, {})
        if not isinstance(app, dict) or not all(map(app_files.is_name, app)):
            raise InputError(f"{name}: {APP} is not a list of an app's files")
        texts = {file: str(text).replace("$$", "$") for file, text in app.items()}
        try:
            if _values(data, {}) > _MOST_VALUES:
                raise InputError(f"{name}: has more than {_MOST_VALUES} values: no compose file")
            return cls(name, content, tuple(_flat(data)), texts)
        except RecursionError:
            raise InputError(f"{name}: is nested too deeply for a compose file") from None

    @property
    def problems(self) -> Iterator[str]:
        """What a site must not accept."""
        named = {found[1] for line in self.settings if (found := _HASH.fullmatch(line))}
        if not self.app:
            yield "it does not show the code that runs beside the data"
            return
        try:
            shown = _hash(self.app)
        except (InputError, ValueError) as error:
            yield f"the code that it shows is no app: {error}"
            return
        if named != {shown}:
            yield "the code that it shows is not the app whose hash it names"


def compare(old: SiteFile | None, new: SiteFile) -> Iterator[str]:
    """Return in lines what is different in ``new``; without ``old``, all that it says."""
    for file in filter(None, (old, new)):
        yield f"{fingerprint(file.content)}   {file.name}"
    yield ""
    sections = {
        "Images": [_changed(*(_pick(file, images=True) for file in (old, new)))],
        "Settings": [_changed(*(_pick(file, images=False) for file in (old, new)))],
        "Code that runs beside the data": list(_code(old.app if old else {}, new.app)),
    }
    for title, parts in sections.items():
        lines = [line for part in parts for line in part]
        yield f"{title}: {'' if lines else 'nothing changes'}".rstrip()
        yield from (f"  {line}" for line in lines)
        yield ""
    if old and old.content != new.content and (old.settings, old.app) == (new.settings, new.app):
        yield "Only comments differ, or how the same is written."


def _pick(file: SiteFile | None, images: bool) -> list[str]:
    lines = file.settings if file else ()
    return [line for line in lines if bool(_IMAGE.match(line)) == images]


def _changed(old: list[str], new: list[str]) -> list[str]:
    """Return the lines that go, with a minus, and those that come, with a plus."""
    lines = difflib.unified_diff(old, new, n=0, lineterm="")
    return [line for line in lines if not line.startswith(("---", "+++", "@@"))]


def _code(old: dict[str, str], new: dict[str, str]) -> Iterator[list[str]]:
    for name in sorted({*old, *new}):
        before, after = (app.get(name, "").splitlines() for app in (old, new))
        if not before and not after and (name in old) != (name in new):
            yield [f"{'+' if name in new else '-'}++ {name}, which is empty"]
        yield list(difflib.unified_diff(before, after, name, name, "before", "after", lineterm=""))


def _values(data: object, known: dict[int, int]) -> int:
    """Return how many values there are with all aliases written out, which is not done for it."""
    if not isinstance(data, dict | list):
        return 1
    if id(data) not in known:
        inner = data.values() if isinstance(data, dict) else data
        known[id(data)] = 1 + sum(_values(one, known) for one in inner)
    return known[id(data)]


def _flat(data: object, path: str = "") -> Iterator[str]:
    """Return a line for each value, with the keys that lead to it, and for each item of a list."""
    if isinstance(data, dict) and data:
        for key, value in data.items():
            yield from _flat(value, f"{path}.{key}" if path else str(key))
    elif isinstance(data, list):
        for item in data:
            yield f"{path}: - {item if isinstance(item, str) else json.dumps(item)}"
    else:
        yield from (f"{path}: {line}" for line in str(data or "").splitlines() or [""])


def _hash(app: dict[str, str]) -> str:
    from federator.runtime.flower import app_hash  # slow to import

    with tempfile.TemporaryDirectory() as folder:
        app_files.write(Path(folder), app)
        return app_hash(Path(folder))


def visible(line: str) -> str:
    """Return a line with what a terminal would act on, or turn around, spelled out."""
    return "".join(
        c if c.isprintable() or c == "\t" else c.encode("unicode_escape").decode() for c in line
    )


def main(arguments: list[str] | None = None) -> int:
    """Show what a new site file changes; 1 if no site should accept it."""
    parser = argparse.ArgumentParser(prog="review", description=main.__doc__)
    parser.add_argument("old", nargs="?", type=Path, help="the file that was approved")
    parser.add_argument("new", type=Path, help="the new file")
    options = parser.parse_args(arguments)
    new = SiteFile.read(options.new)
    for line in compare(SiteFile.read(options.old) if options.old else None, new):
        print(visible(line))
    problems = list(new.problems)
    same = options.old is not None and options.old.read_bytes() == new.content
    for problem in problems:
        print(f"Do not accept {new.name}: {problem}.", file=sys.stderr)
    if same and not problems:
        print(f"{new.name} is the same file, to the letter: there is nothing to take.")
    elif not problems:
        print(
            f"The code is the app whose hash {new.name} names. Compare its fingerprint with the "
            "coordinator's by telephone before you start it."
        )
    return 1 if problems else 0
