"""The types of single fields of the federation file, and what an error message says of each.

Each type is a pattern or a function that checks a value. schema.py puts them together.
"""

import math
import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator as After
from pydantic import BeforeValidator, Field, PlainValidator, ValidationInfo

from federator.federation.requirement_line import requirement_line
from federator.federation.yaml_file import did_you_mean, shown, wrong

_NAME = "^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$"
_LONGEST_DURATION = 72 * 3600  # seconds; the two deadlines hold for less than a site takes
APP_NAME = "^[a-z]([a-z0-9-]{0,30}[a-z0-9])?$"  # what Flower takes for an app's name
_LABEL = r"^[^,\s]([^,\n]*[^,\s])?$"  # no commas: a run's configuration joins labels by them
_VARIABLE = "^[A-Za-z_][A-Za-z0-9_]*$"
_NAMESPACE = (
    r"^(([a-z0-9-]+\.)+[a-z0-9-]+(:[0-9]+)?|[a-z0-9-]+:[0-9]+)(/[a-z0-9]+([._-]+[a-z0-9]+)*)+$"
)
_SERVER = r"^([A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*|\[[0-9a-fA-F:.]+\])(:[1-9][0-9]*)?$"
_ADDRESS = r"^[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+$"
_IMAGE = "^[a-z0-9]([A-Za-z0-9._:/@-]*[A-Za-z0-9])?$"
_INDEX = r"^https?://[A-Za-z0-9.:\[\]-]+(/[A-Za-z0-9._~%+/-]*)?$"
_DURATION = "^[1-9][0-9]*[smh]$"
_DAYS = "^[1-9][0-9]{0,4}d$"
_TENSORS = r"^[A-Za-z0-9_.*?!\[\]-]{1,200}$"
_SURFACES = "^[1-9][0-9]{0,3} (mm|voxels)$"
_MEMORY = "^[1-9][0-9]*[mg]$"
PERCENTAGE = "^(100|[1-9][0-9]?)%$"

# What an error message says after the key of a text that does not match.
MESSAGES = {
    _NAME: "must be lower-case letters, digits and inner hyphens, at most 40, not {given}",
    APP_NAME: "must be a lower-case letter, then such letters, digits and inner hyphens, at most "
    "32, not {given}",
    _LABEL: "must be a text without commas and without spaces around it, not {given}",
    _VARIABLE: "must be a name of letters, digits and underscores, not {given}",
    _NAMESPACE: "must be registry/namespace in lower case, without https:// and tag, not {given}",
    _SERVER: "must be a host name or address, without https:// and without path, not {given}",
    _ADDRESS: "must be an e-mail address such as ward@example.org, not {given}",
    _IMAGE: "must be the name of an image, not {given}",
    # A password would stay in the image's history.
    _INDEX: "must be an address such as https://host/simple, without user and password",
    _TENSORS: "must be a tensor's name (letters, digits, _ and .), * for any text, not {given}",
    _SURFACES: "must be a distance such as 50 mm or 20 voxels, not {given}",
    _MEMORY: "must be a size such as 512m or 8g, not {given}",
}


def _path(value: object, info: ValidationInfo) -> Path:
    if not isinstance(value, str) or not value.strip():
        raise wrong(f"must be a path, not {shown(value)}")
    try:
        return (Path(info.context or ".") / Path(value).expanduser()).resolve()
    except (OSError, RuntimeError, ValueError) as error:
        raise wrong(f"must be a path, not {shown(value)}: {error}") from None


def _file(value: object, info: ValidationInfo) -> Path:
    path = _path(value, info)
    with suppress(OSError):  # a folder that this user may not enter
        if path.is_file():
            return path
    others = {other.name for other in path.parent.glob(f"*{path.suffix}")} - {path.name}
    close = did_you_mean(path.name, others)
    start = f"paths start at the folder of federation.yaml; this one leads to {path}"
    raise wrong(f"must be a file that exists, not {shown(value)}", close or start)


def _notebook(value: object, info: ValidationInfo) -> Path:
    if isinstance(value, str) and not value.endswith(".ipynb"):
        raise wrong(f"must be a notebook, a file that ends in .ipynb, not {shown(value)}")
    return _file(value, info)


