"""IPython's additions to Python, taken out of a cell without moving any line.

The policy: timing magics are unwrapped (``%time x = f()`` is ``x = f()``), every other magic,
shell or help line is taken out. At the top level it leaves a blank line; inside a block, or as
the value of an assignment, it leaves a placeholder that keeps the rest of the cell readable, and
the statement around it is refused only if it is needed. What only installs packages is no reason
to refuse anything: where it answers a failed import, the failure stands (``raise``).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

# These run the cell's own body as Python; any other cell magic hands it to something else.
_WRAPPERS = frozenset({"%%time", "%%timeit", "%%capture", "%%prun", "%%memit", "%%snakeviz"})

_TARGET = r"(?:[A-Za-z_][\w., *]*?\s*=\s*)?"
_TIMED = re.compile(
    rf"(?P<head>\s*(?P<target>{_TARGET}))%(?P<name>time|timeit)\b\s*"
    r"(?:-(?:[nrp]\s*\d+|[tcqov]+)\s+|--no-raise-error\s+)*"
)
_ESCAPED = re.compile(rf"(?P<indent>\s*)(?P<target>{_TARGET})(?:%(?!%)|!|\?)")
_HELP = re.compile(r"(?P<indent>\s*)(?P<target>)%{0,2}[\w.*\[\]]+\?{1,2}\s*$")
_AUTOMAGIC = re.compile(r"(?P<indent>)(?P<target>)(?:pip|conda|mamba) (?:install|uninstall)\b")

INSTALLS = re.compile(r"[!%]*\s*(?:python\d?\s+-m\s+)?(?:uv\s+)?(?:pip|conda|mamba|apt)\d?\b")
_FAILED_IMPORT = re.compile(
    r"\s*except\b(?:.*(?:ImportError|ModuleNotFoundError).*|\s*):\s*(?:#.*)?$"
)

_OUTSIDE_STRING = re.compile(r"""#|\"{3}|'{3}|["'()\[\]{}]""")
_INSIDE_STRING = {quote: re.compile(rf"\\.|{quote}") for quote in ("'''", '"""', "'", '"')}


@dataclass(frozen=True)
class Plain:
    """A cell's text as plain Python, line for line.

    Attributes:
        source: as many lines as the cell has; the text itself where ``language`` is set.
        foreign: line → the IPython text that stood there, for every line that was taken out.
        language: the cell magic that makes the cell something else than Python, or None.
    """

    source: str
    foreign: Mapping[int, str]
    language: str | None = None


def to_plain(source: str) -> Plain:
    """Take IPython's syntax out of a cell; what stands inside strings is never touched."""
    lines = source.split("\n")
    for number, line in enumerate(lines):
        if line.startswith("%%"):
            magic = line.split()[0]
            if magic not in _WRAPPERS:
                return Plain(source, {}, magic)
            lines[number] = ""
        elif line.strip():
            break
    foreign: dict[int, str] = {}
    position = _Position()
    shell_goes_on = False
    for number, line in enumerate(lines):
        if shell_goes_on:
            lines[number] = ""
            shell_goes_on = line.endswith("\\")
            continue
        if position.between_statements:
            lines[number], taken_out = _plain_line(line)
            if taken_out:
                if INSTALLS.match(line.strip()) and _handles_import_error(lines[:number], line):
                    lines[number] = lines[number].replace("pass", "raise")
                foreign[number + 1] = line.strip()
                shell_goes_on = line.endswith("\\")
                continue
        position.advance(lines[number])
    return Plain("\n".join(lines), foreign)


def _handles_import_error(above: list[str], line: str) -> bool:
    """Whether a line stands directly in the handler of a failed import."""
    indent = len(line) - len(line.lstrip())
    outer = (
        one for one in reversed(above) if one.strip() and len(one) - len(one.lstrip()) < indent
    )
    return _FAILED_IMPORT.match(next(outer, "")) is not None


def _plain_line(line: str) -> tuple[str, bool]:
    """Return a line that starts a statement as Python, and whether something was taken out."""
    timed = _TIMED.match(line)
    # `x = %timeit -o f()` is a measurement, not the value of f().
    if timed and not (timed["name"] == "timeit" and timed["target"]):
        return timed["head"] + line[timed.end() :], False
    match = _ESCAPED.match(line) or _HELP.match(line) or _AUTOMAGIC.match(line)
    if not match:
        return line, False
    if match["target"]:
        return f"{match['indent']}{match['target']}...", True
    return (match["indent"] + "pass" if match["indent"] else ""), True


class _Position:
    """Where a line ends: inside a string, inside brackets, after a backslash, or between."""

    def __init__(self) -> None:
        self._quote: str | None = None
        self._depth = 0
        self._continued = False

    @property
    def between_statements(self) -> bool:
        return not (self._quote or self._depth or self._continued)

    def advance(self, line: str) -> None:
        """Read one line."""
        at, comment = 0, False
        while match := self._next(line, at):
            at, token = match.end(), match.group()
            if self._quote:
                self._quote = None if token == self._quote else self._quote
            elif token == "#":
                comment = True
                break
            elif token in _INSIDE_STRING:
                self._quote = token
            else:
                self._depth = max(0, self._depth + (1 if token in "([{" else -1))
        self._continued = line.endswith("\\") and not comment
        if self._quote in ("'", '"') and not self._continued:
            self._quote = None

    def _next(self, line: str, at: int) -> re.Match[str] | None:
        pattern = _INSIDE_STRING[self._quote] if self._quote else _OUTSIDE_STRING
        return pattern.search(line, at)
