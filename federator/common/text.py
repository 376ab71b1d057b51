"""Markdown as GitHub shows it, from texts that anybody may have written."""

import re
from collections.abc import Iterable, Sequence


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table; a column whose title starts with a space is set to the right."""
    ruler = ["---:" if title.startswith(" ") else "---" for title in head]
    lines = (head, ruler, *rows)
    return "\n".join(f"| {' | '.join(cell.strip() for cell in line)} |" for line in lines)


def escaped(text: str) -> str:
    """Return a text that is shown as it stands, in a line or in a cell of a table."""
    return re.sub(r"([\\`*_\[\]<>|#])", r"\\\1", " ".join(text.split()))


def fenced(text: str, language: str = "text") -> str:
    """Return a text that is shown unchanged, whatever it contains."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text.rstrip()}\n{fence}"


def folded(title: str, *paragraphs: str) -> str:
    """Return paragraphs that are shown when the title is clicked."""
    return "\n\n".join((f"<details><summary>{title}</summary>", *paragraphs, "</details>"))


def page(*paragraphs: str) -> str:
    """Return paragraphs one after the other, without those that are empty."""
    return "\n\n".join(filter(None, paragraphs)) + "\n"