def _seconds(value: object) -> int:
    seconds = 0
    if type(value) is int:
        seconds = value
    elif isinstance(value, str) and re.fullmatch(_DURATION, value):
        seconds = int(value[:-1]) * {"s": 1, "m": 60, "h": 3600}[value[-1]]
    if seconds > _LONGEST_DURATION:
        raise wrong(f"must be at most 72h, not {shown(value)}")
    if seconds > 0:
        return seconds
    raise wrong(f"must be a duration such as 90s, 30m or 2h, not {shown(value)}")


def _pause(value: object) -> int:
    return 0 if type(value) is int and value == 0 else _seconds(value)


def _days(value: object) -> int:
    if isinstance(value, str) and re.fullmatch(_DAYS, value):
        return int(value[:-1])
    raise wrong(f"must be a number of days such as 30d, not {shown(value)}")


def _address(value: str) -> str:
    try:
        port = urlsplit(f"//{value}").port
    except ValueError as error:
        raise wrong(f"must be a host name or address: {error}") from None
    return value if port else f"{value}:443"


def _with_unit(value: object) -> object:
    """Return a number as a text, so that its unit is missed and not its quotes."""
    return str(value) if type(value) in (int, float) else value


def _scalar(value: object) -> object:
    if isinstance(value, bool | int | str) or (isinstance(value, float) and math.isfinite(value)):
        return value
    raise wrong(f"must be a number, a text, true or false, not {shown(value)}")


def _requirement(value: object) -> str | None:
    if value is None or value == "":
        return None
    try:
        return requirement_line(value)
    except ValueError as error:
        raise wrong(f"must be {error}, not {shown(value)}") from None


def distinct(names: list[str], inside: Sequence[str] = ()) -> list[str]:
    """Return names that all differ.

    Args:
        names: the names.
        inside: the keys below an entry of the list at which its name stands.

    Raises:
        ValueError: if a name occurs twice.
    """
    again = [i for i, name in enumerate(names) if name in names[:i]]
    if again:
        which = ", ".join(dict.fromkeys(names[i] for i in again))
        raise wrong(f"must all differ; more than once: {which}", at=(again[0], *inside))
    return names


Positive = Annotated[int, Field(ge=1)]
Repetitions = Annotated[int, Field(ge=1, le=10_000)]
Name = Annotated[str, Field(pattern=_NAME)]
Label = Annotated[str, Field(pattern=_LABEL)]
Variable = Annotated[str, Field(pattern=_VARIABLE)]
Namespace = Annotated[str, Field(pattern=_NAMESPACE)]
ImageName = Annotated[str, Field(pattern=_IMAGE)]
Index = Annotated[str, Field(pattern=_INDEX)]
Server = Annotated[str, Field(pattern=_SERVER), After(_address)]
MailServer = Annotated[str, Field(pattern=_SERVER)]
MailAddress = Annotated[str, Field(pattern=_ADDRESS)]
TensorPattern = Annotated[str, Field(pattern=_TENSORS)]
Distance = Annotated[str, Field(pattern=_SURFACES), BeforeValidator(_with_unit)]
Memory = Annotated[str, Field(pattern=_MEMORY)]
Folder = Annotated[Path, PlainValidator(_path, json_schema_input_type=str)]
File = Annotated[Path, PlainValidator(_file, json_schema_input_type=str)]
Notebook = Annotated[Path, PlainValidator(_notebook, json_schema_input_type=str)]
Duration = Annotated[
    int,
    PlainValidator(
        _seconds, json_schema_input_type=Positive | Annotated[str, Field(pattern=_DURATION)]
    ),
]
Pause = Annotated[
    int,
    PlainValidator(
        _pause,
        json_schema_input_type=Annotated[int, Field(ge=0)]
        | Annotated[str, Field(pattern=_DURATION)],
    ),
]
Days = Annotated[
    int, PlainValidator(_days, json_schema_input_type=Annotated[str, Field(pattern=_DAYS)])
]
Parameter = Annotated[bool | int | float | str, BeforeValidator(_scalar)]
PipRequirement = Annotated[
    str | None, PlainValidator(_requirement, json_schema_input_type=str | None)
]
