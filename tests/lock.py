"""Writes requirements.lock: what the workflows install beside this package, by version and hash.

``make lock`` asks the package index for it, of the versions in constraints.txt, as wheels for the
workflows' machine: Python 3.11 on Linux, x86-64.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
LOCKS = {
    "requirements.lock": (".[author]", "setuptools"),
    ".github/release.lock": ("build", "twine", "setuptools"),
    ".github/audit.lock": ("pip-audit",),
}
_HEAD = """\
# What the workflows install beside this package: each file by its hash. Made by `make lock` from
# constraints.txt, for {names}.
"""


def resolve(wanted: tuple[str, ...]) -> dict[str, tuple[str, str]]:
    """Return the version and the SHA-256 of each wheel that pip would install, by its name."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report.json")
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run"]
        command += ["--ignore-installed", "--only-binary=:all:", "--constraint=constraints.txt"]
        subprocess.run([*command, f"--report={report}", *wanted], cwd=ROOT, check=True)
        found = json.loads(report.read_text())["install"]
    return {
        one["metadata"]["name"]: (
            one["metadata"]["version"],
            one["download_info"]["archive_info"]["hashes"]["sha256"],
        )
        for one in found
        if "archive_info" in one["download_info"]  # this package itself has none
    }


def main() -> None:
    """Write both files, and the copy that new repositories get."""
    for name, wanted in LOCKS.items():
        made = resolve(wanted)
        lines = [
            f"{package.lower()}=={version} --hash=sha256:{digest}"
            for package, (version, digest) in sorted(made.items(), key=lambda one: one[0].lower())
        ]
        text = _HEAD.format(names=", ".join(wanted)) + "\n".join(lines) + "\n"
        (ROOT / name).write_text(text)
        if name == "requirements.lock":
            (ROOT / "component_templates" / "repository" / name).write_text(text)


if __name__ == "__main__":
    main()
