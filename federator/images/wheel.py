"""The wheels of this package that go into the images.

This module writes them itself: an installed package has no build tool, and perhaps no network.
The same files give the same bytes. The format is
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

SITE_VERSION = f"{federator.__version__}+site"
"""The version of the wheel for the sites' images."""

_PARTS = (
    "link",
    "worker",
    "protocol",
    "masking",
    "weights",
    "keys",
    "chain",
    "doctor",
    "review",
    "signer",
)
_AT_SITES = (
    *("__init__.py", "errors.py", "runtime/*.py"),
    *(f"runtime/{part}/**/*.py" for part in _PARTS),
)
_PACKAGE = Path(federator.__file__).parent
_WHEEL = "Wheel-Version: 1.0\nGenerator: federator\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
_COMMAND = "[console_scripts]\nfederator = {}\n"


@dataclass(frozen=True)
class Wheel:
    """A wheel: the name of its file, and its content."""

    name: str
    content: bytes


def for_site(requirements: Iterable[str], package: Path = _PACKAGE) -> Wheel:
    """Return the wheel for the images of link and worker: the modules that run at a site.

    It holds no code of the server or of the tools, so a change there changes no site's image.

    Args:
        requirements: what pip installs with it.
        package: the folder of the package ``federator``.
    """
    paths = {path for pattern in _AT_SITES for path in package.glob(pattern)}
    paths.discard(package / "runtime/source_map.py")  # only the server and the tools import it
    return _wheel(
        SITE_VERSION, _read(package, paths), requirements, "federator.runtime.__main__:run"
    )


def for_server(requirements: Iterable[str]) -> Wheel:
    """Return the wheel for the server's image: all modules, and the templates of the report."""
    modules = _read(_PACKAGE, _PACKAGE.rglob("*.py"))
    report = templates.shipped().joinpath("report")
    folder = f"federator/shipped/{templates.FOLDER}/report"
    files = {f"{folder}/{file.name}": file.read_bytes() for file in report.iterdir()}
    return _wheel(federator.__version__, modules | files, requirements, "federator.cli:main")


def _read(package: Path, sources: Iterable[Path]) -> dict[str, bytes]:
    return {f"federator/{path.relative_to(package)}": path.read_bytes() for path in sources}


def _wheel(
    version: str, modules: Mapping[str, bytes], requirements: Iterable[str], command: str
) -> Wheel:
    """Return a wheel; ``command`` is what runs by the name ``federator`` where it is installed."""
    release = f"notebook_federator-{version}"
    info, record = f"{release}.dist-info", f"{release}.dist-info/RECORD"
    declared = "".join(f"Requires-Dist: {line}\n" for line in requirements)
    about = f"Metadata-Version: 2.1\nName: notebook-federator\nVersion: {version}\n{declared}"
    files = {
        **dict(sorted(modules.items())),
        f"{info}/METADATA": about.encode(),
        f"{info}/WHEEL": _WHEEL.encode(),
        f"{info}/entry_points.txt": _COMMAND.format(command).encode(),
    }
    files[record] = "".join([*map(_recorded, files, files.values()), f"{record},,\n"]).encode()
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name), data)  # dated 1980, and not compressed
    return Wheel(f"{release}-py3-none-any.whl", written.getvalue())


def _recorded(name: str, data: bytes) -> str:
    digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")
    return f"{name},sha256={digest},{len(data)}\n"
