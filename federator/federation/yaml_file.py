"""A YAML file that a person writes: read into a model, every problem with its line.

pydantic knows what is wrong with a value and ruamel.yaml in which line it stands; here the two
come together in plain words. A field's description is the hint that an error shows.
"""

import difflib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError
from ruamel.yaml import YAML
from ruamel.yaml.composer import Composer
from ruamel.yaml.constructor import SafeConstructor
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import AliasEvent, ScalarEvent
from ruamel.yaml.nodes import MappingNode, Node, SequenceNode

from federator.errors import Problem, Where

Model = TypeVar("Model", bound=BaseModel)

_LARGEST = 256 * 1024  # characters
_LONGEST = 1000  # entries of a list, such as sites, or of a mapping
_MOST_TOLD = 200  # problems
_DEEPEST = 20  # levels; a federation file has four, and each costs the parser a recursion

# What to say after the key, by pydantic's type of error.
_PHRASES = {
    "wrong": "{phrase}",
    "missing": "is missing",
    "extra_forbidden": "is not a key of this file",
    "invalid_key": "is not a key of this file",
    "string_type": "must be text, not {given}",
    "int_type": "must be a whole number, not {given}",
    "float_type": "must be a number, not {given}",
    "bool_type": "must be true or false, not {given}",
    "list_type": "must be a list, not {given}",
    "dict_type": "must be a mapping (key: value), not {given}",
    "model_type": "must be a mapping (key: value), not {given}",
    "literal_error": "must be {expected}, not {given}",
    "finite_number": "must be a number, not {given}",
    "greater_than": "must be greater than {gt}, not {given}",
    "greater_than_equal": "must be at least {ge}, not {given}",
    "less_than_equal": "must be at most {le}, not {given}",
    "too_short": "needs {min_length} or more entries",
    "too_long": "has more than {max_length} entries",
}
# What to do about an error of the YAML itself, by a part of its text.
_SYNTAX = {
    "'\\t'": "indent with spaces, not with tabs",
    "mapping values": 'indent alike what belongs together; quote a text that contains ": "',
    "cannot start any token": "quote a text that starts with a special character",
    "single document": "keep one document: remove the line ---",
    "": "check indentation, quotes and brackets here and in the line above",
}


def wrong(phrase: str, hint: str | None = None, at: Sequence[str | int] = ()) -> Exception:
    """Return what a validator raises.

    Args:
        phrase: what to say after the key, such as "must be …".
        hint: what to do about it; without one, the description of the field is shown.
        at: the way from the validated value to the part of it that is wrong.
    """
    return PydanticCustomError("wrong", "{phrase}", {"phrase": phrase, "hint": hint, "at": at})


def shown(value: object) -> str:
    """Write a value as in a file, lists and mappings in short."""
    if isinstance(value, dict | list):
        return "a mapping" if isinstance(value, dict) else "a list"
    return "empty" if value is None else json.dumps(value, ensure_ascii=False, default=str)


def did_you_mean(word: str, known: Iterable[str]) -> str | None:
    """Return the question for the known word that is closest, if one is close."""
    spelled = {name.lower(): name for name in known}
    close = difflib.get_close_matches(word.lower(), spelled, n=1)
    return f"did you mean {spelled[close[0]]}?" if close else None


class _Refused(MarkedYAMLError):
    """What such a file has no need of, and what makes reading it long."""


class _Composer(Composer):
    """Refuses what makes a small file a large one, as soon as it is read."""

    _depth = 0

    def compose_node(self, parent: Node | None, index: Any) -> Node:  # noqa: ANN401  # ruamel's
        """Return the next node."""
        event = self.parser.peek_event()
        if isinstance(event, AliasEvent) or getattr(event, "anchor", None):
            what = "an anchor (&) or an alias (*) is no part of this file: write out what it names"
            raise _Refused(problem=what, problem_mark=event.start_mark)
        if self._depth > _DEEPEST:
            what = f"this is nested deeper than {_DEEPEST} levels"
            raise _Refused(problem=what, problem_mark=event.start_mark)
        if parent is not None and len(parent.value) >= _LONGEST:
            kind = "list" if isinstance(parent, SequenceNode) else "mapping"
            what = f"this {kind} has more than {_LONGEST} entries"
            raise _Refused(problem=what, problem_mark=event.start_mark)
        if isinstance(event, ScalarEvent) and event.value == "<<" and event.style is None:
            what = "a merge key (<<) is no part of this file: write out what it merges"
            raise _Refused(problem=what, problem_mark=event.start_mark)
        self._depth += 1
        try:
            node: Node = super().compose_node(parent, index)
            return node
        finally:
            self._depth -= 1


class _Constructor(SafeConstructor):
    """Leaves a date as the text that it is: a name may look like one."""


_Constructor.add_constructor("tag:yaml.org,2002:timestamp", SafeConstructor.construct_yaml_str)


