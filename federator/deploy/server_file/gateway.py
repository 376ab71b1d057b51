"""The gateway's configuration, ``nginx.conf``: where things are in its container."""

from federator.common.templates import Templates
from federator.runtime.weights.parts import STEPS

GATEWAY = "nginx.conf"

# As server.yaml mounts them.
_PLACES = {
    "listen": "8443",
    "scratch": "/tmp",
    "store": "/store",
    "part_sizes": STEPS,
    "certificate": "/run/federator/server.crt",
    "key": "/run/federator/server.key",
    "superlink": "superlink:8000",
    "superlink_certificate": "/run/federator/superlink.crt",
    "resolver": "127.0.0.11",  # Docker's own
}


def configuration(templates: Templates) -> str:
    """Return the configuration of the gateway.

    Raises:
        InputError: if the repository's own copy of the template is wrong.
    """
    return templates.fill(f"deploy/{GATEWAY}", **_PLACES)
