"""The federation file, ``compose/<name>/federation.yaml``: read it, check it, report what is wrong.

One definition has three readers. The library works with the pydantic models below; an editor
completes and checks with the JSON Schema derived from them
(``python -m federator.federation.schema`` prints it; its committed copy is
``compose/federation.schema.json``); an error message shows their descriptions.
"""

import json
import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator as After
from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, ValidationInfo, field_validator

from federator.errors import FederationFileError, Problem, Where
from federator.federation import yaml_file
from federator.federation.fields import (
    APP_NAME,
    MESSAGES,
    PERCENTAGE,
    Duration,
    File,
    Folder,
    ImageName,
    Index,
    Label,
    Memory,
    Name,
    Namespace,
    Notebook,
    Parameter,
    PipRequirement,
    Positive,
    Repetitions,
    Server,
    TensorPattern,
    Variable,
    distinct,
)
from federator.federation.yaml_file import did_you_mean, shown, wrong

FILE = "federation.yaml"
FOLDER = "compose"  # of a repository: each folder in it with a FILE is a federation


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

    base: ImageName = "python:3.11-slim-bookworm"
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
    images: Namespace | None = None
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
    local: Annotated[list[TensorPattern], After(distinct)] = []
    """Names of tensors that stay at each site, such as "*.bn*" or "head.*"; * is any text."""
    select: Literal["last", "best"] = "last"
    """Which round's model is the final one; best has the lowest validation loss."""
    labels: Annotated[list[Label], Field(min_length=2), After(distinct)] = ["negative", "positive"]
    """Names of the classes, in the order of their numbers in the data, from 0."""
    positive: Label | None = Field(None, validate_default=True)
    """The class that sensitivity refers to (two classes only); if absent, the last one."""
    metrics: Annotated[list[Variable], After(distinct)] = []
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
        distinct([site.name for site in sites], inside=["name"])
        return sites

    @field_validator(
        "min_sites",
        mode="plain",
        json_schema_input_type=Positive | Annotated[str, Field(pattern=PERCENTAGE)],
    )
    @classmethod
    def _quorum_can_be_met(cls, value: object, info: ValidationInfo) -> int | str:
        sites = info.data.get("sites")
        if type(value) is int and sites and value > len(sites):
            raise wrong(f"must be at most {len(sites)}, the number of sites, not {value}")
        if type(value) is int and value > 0:
            return value
        if isinstance(value, str) and re.fullmatch(PERCENTAGE, value):
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
        return self.folder.parent.parent if self.folder.parent.name == FOLDER else self.folder

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
        federation, problems = yaml_file.load(folder / FILE, Federation, MESSAGES)
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
    found = next((all_ for root in roots if (all_ := sorted(root.glob(f"{FOLDER}/*/{FILE}")))), [])
    if not found:
        return f"give a folder in which there is a {FILE}, such as {FOLDER}/NAME"
    names = ", ".join(str(file.parent) for file in found[:5])
    return f"give the folder of a federation: {names}"


def misnamed(name: str) -> str | None:
    """Return what is wrong with the name of a federation, as in "must be …"."""
    good = re.fullmatch(APP_NAME, name)
    return None if good else MESSAGES[APP_NAME].format(given=shown(name))


def schema() -> str:
    """Return the JSON Schema of the federation file (draft 7, which every editor knows)."""
    draft = {"$schema": "http://json-schema.org/draft-07/schema#"}
    whole = draft | Federation.model_json_schema()
    return json.dumps(whole, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    print(schema(), end="")
