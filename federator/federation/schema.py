"""The federation file, ``compose/<name>/federation.yaml``: read it, check it, say what is wrong.

One definition has three readers. The library works with the pydantic models below; an editor
completes and checks with the JSON Schema derived from them
(``python -m federator.federation.schema`` prints it; its committed copy is
``compose/federation.schema.json``); an error message shows their descriptions.
"""

import json
import math
import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator as After
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    PrivateAttr,
    ValidationInfo,
    field_validator,
)

from federator.errors import FederationFileError, Problem, Where
from federator.federation import yaml_file
from federator.federation.requirement_line import requirement_line
from federator.federation.yaml_file import did_you_mean, shown, wrong

FILE = "federation.yaml"

_NAME = "^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$"
_LONGEST_DURATION = 72 * 3600
_APP_NAME = "^[a-z]([a-z0-9-]{0,30}[a-z0-9])?$"  # what Flower takes for an app's name
_LABEL = r"^[^,\s]([^,\n]*[^,\s])?$"  # no commas: a run's configuration joins labels by them
_VARIABLE = "^[A-Za-z_][A-Za-z0-9_]*$"
_IMAGES = (
    r"^(([a-z0-9-]+\.)+[a-z0-9-]+(:[0-9]+)?|[a-z0-9-]+:[0-9]+)(/[a-z0-9]+([._-]+[a-z0-9]+)*)+$"
)
_SERVER = r"^([A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*|\[[0-9a-fA-F:.]+\])(:[1-9][0-9]*)?$"
_IMAGE = "^[a-z0-9]([A-Za-z0-9._:/@-]*[A-Za-z0-9])?$"
_INDEX = r"^https?://[A-Za-z0-9.:\[\]-]+(/[A-Za-z0-9._~%+/-]*)?$"
_DURATION = "^[1-9][0-9]*[smh]$"
_MEMORY = "^[1-9][0-9]*[mg]$"
_PERCENTAGE = "^(100|[1-9][0-9]?)%$"

