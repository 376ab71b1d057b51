"""The wheels of this package that go into the images.

Written here and not by a build tool, so that an installed package can write them too, without a
network. The same files give the same bytes. The format is
https://packaging.python.org/en/latest/specifications/binary-distribution-format/.
"""

import base64
import hashlib
import io
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import federator
from federator.common import templates

RUNTIME = f"{federator.__version__}+runtime"
"""The version of the wheel for the sites' images."""

_AT_SITES = ("__init__.py", "errors.py", "runtime/**/*.py")
_WHEEL = "Wheel-Version: 1.0\nGenerator: federator\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
_COMMANDS = "[console_scripts]\nfederator = federator.cli:main\n"


@dataclass(frozen=True)
class Wheel:
    """A wheel: the name of its file, and its content."""

    name: str
    content: bytes


def runtime(requirements: Iterable[str]) -> Wheel:
    """Return the wheel for the sites' images: of this package, what runs there.

    It changes only if that does: no site is to pull an image because of a command that is used
    elsewhere.
    """
    package = Path(federator.__file__).parent
    sources = [path for pattern in _AT_SITES for path in package.glob(pattern)]
    return _wheel(RUNTIME, _read(package, sources), requirements)


def whole(requirements: Iterable[str]) -> Wheel:
    """Return the wheel for the server's image: the whole package, which writes reports, too."""
    package = Path(federator.__file__).parent
    shipped = {
        f"federator/shipped/{templates.FOLDER}/{file.name}": file.read_bytes()
        for file in templates.shipped().iterdir()
        if file.is_file()
    }
    return _wheel(
        federator.__version__, _read(package, package.rglob("*.py")) | shipped, requirements
    )


def _read(package: Path, sources: Iterable[Path]) -> dict[str, bytes]:
    return {f"federator/{path.relative_to(package)}": path.read_bytes() for path in sources}


def _wheel(version: str, modules: Mapping[str, bytes], requirements: Iterable[str]) -> Wheel:
    release = f"notebook_federator-{version}"
    info, record = f"{release}.dist-info", f"{release}.dist-info/RECORD"
    declared = "".join(f"Requires-Dist: {line}\n" for line in requirements)
    about = f"Metadata-Version: 2.1\nName: notebook-federator\nVersion: {version}\n{declared}"
    files = {
        **dict(sorted(modules.items())),
        f"{info}/METADATA": about.encode(),
        f"{info}/WHEEL": _WHEEL.encode(),
    }
    if "federator/cli.py" in modules:
        files[f"{info}/entry_points.txt"] = _COMMANDS.encode()
    files[record] = "".join([*map(_recorded, files, files.values()), f"{record},,\n"]).encode()
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name), data)  # dated 1980, and not compressed
    return Wheel(f"{release}-py3-none-any.whl", written.getvalue())


def _recorded(name: str, data: bytes) -> str:
    digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")
    return f"{name},sha256={digest},{len(data)}\n"