def load(
    file: Path, model: type[Model], patterns: Mapping[str, str]
) -> tuple[Model | None, list[Problem]]:
    """Read a YAML file into a model; the context of the validation is the file's folder.

    Args:
        file: the file.
        model: what the file must look like; strict, without extra keys.
        patterns: what to say after the key for each pattern that texts of the model must match.

    Returns:
        The model, or None if the file does not fit it, and all problems in the order of lines.

    Raises:
        OSError: if the file cannot be read.
    """
    yaml = YAML(typ="safe", pure=True)
    yaml.Composer = _Composer
    yaml.Constructor = _Constructor
    yaml.allow_duplicate_keys = True  # they are reported together with everything else
    read: Model | None = None
    problems: list[Problem] = []
    try:
        text = file.read_text(encoding="utf-8-sig")
        if len(text) > _LARGEST:
            message = f"is larger than {_LARGEST // 1024} KiB"
            hint = "it describes a federation and holds nothing else"
            return None, [Problem(message, Where(file.name), hint)]
        root = yaml.compose(text)
        if not isinstance(root, MappingNode):
            message = "must be a mapping (key: value)" if root else "is empty"
            required = [f"{key}:" for key, f in model.model_fields.items() if f.is_required()]
            hint = f"write at least {' and '.join(required)}"
            return None, [Problem(message, Where(file.name, line=1), hint)]
        problems += _repeated_keys(root, file, set())
        data = yaml.constructor.construct_document(root)
        read = model.model_validate(data, context=file.parent)
    except ValidationError as error:
        phrases = {**_PHRASES, **patterns}
        problems += (
            _explain(detail, model, root, file, phrases) for detail in error.errors()[:_MOST_TOLD]
        )
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        hint = "save the file with the encoding UTF-8"
        problems.append(Problem("is not UTF-8 text", Where(file.name, line=line), hint))
    except _Refused as error:
        mark = error.problem_mark
        problems.append(Problem(str(error.problem), Where(file.name, line=mark and mark.line + 1)))
    except MarkedYAMLError as error:
        message = f"is not valid YAML: {', '.join(filter(None, (error.context, error.problem)))}"
        mark = error.problem_mark or error.context_mark
        hint = next(todo for part, todo in _SYNTAX.items() if part in message)
        problems.append(Problem(message, Where(file.name, line=mark and mark.line + 1), hint))
    except (YAMLError, ValueError, RecursionError) as error:
        message = f"is not valid YAML: {str(error).splitlines()[0]}"
        problems.append(Problem(message, Where(file.name), _SYNTAX[""]))
    return read, sorted(problems, key=lambda p: (p.where and p.where.line) or 0)


def line(file: Path, keys: Iterable[str]) -> int:
    """Return the line of a key in a YAML file; the key is given by its path."""
    return _located(YAML(typ="safe", pure=True).compose(file.read_text("utf-8-sig")), keys)[1]


def _repeated_keys(node: Node, file: Path, seen: set[int]) -> Iterator[Problem]:
    if id(node) in seen:  # an alias may lead back to where it stands
        return
    seen.add(id(node))
    if isinstance(node, SequenceNode):
        for item in node.value:
            yield from _repeated_keys(item, file, seen)
    elif isinstance(node, MappingNode):
        lines: dict[str, int] = {}
        for key, value in node.value:
            name, line = str(key.value), key.start_mark.line + 1
            if name in lines:
                message = f"{name} is already set in line {lines[name]}"
                yield Problem(message, Where(file.name, line=line), "keep one of the two")
            lines.setdefault(name, line)
            yield from _repeated_keys(value, file, seen)


def _explain(
    error: ErrorDetails,
    model: type[BaseModel],
    root: Node,
    file: Path,
    phrases: Mapping[str, str],
) -> Problem:
    """Say in plain words what pydantic found, and in which line."""
    place = [step for step in error["loc"] if step != "[key]"]
    context, given = error.get("ctx", {}), shown(error["input"])
    part, hint = _described(model, place)
    if error["type"] == "wrong":
        place += context["at"]
        hint = context["hint"] or hint
    elif error["type"] in ("extra_forbidden", "invalid_key"):
        keys = list(part.model_fields)
        hint = did_you_mean(str(place[-1]), keys) or f"the keys here are {', '.join(keys)}"
    elif error["type"] == "string_type" and type(error["input"]) in (bool, int, float):
        hint = f'put it in quotes: "{given}"'
    kind = context.get("pattern", error["type"])
    phrase = phrases.get(kind, "is wrong: {given}").format(given=given, **context)
    key, line = _located(root, place)
    return Problem(f"{key} {phrase}", Where(file.name, line=line), hint)


def _described(
    model: type[BaseModel], place: Iterable[str | int]
) -> tuple[type[BaseModel], str | None]:
    """Return the model that holds the last key of ``place``, and the key's description."""
    description = None
    for step in place:
        field = model.model_fields.get(str(step))
        if field:
            description = field.description
            parts = (field.annotation, *get_args(field.annotation))
            inner = [p for p in parts if isinstance(p, type) and issubclass(p, BaseModel)]
            if not inner:
                break
            model = inner[0]
    return model, description


def _located(node: Node, place: Iterable[str | int]) -> tuple[str, int]:
    """Return the key at ``place``, dotted, and its line, or that of what should hold it."""
    key, line = [], node.start_mark.line
    for step in place:
        if isinstance(node, SequenceNode) and isinstance(step, int):
            node = node.value[step]
            line = node.start_mark.line
            continue
        key.append(str(step))
        pairs = node.value if isinstance(node, MappingNode) else ()
        for name, value in pairs:
            if name.value == key[-1]:
                node, line = value, name.start_mark.line
                break
    return ".".join(key), line + 1
