"""The parts of the federation file: a site, deadlines, what images are made from, limits."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from federator.federation.fields import (
    Days,
    Duration,
    Folder,
    ImageName,
    Index,
    MailAddress,
    MailServer,
    Memory,
    Name,
    Pause,
)
from federator.federation.yaml_file import wrong


class Part(BaseModel):
    """A part of the federation file."""

    # strict: neither "yes" for true nor "3" for 3. The docstring below a field describes it.
    model_config = ConfigDict(
        strict=True,
        frozen=True,
        extra="forbid",
        use_attribute_docstrings=True,
    )


class Site(Part):
    """A hospital that takes part."""

    name: Name
    """Short name of the site, such as north, in logs, file names and the report."""
    data: Folder | None = None
    """Data folder, relative to this file, for a run on one machine."""
    accelerator: Literal["cpu", "cuda"] = "cpu"
    """What the site computes with; cuda needs an NVIDIA GPU."""
    min_cell_count: Annotated[int, Field(ge=0)] = 5
    """No count from 1 up to below this number leaves: bins are joined, or counts are rounded."""
    baselines: bool = True
    """Whether models trained at one site alone may be tested on this site's test set."""
    survey: bool = True
    """Whether the site tells of its data before training: counts and rounded figures."""
    transport: Literal["files", "messages"] = "files"
    """How weights travel; a stock SuperNode has them in messages, whatever is said here."""

    @field_validator("name")
    @classmethod
    def _not_reserved(cls, name: str) -> str:
        # The server's compose file, and names of models in a run's journal.
        if name in ("server", "federation", "personal"):
            raise wrong(f"must not be {name}, which has a meaning of its own")
        return name


class Deadlines(Part):
    """How long the server waits before it goes on without a site."""

    join: Duration = 300
    """For sites to join before the first round: seconds, or a text such as 90s, 30m, 2h."""
    round: Duration = 3600
    """For the sites' answers in each round: seconds, or a text such as 90s, 30m, 2h."""
    pause: Pause = 12 * 3600
    """For sites to come back where fewer than `min_sites` are there, such as 12h; 0: not at all."""
    measured: Annotated[float, Field(ge=1.5, le=100)] | None = None
    """After two rounds: how many times as long as the slowest site took so far, at most `round`."""


class Build(Part):
    """What images are made from; set it where mirrors stand between you and the Internet."""

    base: ImageName = "python:3.11-slim-bookworm"
    """The image that all others start from: a Debian with Python and pip."""
    index: Index | None = None
    """Package index that takes the place of PyPI; for one with a login see --pip-config."""
    extra_index: Index | None = None
    """Package index that is asked as well."""
    torch_index: Index | None = "https://download.pytorch.org/whl/cpu"
    """Package index of PyTorch without CUDA; empty if the ordinary index has it."""


class Limits(Part):
    """Memory that containers may take, such as 8g; what is absent follows from the model's size."""

    link: Memory | None = None
    """Of a site's link, which a site can change in its .env."""
    worker: Memory | None = None
    """Of a site's worker, which a site can change in its .env; raise it for data kept in memory."""
    server: Memory | None = None
    """Of the server's part that makes the rounds."""
    superlink: Memory | None = None
    """Of the server's part that messages pass through."""


class KeptFor(Part):
    """For how long the server keeps what a run left; what is absent is kept for good."""

    checkpoints: Days | None = None
    """Models of single rounds, after the run's end: days, such as 30d."""
    results: Days | None = None
    """The whole run, with its journal and its model: days, such as 365d."""


class Publish(Part):
    """What the workflow "rounds" may show to all who can read the repository."""

    model: bool = False
    """Whether the final model is attached to the run."""
    sites: bool = False
    """Whether figures of single sites are shown beside those of all together."""


class Mail(Part):
    """Where e-mail about runs goes, and by which mail server."""

    server: MailServer
    """Mail server that offers TLS, such as smtp.example.org; :587 if without port."""
    sender: MailAddress
    """Address that it is from."""
    to: Annotated[list[MailAddress], Field(min_length=1, max_length=20)]
    """Addresses that it is for."""
    user: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    """Who logs in there; the password is in a file that .env names: MAIL_PASSWORD."""


class Sinks(Part):
    """Whom the server tells what happens: sites that drop out, a run's end."""

    webhook: bool = False
    """Whether a webhook is told; its address is in a file that .env names: WEBHOOK."""
    mail: Mail | None = None
    """E-mail; if absent, none is sent."""
    events: Annotated[list[Literal["site", "quorum", "end", "expiry"]], Field(min_length=1)] = [
        "site", "quorum", "end", "expiry",
    ]  # fmt: skip
    """What is told: sites that leave or return, too few sites, ends, keys that end soon."""

    @model_validator(mode="after")
    def _somebody(self) -> "Sinks":
        if not self.webhook and self.mail is None:
            raise wrong("must have webhook: true, or mail")
        return self
