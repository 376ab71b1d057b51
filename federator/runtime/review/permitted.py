"""What may stand in a site's file: every key and every value. Anything else is refused.

The list is complete: a site's file has these keys and no others, so nothing has to be known of the
many ways in which a container can be given more. A test compares it with every kind of file that
``federator compose`` writes: all of it is permitted here, and all that is here is written there.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from federator.runtime.review.forms import (
    ADDRESS,
    AGAIN,
    ANY_TEXT,
    COHORT,
    DURATION,
    HASH,
    IMAGE,
    NAME,
    NUMBER,
    PRIVACY,
    SCRATCH,
    SIZE,
    TEXT,
    YES_NO,
    Form,
    setting,
)
from federator.runtime.review.worker_build import DOCKERFILE

Permitted: TypeAlias = "str | Form | Sequence[Entry] | Keys"
"""What a value may be: a text to the letter, of a form, a list in this order, or values by keys."""

Entry: TypeAlias = "Permitted | Optional"
Keys: TypeAlias = "Mapping[str, Entry]"
Same: TypeAlias = tuple[tuple[tuple[str, ...], tuple[str, ...]], ...]


@dataclass(frozen=True)
class Optional:
    """A key, or an item of a list, that may be absent."""

    permitted: Permitted


SERVICES = ("link", "worker", "join", "check", "review")
"""The services of a site's file."""

LOGGING: Keys = {"driver": "json-file", "options": {"max-size": SIZE, "max-file": NUMBER}}
_HANDOVER = "handover:/handover"


def bind(source: str, target: str) -> Keys:
    """Return a file or folder of the machine, which can be read and not written."""
    place: Keys = {"type": "bind", "source": source, "target": target}
    return {**place, "read_only": "true", "bind": {"create_host_path": "false"}}


def health(*command: str) -> Keys:
    """Return a health check by one command, of whatever times."""
    return {"test": ["CMD", *command], "interval": DURATION, "start_period": DURATION}


CONFINED: Keys = {
    "read_only": "true",
    "cap_drop": ["ALL"],
}

_EXTRA_CA = bind("${EXTRA_CA:-/dev/null}", "/run/federator/extra-ca.crt")
_POLICY = bind("${POLICY:-/dev/null}", "/run/federator/policy.yaml")
_DATA = bind("${DATA_DIR:?name the folder of this site's data in .env}", "/data")

_LINK: Keys = {
    "image": IMAGE,
    "command": ["link"],
    "environment": {
        "FEDERATOR_SITE": NAME,
        "FEDERATOR_SERVER": ADDRESS,
        "FEDERATOR_APP_HASH": HASH,
        "FEDERATOR_COORDINATOR_KEY": TEXT,
        "FEDERATOR_TASK": NAME,
        "FEDERATOR_LABELS": NUMBER,
        "FEDERATOR_METRICS": ANY_TEXT,
        "FEDERATOR_LOCAL": ANY_TEXT,
        "FEDERATOR_MIN_CELL_COUNT": setting("MIN_CELL_COUNT", NUMBER),
        "FEDERATOR_BASELINES": setting("BASELINES", YES_NO),
        "FEDERATOR_SURVEY": setting("SURVEY", YES_NO),
        "FEDERATOR_PRIVACY": PRIVACY,
        "FEDERATOR_STRATEGY": Optional(Form("plain|own", "plain or own")),
        "FEDERATOR_COHORT_MINIMUM": Form(r"\d{0,4}", "a number, or nothing"),
        "FEDERATOR_COHORT": COHORT,
        "FEDERATOR_POLICY": Optional("/run/federator/policy.yaml"),
        "FEDERATOR_RECORDS": Optional("/records"),
        "FEDERATOR_KEY": "/keys/site.key",
        "FEDERATOR_SOCKET": "/handover/socket",
        "FEDERATOR_EXTRA_CA": "/run/federator/extra-ca.crt",
        "FEDERATOR_DATA_USER": "${DATA_USER:-}",
        "HTTPS_PROXY": "${HTTPS_PROXY:-}",
        "FEDERATOR_CA": ANY_TEXT,
    },
    "volumes": [
        "keys:/keys",
        _HANDOVER,
        Optional("records:/records"),
        _EXTRA_CA,
        Optional(_POLICY),
    ],
    "user": "10001:10001",
    **CONFINED,
    "tmpfs": [SCRATCH],
    "security_opt": ["no-new-privileges:true", "label=level:s0"],
    "mem_limit": setting("LINK_MEMORY", SIZE),
    "cpus": setting("LINK_CPUS", NUMBER),
    "pids_limit": NUMBER,
    "healthcheck": health("test", "-S", "/handover/socket"),
    "restart": AGAIN,
    "logging": LOGGING,
}

_GPU: Keys = {
    "driver": "nvidia",
    "count": Form(r"\$\{GPUS:-(all|\d+)\}", "${GPUS:-all}"),
    "capabilities": ["gpu"],
}

