"""Which of the installed distributions a module comes from.

Several distributions may share a top-level name: ``google`` is a folder without code of its own
in which protobuf, google-cloud-storage and many others have their modules. A module's
distribution is the one that has the most of its dotted name as modules, never one that merely has
another part of that folder.
"""

import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

_CODE = (".py", ".so", ".pyd")
_STUB = 4096  # bytes: a namespace stub is a licence header and one or two statements
_NAMESPACE = ("extend_path", "declare_namespace")


@dataclass(frozen=True)
class Distribution:
    """An installed distribution.

    Attributes:
        name: its canonical name.
        version: as an index has it (``2.13.0+cpu`` is ``2.13.0`` there).
        origin: what it was installed from, if that is no index: a folder, or a repository.
    """

    name: str
    version: str
    origin: str | None = None


class Installed:
    """The distributions that are installed here, and the modules in them."""

    def owners(self, dotted: str) -> tuple[Distribution, ...]:
        """Return the distributions that have the most of a dotted name: one, if that is clear."""
        return tuple(described(one) for one in self.owning(dotted))

    def owning(self, dotted: str) -> list[metadata.Distribution]:
        """Return them as :meth:`owners` does, without reading what is known of them."""
        parts = dotted.split(".")
        scores: dict[int, list[metadata.Distribution]] = {}
        for found in self._index.get(parts[0], ()):
            scores.setdefault(_depth(parts, found.modules), []).append(found.distribution)
        best = max(scores, default=0)
        return scores[best] if best else []

    def has_part_of(self, dotted: str) -> bool:
        """Say whether any distribution has a module in the top-level folder of a dotted name."""
        return dotted.partition(".")[0] in self._index

    @cached_property
    def _index(self) -> Mapping[str, list["_Part"]]:
        """The modules of each distribution, by their top-level name."""
        index: dict[str, list[_Part]] = {}
        seen = set()
        for distribution in metadata.distributions():
            name = distribution.metadata["Name"]
            if not name or (canonical := canonicalize_name(name)) in seen:
                continue
            seen.add(canonical)
            modules: dict[str, dict[str, str]] = {}
            for file in _files(distribution):
                if module := _module(file):
                    modules.setdefault(module.partition(".")[0], {})[module] = file
            for top, inside in modules.items():
                index.setdefault(top, []).append(_Part(distribution, inside))
        for top, parts in index.items():
            if len(parts) > 1:
                index[top] = [part.without_stubs() for part in parts]
        return index


def here() -> Installed:
    """Return the distributions of this environment: read once, until a folder of it changes."""
    return _read(tuple((path, _changed(Path(path))) for path in sys.path))


@lru_cache(maxsize=2)
def _read(_folders: tuple[tuple[str, int], ...]) -> Installed:
    return Installed()


def _changed(folder: Path) -> int:
    try:
        return folder.stat().st_mtime_ns
    except OSError:
        return 0


@dataclass(frozen=True)
class _Part:
    """What a distribution has of one top-level name: its modules, and the file of each."""

    distribution: metadata.Distribution
    modules: Mapping[str, str]

    def without_stubs(self) -> "_Part":
        """Return it without the packages that only say that others may add to them."""
        kept = {module: file for module, file in self.modules.items() if not self._is_stub(file)}
        return _Part(self.distribution, kept)

    def _is_stub(self, file: str) -> bool:
        if not file.endswith("__init__.py"):
            return False
        try:
            text = Path(str(self.distribution.locate_file(file))).read_bytes()[: _STUB + 1]
        except OSError:
            return False
        return len(text) <= _STUB and any(word.encode() in text for word in _NAMESPACE)


def described(distribution: metadata.Distribution) -> Distribution:
    """Return what there is to know of an installed distribution."""
    try:
        version = Version(distribution.version).public
    except InvalidVersion:
        version = distribution.version
    return Distribution(
        canonicalize_name(distribution.metadata["Name"]), version, _origin(distribution)
    )


def _depth(parts: list[str], modules: Mapping[str, str]) -> int:
    """Return how many parts of a dotted name are modules."""
    return next((n for n in range(len(parts), 0, -1) if ".".join(parts[:n]) in modules), 0)


def _files(distribution: metadata.Distribution) -> Iterator[str]:
    """Yield the files of a distribution; of one that does not list them, its top-level names."""
    listed = False
    for line in (distribution.read_text("RECORD") or "").splitlines():
        file = line.removeprefix('"').partition('"' if line.startswith('"') else ",")[0]
        # Of a distribution in development, there is a finder with a name of its own, or nothing.
        if file.endswith(_CODE) and not file.startswith(("__editable__", "_editable_impl", "..")):
            listed = True
            yield file
    if not listed:
        for name in (distribution.read_text("top_level.txt") or "").split():
            listed = True
            yield f"{name}/__init__.py"
    if not listed and (folder := _folder(distribution)):
        for source in (folder, folder / "src"):
            yield from (f"{init.parent.name}/__init__.py" for init in source.glob("*/__init__.py"))
            yield from (file.name for file in source.glob("*.py"))


def _module(file: str) -> str | None:
    """Return the dotted name of the module in a file, or None if it is none."""
    *folders, name = file.split("/")
    stem = name.partition(".")[0]
    parts = folders if stem == "__init__" else [*folders, stem]
    return ".".join(parts) if parts and all(part.isidentifier() for part in parts) else None


def _origin(distribution: metadata.Distribution) -> str | None:
    """Return the folder or repository that a distribution was installed from, if from one.

    PEP 610. Conda's own packages name the folder in which somebody else built them: they count as
    coming from an index, and so does a single file, which is often a copy of an index's.
    """
    direct = direct_url(distribution)
    conda = (distribution.read_text("INSTALLER") or "").strip() == "conda"
    if conda or not ("vcs_info" in direct or "dir_info" in direct):
        return None
    folder = _folder(distribution)
    return str(folder) if folder else str(direct.get("url"))


def _folder(distribution: metadata.Distribution) -> Path | None:
    url = urlsplit(str(direct_url(distribution).get("url", "")))
    return Path(unquote(url.path)) if url.scheme == "file" else None


def direct_url(distribution: metadata.Distribution) -> Mapping[str, Any]:
    """Return where a distribution was installed from, as pip recorded it (PEP 610)."""
    try:
        direct = json.loads(distribution.read_text("direct_url.json") or "{}")
    except ValueError:
        return {}
    return direct if isinstance(direct, dict) else {}
