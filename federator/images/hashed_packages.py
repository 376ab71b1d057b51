"""The packages that a site adds to the link's image in its own build, each by version and hash."""

import json
from collections.abc import Iterable

from federator.errors import FederatorError
from federator.federation.parts import Build
from federator.images import engine
from federator.images.reference import Reference
from federator.notebook.dependencies import requirements

# Runs in the link's image, whose Python and platform are those of the site's build, and which has
# some packages already. The report's format: https://pip.pypa.io/en/stable/reference/installation-report/
_RESOLVE = """
import json, subprocess, sys
from pathlib import Path
asked = json.load(sys.stdin)
for name in ("install", "versions"):
    Path(f"/tmp/{name}.txt").write_text("\\n".join(asked[name]) + "\\n")
command = [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--no-cache-dir"]
command += ["--only-binary=:all:", "--report=/tmp/report.json", "--requirement=/tmp/install.txt"]
command += ["--constraint=/tmp/versions.txt", *asked["indexes"]]
done = subprocess.run(command, stdout=sys.stderr)
if done.returncode:
    raise SystemExit(done.returncode)
for one in json.loads(Path("/tmp/report.json").read_text())["install"]:
    digest = one["download_info"]["archive_info"]["hashes"]["sha256"]
    print(f"{one['metadata']['name']}=={one['metadata']['version']} --hash=sha256:{digest}")
"""


def indexes(build: Build, cuda: bool) -> tuple[tuple[str, str], ...]:
    """Return pip's options for package indexes, and their addresses."""
    extra = (build.extra_index, None if cuda else build.torch_index)
    named = (("index-url", build.index), *(("extra-index-url", one) for one in extra))
    return tuple((option, address) for option, address in named if address)


def resolve(link: Reference, install: Iterable[str], build: Build, cuda: bool) -> tuple[str, ...]:
    """Return what pip would install in the link's image, as ``name==version --hash=sha256:…``.

    Args:
        link: the link's image, which is run, with a network, and without the author's code.
        install: pip requirement lines.
        build: where packages come from.
        cuda: whether PyTorch is to have CUDA.

    Raises:
        EngineError: if pip finds no wheel, or the image cannot be run.
        FederatorError: if the answer is none.
    """
    lines = list(install)
    asked = {
        "install": lines,
        "versions": requirements.versions(lines),
        "indexes": [f"--{option}={address}" for option, address in indexes(build, cuda)],
    }
    confined = ("--rm", "--interactive", "--read-only", "--tmpfs=/tmp", "--cap-drop=ALL")
    command = ("--entrypoint=python", str(link), "-c", _RESOLVE)
    said = engine.docker("run", *confined, *command, given=json.dumps(asked)).splitlines()
    if bad := [line for line in said if "==" not in line or "--hash=sha256:" not in line]:
        raise FederatorError(f"pip in {link} answered {bad[0]!r} instead of a package")
    return tuple(sorted(said, key=str.lower))
