"""What the author says of the data's layout: shown where a site's data do not fit."""

from pathlib import Path

LAYOUT = "data.md"
"""The file of an app with that text."""


def layout(app: Path) -> str:
    """Return how the data must be laid out, indented for a finding; nothing if that is not told."""
    try:
        text = (app / LAYOUT).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    lines = [f"\n      | {line}".rstrip() for line in map(_visible, text.rstrip().split("\n"))]
    return "\nthe notebook describes the data as:".replace("\n", "\n      ") + "".join(lines)


def _visible(line: str) -> str:
    """Return a line without what a terminal would act on."""
    return "".join(c if c.isprintable() or c == "\t" else "?" for c in line)