# What to say after the key of a text that does not match.
_PATTERNS = {
    _NAME: "must be lower-case letters, digits and inner hyphens, at most 40, not {given}",
    _APP_NAME: "must be a lower-case letter, then such letters, digits and inner hyphens, at most "
    "32, not {given}",
    _LABEL: "must be a text without commas and without spaces around it, not {given}",
    _VARIABLE: "must be a name of letters, digits and underscores, not {given}",
    _IMAGES: "must be registry/namespace in lower case, without https:// and tag, not {given}",
    _SERVER: "must be a host name or address, without https:// and without path, not {given}",
    _IMAGE: "must be the name of an image, not {given}",
    # A password would stay in the image's history.
    _INDEX: "must be an address such as https://host/simple, without user and password",
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
    start = f"paths start at the folder of {FILE}; this one leads to {path}"
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
    if seconds > _LONGEST_DURATION:  # both together hold for less than a site takes
        raise wrong(f"must be at most 72h, not {shown(value)}")
    if seconds > 0:
        return seconds
    raise wrong(f"must be a duration such as 90s, 30m or 2h, not {shown(value)}")


def _address(value: str) -> str:
    try:
        port = urlsplit(f"//{value}").port
    except ValueError as error:
        raise wrong(f"must be a host name or address: {error}") from None
    return value if port else f"{value}:443"


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


def _distinct(names: list[str], inside: Sequence[str] = ()) -> list[str]:
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
Images = Annotated[str, Field(pattern=_IMAGES)]
Image = Annotated[str, Field(pattern=_IMAGE)]
Index = Annotated[str, Field(pattern=_INDEX)]
Server = Annotated[str, Field(pattern=_SERVER), After(_address)]
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
Parameter = Annotated[bool | int | float | str, BeforeValidator(_scalar)]
PipRequirement = Annotated[
    str | None, PlainValidator(_requirement, json_schema_input_type=str | None)
]


class _Part(BaseModel):
    # strict: neither "yes" for true nor "3" for 3. The docstring below a field describes it.
    model_config = ConfigDict(
        strict=True,
        frozen=True,
        extra="forbid",
        use_attribute_docstrings=True,
    )


class Site(_Part):
    """A hospital that takes part."""

    name: Name
    """Short name of the site, such as north, in logs, file names and the report."""
    data: Folder | None = None
    """Data folder, relative to this file, for a run on one machine."""
    accelerator: Literal["cpu", "cuda"] = "cpu"
    """What the site computes with; cuda needs an NVIDIA GPU."""
    min_cell_count: Annotated[int, Field(ge=0)] = 5
    """Score histograms with a count below this number do not leave the site."""
    baselines: bool = True
    """Whether models trained at one site alone may be tested on this site's test set."""
    transport: Literal["files", "messages"] = "files"
    """How weights travel; a stock SuperNode has them in messages, whatever is said here."""

    @field_validator("name")
    @classmethod
    def _not_reserved(cls, name: str) -> str:
        # The server's compose file, and the name of the common model in a run's journal.
        if name in ("server", "federation"):
            raise wrong(f"must not be {name}, which has a meaning of its own")
        return name


class Deadlines(_Part):
    """How long the server waits before it goes on without a site."""

    join: Duration = 300
    """For sites to join before the first round: seconds, or a text such as 90s, 30m, 2h."""
    round: Duration = 3600
    """For the sites' answers in each round: seconds, or a text such as 90s, 30m, 2h."""


class Build(_Part):
    """What images are made from; set it where mirrors stand between you and the Internet."""

    base: Image = "python:3.11-slim-bookworm"
    """The image that all others start from: a Debian with Python and pip."""
    index: Index | None = None
    """Package index that takes the place of PyPI; for one with a login see --pip-config."""
    extra_index: Index | None = None
    """Package index that is asked as well."""
    torch_index: Index | None = "https://download.pytorch.org/whl/cpu"
    """Package index of PyTorch without CUDA; empty if the ordinary index has it."""


class Limits(_Part):
    """Memory that containers may take, such as 8g; what is absent follows from the model's size."""

    link: Memory | None = None
    """Of a site's link, which a site can change in its .env."""
    worker: Memory | None = None
    """Of a site's worker, which a site can change in its .env; raise it for data kept in memory."""
    server: Memory | None = None
    """Of the server's part that makes the rounds."""
    superlink: Memory | None = None
    """Of the server's part that messages pass through."""


class Publish(_Part):
    """What the workflow "rounds" may show to all who can read the repository."""

    model: bool = False
    """Whether the final model is attached to the run."""
    sites: bool = False
    """Whether figures of single sites are shown beside those of all together."""


class Federation(_Part):
    """One federation: a notebook, the sites that train it, and how."""

    notebook: Notebook
    """The notebook to convert, relative to this file, such as ../../notebooks/template.ipynb."""
    sites: list[Site] = Field(min_length=1)
    """The sites that take part: a list of entries such as "- name: north"."""
    images: Images | None = None
    """Registry namespace that images are pushed to, such as docker.io/acme; needed to build."""
    server: Server | None = None
    """Host of the server as the sites reach it, such as fl.example.org; :443 if without port."""
    rounds: Repetitions | None = None
    """Training rounds; if absent, the notebook's config["num_rounds"], else 3."""
    local_epochs: Repetitions = 1
    """Epochs that each site trains in a round."""
    seed: Annotated[int, Field(ge=0, le=2**32 - 1)] = 0
    """Seed of the initial weights and of each site's training."""
    min_sites: int | str = "100%"
    """Sites that a round needs: a number, or a percentage such as 80%, rounded up."""
    deadlines: Deadlines = Deadlines()
    """How long the server waits before it goes on without a site."""
    baselines: bool = False
    """Also train each site alone, and test every model at every site that allows it."""
    encoding: Literal["float32", "float16", "bfloat16", "int8"] = "float32"
    """How weights travel in training: exactly, or rounded in half of the bytes, with int8 3/8."""
    initial_weights: File | None = None
    """Weights to start from, relative to this file; if absent, those of the notebook's Model()."""
    select: Literal["last", "best"] = "last"
    """Which round's model is the final one; best has the lowest validation loss."""
    labels: Annotated[list[Label], Field(min_length=2), After(_distinct)] = ["negative", "positive"]
    """Names of the classes, in the order of their numbers in the data, from 0."""
    positive: Label | None = Field(None, validate_default=True)
    """The class that sensitivity refers to (two classes only); if absent, the last one."""
    metrics: Annotated[list[Variable], After(_distinct)] = []
    """Names of further numbers that the notebook's test returns and that may leave a site."""
    parameters: dict[Variable, Parameter] = {}
    """Values that replace those of the notebook's cell tagged parameters."""
    requirements: dict[Annotated[str, Field(min_length=1)], PipRequirement] = {}
    """What pip installs for an import, such as "monai: monai==1.4.0"; nothing, if it is empty."""
    build: Build = Build()
    """What images are made from; set it where mirrors stand between you and the Internet."""
    limits: Limits = Limits()
    """Memory that containers may take; what is absent follows from the model's size."""
    publish: Publish = Publish()
    """What the workflow "rounds" may show to all who can read the repository."""

    _folder: Path = PrivateAttr(default=Path())

    def model_post_init(self, context: Path | None, /) -> None:
        """Keep the folder of the file, which is the context of the validation."""
        self._folder = context or Path()

    @field_validator("sites")
    @classmethod
    def _sites_differ(cls, sites: list[Site]) -> list[Site]:
        _distinct([site.name for site in sites], inside=["name"])
        return sites

    @field_validator(
        "min_sites",
        mode="plain",
        json_schema_input_type=Positive | Annotated[str, Field(pattern=_PERCENTAGE)],
    )
    @classmethod
    def _quorum_can_be_met(cls, value: object, info: ValidationInfo) -> int | str:
        sites = info.data.get("sites")
        if type(value) is int and sites and value > len(sites):
            raise wrong(f"must be at most {len(sites)}, the number of sites, not {value}")
        if type(value) is int and value > 0:
            return value
        if isinstance(value, str) and re.fullmatch(_PERCENTAGE, value):
            return value
        what = "a whole number from 1, or a percentage up to 100%"
        raise wrong(f"must be {what}, not {shown(value)}")

    @field_validator("positive")
    @classmethod
    def _positive_is_a_label(cls, positive: str | None, info: ValidationInfo) -> str | None:
        labels = info.data.get("labels", ())
        if positive is None:
            return labels[-1] if len(labels) == 2 else None
        if labels and positive not in labels:
            raise wrong(f"must be one of the labels ({', '.join(labels)}), not {shown(positive)}")
        if len(labels) > 2:
            raise wrong("must be absent if there are more than two labels", "remove this line")
        return positive

    @property
    def folder(self) -> Path:
        """The folder of the federation file."""
        return self._folder

    @property
    def name(self) -> str:
        """The federation's name, which is that of its folder."""
        return self.folder.name

    @property
    def root(self) -> Path:
        """The repository, which ``build`` and ``results`` lie in."""
        return self.folder.parent.parent if self.folder.parent.name == "compose" else self.folder

    def where(self, *keys: str) -> Where:
        """Return the place of a key in the federation file."""
        return Where(FILE, line=yaml_file.line(self.folder / FILE, keys))

    @property
    def quorum(self) -> int:
        """The number of sites that a round needs."""
        if isinstance(self.min_sites, int):
            return self.min_sites
        return -(-len(self.sites) * int(self.min_sites.rstrip("%")) // 100)


def read(path: Path) -> Federation:
    """Read a federation file, given as the file or as its folder.

    Raises:
        FederationFileError: with everything that is wrong, in the order of the lines.
    """
    folder = path.resolve()
    folder = folder.parent if folder.name == FILE else folder
    try:
        federation, problems = yaml_file.load(folder / FILE, Federation, _PATTERNS)
    except OSError as error:
        others = [file.parent.name for file in folder.parent.glob(f"*/{FILE}")]
        hint = did_you_mean(folder.name, others) or _nearby(folder)
        message = f"cannot read {folder / FILE}: {error.strerror}"
        raise FederationFileError(Problem(message, hint=hint)) from None
    if phrase := misnamed(folder.name):
        message = f"the name of its folder {phrase}"
        problems.insert(0, Problem(message, Where(FILE), "rename the folder"))
    if federation is None or problems:
        raise FederationFileError(*problems)
    return federation


def _nearby(folder: Path) -> str:
    """Return which federations there are around a wrong place, and how to name one."""
    try:
        here = folder if folder.is_dir() else folder.parent
    except OSError:  # such as a name that is too long
        here = folder.parent
    roots = [here, *here.parents[:3]]
    found = next((all_ for root in roots if (all_ := sorted(root.glob(f"compose/*/{FILE}")))), [])
    if not found:
        return f"give a folder in which there is a {FILE}, such as compose/NAME"
    names = ", ".join(str(file.parent) for file in found[:5])
    return f"give the folder of a federation: {names}"


def misnamed(name: str) -> str | None:
    """Return what is wrong with the name of a federation, as in "must be …"."""
    good = re.fullmatch(_APP_NAME, name)
    return None if good else _PATTERNS[_APP_NAME].format(given=shown(name))


def schema() -> str:
    """Return the JSON Schema of the federation file (draft 7, which every editor knows)."""
    draft = {"$schema": "http://json-schema.org/draft-07/schema#"}
    whole = draft | Federation.model_json_schema()
    return json.dumps(whole, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    print(schema(), end="")
