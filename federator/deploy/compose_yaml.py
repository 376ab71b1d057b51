"""Compose files as YAML, with the comments of their templates."""

from io import StringIO

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.error import YAMLError
from ruamel.yaml.scalarstring import DoubleQuotedScalarString, LiteralScalarString, ScalarString

from federator.errors import InputError, Problem, Where


def read(text: str, name: str) -> CommentedMap:
    """Return what a template of this name says.

    Raises:
        InputError: if it is not YAML.
    """
    try:
        file: CommentedMap = _yaml().load(text)
    except YAMLError as error:
        raise InputError(Problem(str(error), Where(name))) from None
    return file


def write(file: CommentedMap) -> str:
    """Return a file's text: the same values give the same bytes."""
    text = StringIO()
    _yaml().dump(file, text)
    return text.getvalue()


def block(text: str) -> ScalarString:
    """Return a text as a YAML block, or in quotes if it has characters that a block cannot hold."""
    plain = text and all(c.isprintable() or c in "\n\t" for c in text)
    scalar: ScalarString = (LiteralScalarString if plain else DoubleQuotedScalarString)(text)
    return scalar


def _yaml() -> YAML:
    yaml = YAML()
    yaml.width = 10_000
    yaml.preserve_quotes = True
    yaml.indent(mapping=2, sequence=4, offset=2)
    return yaml