_WORKER: Keys = {
    "image": IMAGE,
    "command": ["worker"],
    "environment": {
        "FEDERATOR_SITE": NAME,
        "FEDERATOR_APP_HASH": HASH,
        "FEDERATOR_APP": "/app",
        "FEDERATOR_DATA": "/data",
        "FEDERATOR_PERSONAL": Optional("/personal"),
        "FEDERATOR_SOCKET": "/handover/socket",
        "FEDERATOR_MIN_CELL_COUNT": setting("MIN_CELL_COUNT", NUMBER),
        "FEDERATOR_SURVEY": setting("SURVEY", YES_NO),
        "FEDERATOR_POLICY": "/run/federator/policy.yaml",
    },
    "network_mode": "none",
    "volumes": [
        Optional("personal:/personal"),
        _HANDOVER,
        _POLICY,
        _DATA,
    ],
    "user": "${DATA_USER:-10001:10001}",
    "group_add": ["10001"],
    **CONFINED,
    "tmpfs": [
        Form(
            r"/tmp:size=\$\{WORKER_SCRATCH:-\d+[kmg]\},mode=1777",
            "/tmp:size=${WORKER_SCRATCH:-…},mode=1777",
        )
    ],
    "security_opt": ["no-new-privileges:true", "label=${SELINUX_LABEL:-level:s0}"],
    "mem_limit": setting("WORKER_MEMORY", SIZE),
    "shm_size": setting("WORKER_SHM", SIZE),
    "cpus": setting("WORKER_CPUS", NUMBER),
    "pids_limit": NUMBER,
    "healthcheck": health("test", "-r", "/data", "-a", "-S", "/handover/socket"),
    "deploy": Optional({"resources": {"reservations": {"devices": [_GPU]}}}),
    "restart": AGAIN,
    "logging": LOGGING,
}


def _as_in(service: Keys, *names: str) -> Keys:
    return {name: service[name] for name in names}


_JOIN: Keys = {
    "image": IMAGE,
    "profiles": ["join"],
    "entrypoint": ["python", "-m", "federator.runtime", "join"],
    "depends_on": ["check"],
    "volumes": [
        "keys:/keys",
        _HANDOVER,
        "records:/records",
        _EXTRA_CA,
        _POLICY,
        bind("./compose.yaml", "/run/federator/compose.yaml"),
    ],
    **_as_in(_LINK, "environment", "user", *CONFINED, "tmpfs", "security_opt"),
    **_as_in(_LINK, "mem_limit", "cpus", "pids_limit", "logging"),
    "healthcheck": {"disable": "true"},
}
"""What the link has, and the site's file."""

_CHECK: Keys = {
    "image": IMAGE,
    "profiles": ["join"],
    "command": ["check"],
    "network_mode": "none",
    "volumes": [f"{_HANDOVER}:ro", _POLICY, _DATA],
    **_as_in(_WORKER, "environment", "user", "group_add", *CONFINED, "tmpfs", "security_opt"),
    **_as_in(_WORKER, "mem_limit", "shm_size", "cpus", "pids_limit", "deploy", "logging"),
    "healthcheck": {"disable": "true"},
}
"""What the worker has, but no folder to write to, neither the link's nor one of its own."""

_REVIEW: Keys = {
    "image": IMAGE,
    "profiles": ["review"],
    "entrypoint": ["python", "-m", "federator.runtime", "review"],
    "network_mode": "none",
    "volumes": [".:/site:ro"],
    "working_dir": "/site",
    "user": "10001:10001",
    **CONFINED,
    "tmpfs": [SCRATCH],
    "security_opt": ["no-new-privileges:true"],
    "healthcheck": {"disable": "true"},
}

_SERVED: Keys = dict(zip(SERVICES, (_LINK, _WORKER, _JOIN, _CHECK, _REVIEW), strict=True))
FILE: Keys = {
    "name": NAME,
    "services": _SERVED,
    "volumes": {
        "keys": "",
        "personal": Optional(""),
        "handover": "",
        "records": Optional(""),
    },
}
"""All of a site's file but the app: texts that are meant to the letter, forms, lists, keys."""

_BUILT: Keys = {
    "image": NAME,  # of no registry
    "pull_policy": "build",
    "build": {"context": ".", "dockerfile_inline": DOCKERFILE},
}
BUILT_HERE: Keys = {
    **FILE,
    "services": {**_SERVED, "worker": {**_WORKER, **_BUILT}, "check": {**_CHECK, **_BUILT}},
}
"""The same of a site that builds its worker itself."""

SAME: Same = (
    *((("services", "link", "image"), ("services", one, "image")) for one in ("join", "review")),
    (("services", "link", "environment"), ("services", "join", "environment")),
    *(
        (("services", "worker", name), ("services", "check", name))
        for name in ("image", "build", "environment")
    ),
    *(
        (("services", "link", "environment", name), ("services", "worker", "environment", name))
        for name in ("FEDERATOR_SITE", "FEDERATOR_APP_HASH")
    ),
)
"""The values that must be the same, each by the keys that lead to it."""
