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
from pydantic import Field, PrivateAttr, ValidationInfo, field_validator

from federator.errors import FederationFileError, Problem, Where
from federator.federation import evaluation, yaml_file
from federator.federation.evaluation import Horizon, Metrics, Span
from federator.federation.fields import (
    APP_NAME,
    MESSAGES,
    PERCENTAGE,
    Distance,
    File,
    Label,
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
from federator.federation.nearby import nearby
from federator.federation.parts import Build, Deadlines, KeptFor, Limits, Part, Publish, Sinks, Site
from federator.federation.privacy import Privacy
from federator.federation.robust import Robust
from federator.federation.site_privacy import SitePrivacy
from federator.federation.sums import excluded, quorum_of
from federator.federation.yaml_file import did_you_mean, shown, wrong
from federator.runtime.protocol.evaluation.settings import EvaluationSettings, Surfaces
from federator.runtime.protocol.evaluation.tasks import Task, TaskName

FILE = "federation.yaml"
FOLDER = "compose"  # of a repository: each folder in it with a FILE is a federation


class Federation(Part):
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
    local_steps: Repetitions | None = None
    """Batches that each site trains on in a round, as many at all sites, in place of an epoch."""
    seed: Annotated[int, Field(ge=0, le=2**32 - 1)] = 0
    """Seed of the initial weights and of each site's training."""
    min_sites: int | str = "100%"
    """Sites that a round needs: a number, or a percentage such as 80%, rounded up."""
    deadlines: Deadlines = Deadlines()
    """How long the server waits before it goes on without a site."""
    baselines: bool = False
    """Also train each site alone, and test every model at every site that allows it."""
    survey: bool | Literal["required"] = True
    """Compare the sites' data before the first round; required stops on what is found."""
    encoding: Literal["float32", "float16", "bfloat16", "int8"] = "float32"
    """How weights travel in training: exactly, or rounded in half of the bytes, with int8 3/8."""
    strategy: Literal["plain", "own"] = "plain"
    """How updates are combined: plain, by one of Flower's strategies; own, by the author's code."""
    robust: Robust = Robust()
    """What bounds the influence of a single site on the model; nothing, if it is absent."""
    site_privacy: SitePrivacy | None = None
    """Whether the models hide that a whole site took part, by clipping and noise at the server."""
    secure_aggregation: bool = False
    """Mask the sites' updates, so that the server learns their sum only; from 3 sites on."""
    initial_weights: File | None = None
    """Weights to start from, relative to this file; if absent, those of the notebook's Model()."""
    local: Annotated[list[TensorPattern], After(distinct)] = Field([])
    """Names of tensors that stay at each site, such as "*.bn*" or "head.*"; * is any text."""
    personal: Literal["ditto"] | None = None
    """Whether each site also trains a model for itself; ditto keeps it near the common one."""
    proximal_mu: Annotated[float, Field(gt=0, le=1000)] = 0.1
    """How near ditto keeps a site's own model: the weight of its proximal term."""
    select: Literal["last", "best"] = "last"
    """Which round's model is the final one; best has the lowest validation loss."""
    task: TaskName = "classification"
    """What the model predicts; other: what the notebook's test returns is all there is."""
    labels: Annotated[list[Label], Field(min_length=1), After(distinct)] | None = Field(
        None, validate_default=True
    )
    """Names of the classes by their number from 0 (a segmentation's background first)."""
    positive: Label | None = Field(None, validate_default=True)
    """The class that sensitivity refers to (two classes only); if absent, the last one."""
    targets: dict[Label, Span] | None = Field(None, validate_default=True)
    """A regression's targets, with the range of plausible values, such as "age: [0, 100]"."""
    horizon: Horizon | None = Field(None, validate_default=True)
    """The last time that a survival analysis looks at, in the data's unit."""
    surfaces: Distance | None = None
    """The largest HD95 of a segmentation that is told, such as "50 mm"; if absent, no HD95."""
    metrics: Metrics = Field({})
    """Further numbers that test returns and that may leave a site: names, or "dice: mean"."""
    privacy: Privacy | None = None
    """Differential privacy of training; if absent, there is none."""
    parameters: dict[Variable, Parameter] = Field({})
    """Values that replace those of the notebook's cell tagged parameters."""
    requirements: dict[Annotated[str, Field(min_length=1)], PipRequirement] = Field({})
    """What pip installs for an import, such as "monai: monai==1.4.0"; nothing, if it is empty."""
    build: Build = Build()
    """What images are made from; set it where mirrors stand between you and the Internet."""
    limits: Limits = Limits()
    """Memory that containers may take; what is absent follows from the model's size."""
    kept_for: KeptFor = KeptFor()
    """For how long the server keeps what a run left; what is absent is kept for good."""
    publish: Publish = Publish()
    """What the workflow "rounds" may show to all who can read the repository."""
    notify: Sinks | None = None
    """Whom the server tells what happens, by a webhook or e-mail; if absent, nobody."""

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

    @field_validator("robust", "site_privacy", "privacy")
    @classmethod
    def _goes_with_the_rest(
        cls, found: Robust | SitePrivacy | Privacy | None, info: ValidationInfo
    ) -> object:
        if found is not None:
            found.require_fitting(info.data)
        return found

    @field_validator("secure_aggregation")
    @classmethod
    def _sums_alone(cls, wanted: bool, info: ValidationInfo) -> bool:
        if wanted and (reason := excluded(info.data)):
            raise wrong(*reason)
        return wanted

    @field_validator("labels", "targets", "horizon", "surfaces")
    @classmethod
    def _fits_the_task(cls, value: object, info: ValidationInfo) -> object:
        return evaluation.fitting(info.data.get("task"), str(info.field_name), value)

    @field_validator("local_steps")
    @classmethod
    def _steps_or_epochs(cls, steps: int | None, info: ValidationInfo) -> int | None:
        if steps is not None and info.data.get("local_epochs", 1) != 1:
            raise wrong("must be absent where there are local_epochs", "keep one of the two lines")
        return steps

    @field_validator("personal")
    @classmethod
    def _personal_one_way(cls, personal: str | None, info: ValidationInfo) -> str | None:
        if personal and info.data.get("local"):
            raise wrong("must be absent if some tensors are local: the models are personal already")
        return personal

    @field_validator("proximal_mu")
    @classmethod
    def _proximal_of_ditto(cls, mu: float, info: ValidationInfo) -> float:
        if "personal" in info.data and info.data["personal"] is None:
            raise wrong("is for `personal: ditto` only", "FedProx has its own in the strategy")
        return mu

    @field_validator("survey", mode="plain", json_schema_input_type=bool | Literal["required"])
    @classmethod
    def _survey_is_known(cls, value: object) -> bool | str:
        if isinstance(value, bool) or value == "required":
            return value if isinstance(value, bool) else "required"
        raise wrong(f"must be true, false or required, not {shown(value)}")

    @field_validator("positive")
    @classmethod
    def _positive_is_a_label(cls, positive: str | None, info: ValidationInfo) -> str | None:
        labels: list[str] = info.data.get("labels") or []
        if positive is not None and info.data.get("task") != "classification":
            raise wrong("belongs to the task classification only", "remove this line")
        if positive is None:
            binary = len(labels) == 2 and info.data.get("task") == "classification"
            return labels[-1] if binary else None
        if labels and positive not in labels:
            raise wrong(f"must be one of the labels ({', '.join(labels)}), not {shown(positive)}")
        if len(labels) > 2:
            raise wrong("must be absent if there are more than two labels", "remove this line")
        return positive

    @property
    def evaluation(self) -> EvaluationSettings:
        """What is evaluated, as server, link and worker are told."""
        names = tuple(self.targets or self.labels or ())
        return EvaluationSettings(
            Task(self.task, max(1, len(names))),
            names,
            names.index(self.positive) if self.positive else None,
            tuple((span[0], span[1]) for span in (self.targets or {}).values()),
            self.horizon,
            self.metrics,
            Surfaces.of(self.surfaces) if self.surfaces else None,
        )

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
        """The repository, which contains ``build`` and ``results``."""
        return self.folder.parent.parent if self.folder.parent.name == FOLDER else self.folder

    def where(self, *keys: str) -> Where:
        """Return the place of a key in the federation file."""
        return Where(FILE, line=yaml_file.line(self.folder / FILE, keys))

    @property
    def quorum(self) -> int:
        """The number of sites that a round needs."""
        return quorum_of(self.min_sites, len(self.sites))


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
        hint = did_you_mean(folder.name, others) or nearby(folder, FOLDER, FILE)
        message = f"cannot read {folder / FILE}: {error.strerror}"
        raise FederationFileError(Problem(message, hint=hint)) from None
    if phrase := misnamed(folder.name):
        message = f"the name of its folder {phrase}"
        problems.insert(0, Problem(message, Where(FILE), "rename the folder"))
    if federation is None or problems:
        raise FederationFileError(*problems)
    return federation


def misnamed(name: str) -> str | None:
    """Return what is wrong with the name of a federation, as in "must be …"."""
    return None if re.fullmatch(APP_NAME, name) else MESSAGES[APP_NAME].format(given=shown(name))


def schema() -> str:
    """Return the JSON Schema of the federation file (draft 7, which every editor knows)."""
    draft = {"$schema": "http://json-schema.org/draft-07/schema#"}
    whole = draft | Federation.model_json_schema()
    return json.dumps(whole, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    print(schema(), end="")
