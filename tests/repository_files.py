"""What is in a repository that ``federator init`` made."""

from pathlib import Path

PLACES = (
    ".github/workflows/federate.yml",
    ".github/workflows/rounds.yml",
    "compose/federation.schema.json",
    "notebooks/template.ipynb",
    ".github/dependabot.yml",
)


def files(folder: Path) -> dict[str, bytes]:
    paths = (path for path in folder.rglob("*") if path.is_file())
    named = {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}
    return {name: content for name, content in named.items() if not name.startswith(".git/")}
