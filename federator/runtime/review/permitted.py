"""What may stand in a site's file: every key and every value. Anything else is refused.

The list is complete: a site's file has these keys and no others, so nothing has to be known of the
many ways in which a container can be given more. A test compares it with every kind of file that
``federator compose`` writes: all of it is permitted here, and all that is here is written there.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

Permitted: TypeAlias = "str | Form | Sequence[Entry] | Keys"
"""What a value may be: a text to the letter, of a form, a list in this order, or values by keys."""

Entry: TypeAlias = "Permitted | Optional"
Keys: TypeAlias = "Mapping[str, Entry]"


@dataclass(frozen=True)
class Optional:
    """A key, or an item of a list, that may be absent."""

    permitted: Permitted


@dataclass(frozen=True)
class Form:
    """A value that varies.

    Attributes:
        pattern: what all of it matches.
        words: the same for a person.
    """

    pattern: str
    words: str

    def matches(self, text: str) -> bool:
        """Say whether a value is of this form."""
        return bool(re.fullmatch(self.pattern, text, re.ASCII))


def _setting(name: str, default: Form) -> Form:
    """Return the form of a value that a site may set in its ``.env``."""
    return Form(rf"\$\{{{name}:-(?:{default.pattern})\}}", f"${{{name}:-{default.words}}}")


# Compose replaces what follows a dollar sign by settings of the machine: only where it is meant to.
_TEXT = Form(r"[^$]+", "a text without $")
_ANY_TEXT = Form(r"[^$]*", "a text without $, or nothing")
_NAME = Form(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?", "a name in small letters")
_IMAGE = Form(
    r"[\w.:\[\]-]+(/[\w.-]+)+@sha256:[0-9a-f]{64}", "an image by its digest: name@sha256:…"
)
_HASH = Form(r"[0-9a-f]{64}", "a SHA-256")
_ADDRESS = Form(r"[\w.:\[\]-]+:\d{1,5}", "host:port")
_NUMBER = Form(r"\d{1,6}(\.\d{1,3})?", "a number")
_SIZE = Form(r"\d{1,9}[bkmgBKMG]?", "a size such as 9g")
_DURATION = Form(r"\d{1,5}s", "seconds, such as 30s")
_YES_NO = Form(r"true|false", "true or false")
_AGAIN = Form(r"unless-stopped|always|on-failure|no", "unless-stopped, always, on-failure or no")

_LOGGING: Keys = {"driver": "json-file", "options": {"max-size": _SIZE, "max-file": _NUMBER}}
_HANDOVER = "handover:/handover"


def _bind(source: str, target: str) -> Keys:
    """Return a file or folder of the machine, which can be read and not written."""
    place: Keys = {"type": "bind", "source": source, "target": target}
    return {**place, "read_only": "true", "bind": {"create_host_path": "false"}}


def _health(*command: str) -> Keys:
    """Return a health check by one command, of whatever times."""
    return {"test": ["CMD", *command], "interval": _DURATION, "start_period": _DURATION}


_CONFINED: Keys = {
    "read_only": "true",
    "cap_drop": ["ALL"],
}

_LINK: Keys = {
    "image": _IMAGE,
    "command": ["link"],
    "environment": {
        "FEDERATOR_SITE": _NAME,
        "FEDERATOR_SERVER": _ADDRESS,
        "FEDERATOR_APP_HASH": _HASH,
        "FEDERATOR_COORDINATOR_KEY": _TEXT,
        "FEDERATOR_TASK": _NAME,
        "FEDERATOR_LABELS": _NUMBER,
        "FEDERATOR_METRICS": _ANY_TEXT,
        "FEDERATOR_LOCAL": _ANY_TEXT,
        "FEDERATOR_MIN_CELL_COUNT": _setting("MIN_CELL_COUNT", _NUMBER),
        "FEDERATOR_BASELINES": _setting("BASELINES", _YES_NO),
        "FEDERATOR_SURVEY": _setting("SURVEY", _YES_NO),
        "FEDERATOR_STRATEGY": Optional(Form("plain|own", "plain or own")),
        "FEDERATOR_POLICY": Optional("/run/federator/policy.yaml"),
        "FEDERATOR_RECORDS": Optional("/records"),
        "FEDERATOR_KEY": "/keys/site.key",
        "FEDERATOR_SOCKET": "/handover/socket",
        "FEDERATOR_EXTRA_CA": "/run/federator/extra-ca.crt",
        "FEDERATOR_DATA_USER": "${DATA_USER:-}",
        "HTTPS_PROXY": "${HTTPS_PROXY:-}",
        "FEDERATOR_CA": _ANY_TEXT,
    },
    "volumes": [
        "keys:/keys",
        _HANDOVER,
        Optional("records:/records"),
        _bind("${EXTRA_CA:-/dev/null}", "/run/federator/extra-ca.crt"),
        Optional(_bind("${POLICY:-/dev/null}", "/run/federator/policy.yaml")),
    ],
    "user": "10001:10001",
    **_CONFINED,
    "tmpfs": [Form(r"/tmp:size=\d+[kmg],mode=1777", "/tmp:size=…,mode=1777")],
    "security_opt": ["no-new-privileges:true", "label=level:s0"],
    "mem_limit": _setting("LINK_MEMORY", _SIZE),
    "cpus": _setting("LINK_CPUS", _NUMBER),
    "pids_limit": _NUMBER,
    "healthcheck": _health("test", "-S", "/handover/socket"),
    "restart": _AGAIN,
    "logging": _LOGGING,
}

_GPU: Keys = {
    "driver": "nvidia",
    "count": Form(r"\$\{GPUS:-(all|\d+)\}", "${GPUS:-all}"),
    "capabilities": ["gpu"],
}

_WORKER: Keys = {
    "image": _IMAGE,
    "command": ["worker"],
    "environment": {
        "FEDERATOR_SITE": _NAME,
        "FEDERATOR_APP_HASH": _HASH,
        "FEDERATOR_APP": "/app",
        "FEDERATOR_DATA": "/data",
        "FEDERATOR_PERSONAL": Optional("/personal"),
        "FEDERATOR_SOCKET": "/handover/socket",
    },
    "network_mode": "none",
    "volumes": [
        Optional("personal:/personal"),
        _HANDOVER,
        _bind("${DATA_DIR:?name the folder of this site's data in .env}", "/data"),
    ],
    "user": "${DATA_USER:-10001:10001}",
    "group_add": ["10001"],
    **_CONFINED,
    "tmpfs": [
        Form(
            r"/tmp:size=\$\{WORKER_SCRATCH:-\d+[kmg]\},mode=1777",
            "/tmp:size=${WORKER_SCRATCH:-…},mode=1777",
        )
    ],
    "security_opt": ["no-new-privileges:true", "label=${SELINUX_LABEL:-level:s0}"],
    "mem_limit": _setting("WORKER_MEMORY", _SIZE),
    "shm_size": _setting("WORKER_SHM", _SIZE),
    "cpus": _setting("WORKER_CPUS", _NUMBER),
    "pids_limit": _NUMBER,
    "healthcheck": _health("test", "-r", "/data", "-a", "-S", "/handover/socket"),
    "deploy": Optional({"resources": {"reservations": {"devices": [_GPU]}}}),
    "restart": _AGAIN,
    "logging": _LOGGING,
}

_REVIEW: Keys = {
    "image": _IMAGE,
    "profiles": ["review"],
    "entrypoint": ["python", "-m", "federator.runtime", "review"],
    "network_mode": "none",
    "volumes": [".:/site:ro"],
    "working_dir": "/site",
    "user": "10001:10001",
    **_CONFINED,
    "tmpfs": [Form(r"/tmp:size=\d+[kmg],mode=1777", "/tmp:size=…,mode=1777")],
    "security_opt": ["no-new-privileges:true"],
    "healthcheck": {"disable": "true"},
}

FILE: Keys = {
    "name": _NAME,
    "services": {"link": _LINK, "worker": _WORKER, "review": _REVIEW},
    "volumes": {
        "keys": "",
        "personal": Optional(""),
        "handover": "",
        "records": Optional(""),
    },
}
"""All of a site's file but the app: texts that are meant to the letter, forms, lists, keys."""

SAME: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...] = (
    (("services", "link", "image"), ("services", "review", "image")),
    *(
        (("services", "link", "environment", name), ("services", "worker", "environment", name))
        for name in ("FEDERATOR_SITE", "FEDERATOR_APP_HASH")
    ),
)
"""The values that must be the same, each by the keys that lead to it."""
