"""The settings of server and link that follow from the federation file.

The run on one machine and the compose files of the hospitals both take them from here.
"""

from pathlib import Path
from typing import TypedDict

from federator.federation.parts import Site
from federator.federation.schema import Federation
from federator.runtime.app_config import app_config
from federator.runtime.notify.settings import Mail, NotifySettings
from federator.runtime.protocol.instructions import PERSONAL
from federator.runtime.protocol.signing.orders import Terms
from federator.runtime.weights.encoding import MASKED


class ServerPart(TypedDict):
    """What the federation file says of the server; runtime/server/settings.py explains each."""

    federation: str
    sites: tuple[str, ...]
    quorum: int
    join_deadline: float
    round_deadline: float
    pause: float
    measured: float | None
    baselines: bool
    survey: str
    encoding: str
    norm_bound: float | None
    max_share: float | None
    site_privacy: dict[str, float] | None
    strategy: str
    messages: list[str]
    publish_model: bool
    publish_sites: bool
    checkpoints_kept: int | None
    results_kept: int | None
    notify: str


_SURVEY: dict[bool | str, str] = {True: "yes", False: "no", "required": "required"}


def server(federation: Federation) -> ServerPart:
    """Return the fields of ServerSettings that follow from the federation file."""
    return {
        "federation": federation.name,
        "sites": tuple(site.name for site in federation.sites),
        "quorum": federation.quorum,
        "join_deadline": federation.deadlines.join,
        "round_deadline": federation.deadlines.round,
        "pause": federation.deadlines.pause,
        "measured": federation.deadlines.measured,
        "baselines": federation.baselines,
        "survey": _SURVEY[False if federation.privacy else federation.survey],
        "encoding": MASKED if federation.secure_aggregation else federation.encoding,
        "norm_bound": federation.robust.norm_bound,
        "max_share": federation.robust.max_share,
        "site_privacy": private.model_dump() if (private := federation.site_privacy) else None,
        "strategy": federation.strategy,
        "messages": [site.name for site in federation.sites if site.transport == "messages"],
        "publish_model": federation.publish.model,
        "publish_sites": federation.publish.sites,
        "checkpoints_kept": federation.kept_for.checkpoints,
        "results_kept": federation.kept_for.results,
        "notify": told.write() if (told := notify(federation)) else "",
    }


def notify(federation: Federation) -> NotifySettings | None:
    """Return whom the server tells what happens; None if nobody is told."""
    if (wanted := federation.notify) is None:
        return None
    mail = None
    if (told := wanted.mail) is not None:
        mail = Mail(told.server, told.sender, tuple(told.to), told.user or "")
    return NotifySettings(wanted.webhook, mail, tuple(wanted.events))


def terms(federation: Federation, app: Path) -> Terms:
    """Return what orders of a federation's rounds keep to.

    Args:
        federation: the federation file.
        app: the folder of the Flower App.
    """
    config, told = app_config(app), server(federation)
    return Terms(
        federation=told["federation"],
        sites=told["sites"],
        rounds=int(config["rounds"]),
        epochs=int(config["local-epochs"]),
        seed=int(config["seed"]),
        encoding=told["encoding"],
        survey=told["survey"],
        baselines=told["baselines"],
        personal=bool(config.get(PERSONAL)),
        train_loss="QFedAvg" in (app / "aggregation.py").read_text(),
        join_deadline=told["join_deadline"],
        round_deadline=told["round_deadline"],
    )


def link(federation: Federation, site: Site) -> dict[str, str]:
    """Return a link's settings that follow from the federation file, as environment variables."""
    return {
        "FEDERATOR_SITE": site.name,
        "FEDERATOR_TASK": federation.task,
        "FEDERATOR_LABELS": str(federation.evaluation.task.size),
        "FEDERATOR_METRICS": " ".join(federation.metrics),
        "FEDERATOR_LOCAL": " ".join(federation.local),
        "FEDERATOR_MIN_CELL_COUNT": str(site.min_cell_count),
        "FEDERATOR_PRIVACY": federation.privacy.settings.write() if federation.privacy else "",
        "FEDERATOR_STRATEGY": federation.strategy,
        "FEDERATOR_BASELINES": str(site.baselines).lower(),
        "FEDERATOR_SURVEY": str(site.survey).lower(),
        "FEDERATOR_COHORT_MINIMUM": str(federation.quorum) if federation.secure_aggregation else "",
    }


def in_site_file(federation: Federation, site: Site) -> dict[str, str]:
    """Return a link's settings as a site's file has them: some of them a site may set itself."""
    values = link(federation, site)
    for name in ("MIN_CELL_COUNT", "BASELINES", "SURVEY"):  # in its .env
        values[f"FEDERATOR_{name}"] = f"${{{name}:-{values[f'FEDERATOR_{name}']}}}"
    return values
