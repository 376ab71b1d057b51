"""What may stand in ``server.yaml``: every key and every value. Anything else is refused.

Whoever writes that file decides what containers may do on the server, and the repository may have a
template of its own for it. The list is complete, as that of a site's file is
(runtime/review/permitted.py): a test compares it with every kind of file that is written.
"""

from federator.deploy.server_file.gateway import GATEWAY
from federator.images.model_size import MODEL_BYTES
from federator.runtime.review.forms import (
    DURATION,
    HASH,
    IMAGE,
    NAME,
    NUMBER,
    SCRATCH,
    SIZE,
    TEXT,
    Form,
    setting,
)
from federator.runtime.review.permitted import (
    CONFINED,
    LOGGING,
    Entry,
    Keys,
    Optional,
    Same,
    bind,
    health,
)
from federator.runtime.server.settings import FIRST_MODEL

_CERTIFICATE = "./keys/superlink.crt:/run/federator/superlink.crt:ro"
_SECRET = "./keys/superexec.secret:/run/federator/superexec.secret:ro"
_RESULTS = "${RESULTS_DIR:-results}:/results"
# A file beside the federation file or in the repository: none of its keys, and no hidden one.
_WEIGHTS = Form(
    r"(\./|\.\./\.\./)((?!keys/)[^/:$.][^/:$]*/)*[^/:$.][^/:$]*:/run/federator/[^/:$.][^/:$]*:ro",
    "a file of the repository, which can be read and not written",
)
_HEALTH_OF_SUPERLINK = """\
import ssl, urllib.request
trusted = ssl.create_default_context(cafile="/run/federator/superlink.crt")
urllib.request.urlopen("https://superlink:8000/health", timeout=20, context=trusted)
"""
_HEALTH_AT = "import socket; socket.create_connection(('localhost', {}), 3)"


def _service(memory: Entry, **others: Entry) -> dict[str, Entry]:
    """Return a service: what all have, its limit of memory, and what it has besides."""
    return {
        "image": IMAGE,
        "user": "${SERVER_USER:-10001:10001}",
        "group_add": ["10001"],
        **CONFINED,
        "tmpfs": ["/tmp:mode=1777"],
        "security_opt": ["no-new-privileges:true"],
        "mem_limit": memory,
        "pids_limit": NUMBER,
        "restart": "unless-stopped",
        "logging": LOGGING,
        **others,
    }


def _slow_health(*command: str) -> Keys:
    return {**health(*command), "timeout": DURATION}


def _after(**services: str) -> Keys:
    return {name: {"condition": f"service_{state}"} for name, state in services.items()}


_GATEWAY = _service(
    SIZE,
    entrypoint=["nginx", "-c", f"/etc/federator/{GATEWAY}", "-g", "daemon off;"],
    ports=[Form(r"\$\{PORT:-\d{1,5}\}:8443", "${PORT:-…}:8443")],
    networks=["outside", "inside"],
    labels={f"federator.{GATEWAY}": HASH},
    volumes=[
        "store:/store",
        f"./{GATEWAY}:/etc/federator/{GATEWAY}:ro",
        "./keys/server.crt:/run/federator/server.crt:ro",
        "./keys/server.key:/run/federator/server.key:ro",
        _CERTIFICATE,
    ],
    healthcheck=health("python", "-c", _HEALTH_AT.format(8443)),
)
_SUPERLINK = _service(
    setting("SUPERLINK_MEMORY", SIZE),
    command=[
        "superlink",
        "--host=0.0.0.0",
        "--port=8000",
        "--ssl-certfile=/run/federator/superlink.crt",
        "--ssl-keyfile=/run/federator/superlink.key",
        "--ssl-ca-certfile=/run/federator/superlink.crt",
        "--enable-supernode-auth",
        "--database=/state/state.db",
        "--isolation=process",
        "--superexec-auth-secret-file=/run/federator/superexec.secret",
        "--disable-runtime-dependency-installation",
    ],
    networks=["inside"],
    volumes=[
        "state:/state",
        _CERTIFICATE,
        "./keys/superlink.key:/run/federator/superlink.key:ro",
        _SECRET,
    ],
    healthcheck=_slow_health("python", "-c", _HEALTH_OF_SUPERLINK),
)
_SIGNER = _service(
    SIZE,
    command=["signer"],
    environment={
        "FEDERATOR_SIGNING_KEY": "/run/federator/coordinator.key",
        "FEDERATOR_KEY_PASSPHRASE": "/run/federator/passphrase",
        "FEDERATOR_ORDERS": "/signer/orders.socket",
    },
    network_mode="none",
    volumes=[
        "signer:/signer",
        "signing:/signing",
        "./keys/coordinator.key:/run/federator/coordinator.key:ro",
        bind("${KEY_PASSPHRASE:-/dev/null}", "/run/federator/passphrase"),
    ],
    healthcheck=_slow_health("test", "-S", "/signing/socket"),
)
_ORDER = _service(
    SIZE,
    entrypoint=["python", "-m", "federator.runtime", "order"],
    profiles=["order"],
    environment={"FEDERATOR_TERMS": TEXT},
    network_mode="none",
    volumes=["signer:/signer:ro", f"{_RESULTS}:ro"],
    healthcheck={"disable": "true"},
    depends_on=_after(signer="healthy"),
    restart="no",
)
_SERVER = _service(
    setting("SERVER_MEMORY", SIZE),
    command=["serve"],
    environment={"FEDERATOR_FEDERATION": TEXT, "FEDERATOR_COORDINATOR_KEY": TEXT},
    networks=["inside"],
    volumes=[
        _RESULTS,
        "store:/store",
        Optional("strategy:/strategy"),
        Optional("notices:/notices"),
        "initial:/initial:ro",
        "./sites:/run/federator/sites:ro",
        "signing:/signing:ro",
        _CERTIFICATE,
        _SECRET,
    ],
    healthcheck=_slow_health("python", "-c", _HEALTH_OF_SUPERLINK),
    depends_on=_after(superlink="healthy", signer="healthy", init="completed_successfully"),
)
_INIT = _service(
    SIZE,
    command=[
        *("initial", "--app=/app", f"--out={FIRST_MODEL}"),
        Optional(Form(r"--from=/run/federator/[^/$]+", "--from=/run/federator/…")),
    ],
    environment={"HTTPS_PROXY": "${HTTPS_PROXY:-}"},
    networks=["outside"],
    volumes=["initial:/initial", Optional(_WEIGHTS)],
    healthcheck={"disable": "true"},
    restart="no",
)
_NOTIFY = _service(
    SIZE,
    command=["notify"],
    environment={"FEDERATOR_NOTIFY": TEXT, "HTTPS_PROXY": "${HTTPS_PROXY:-}"},
    networks=["outside"],
    volumes=[
        "notices:/notices",
        bind("${WEBHOOK:-/dev/null}", "/run/federator/webhook"),
        bind("${MAIL_PASSWORD:-/dev/null}", "/run/federator/mail.password"),
    ],
    healthcheck={"disable": "true"},
)
_STRATEGY = _service(
    setting("STRATEGY_MEMORY", SIZE),
    command=["strategy"],
    environment={"FEDERATOR_APP": "/app", "FEDERATOR_SOCKET": "/strategy/socket"},
    network_mode="none",
    volumes=["strategy:/strategy:ro"],
    user="10002:10001",
    tmpfs=[SCRATCH],
    healthcheck={"disable": "true"},
)
_WATCH = _service(
    SIZE,
    entrypoint=[
        *("federator", "watch", "--bind=0.0.0.0", "--port=8712", "--name=watch"),
        "--token-file=/run/federator/watch.token",
    ],
    profiles=["watch"],
    environment={"FEDERATOR_FEDERATION": TEXT},
    ports=["127.0.0.1:${WATCH_PORT:-8712}:8712"],
    networks=["watch"],
    volumes=[f"{_RESULTS}:ro", "./keys/watch.token:/run/federator/watch.token:ro"],
    healthcheck=_slow_health("python", "-c", _HEALTH_AT.format(8712)),
)
del _STRATEGY["group_add"]  # its user has that group, and no other
FILE: Keys = {
    "name": NAME,
    "services": {
        "gateway": _GATEWAY,
        "superlink": _SUPERLINK,
        "signer": _SIGNER,
        "order": _ORDER,
        "server": _SERVER,
        "init": _INIT,
        "notify": Optional(_NOTIFY),
        "strategy": Optional(_STRATEGY),
        "watch": _WATCH,
    },
    "networks": {
        "outside": "",
        "inside": {"internal": "true"},
        "watch": {"driver_opts": {"com.docker.network.bridge.enable_ip_masquerade": "false"}},
    },
    "volumes": {
        **dict.fromkeys(("state", "results", "signer", "initial", "signing", "store"), ""),
        "notices": Optional(""),
        "strategy": Optional(""),
    },
    MODEL_BYTES: Form(r"\d+", "a number"),
}
"""All of a server's file: texts that are meant to the letter, forms, lists, keys."""

SAME: Same = tuple(
    (("services", one, "image"), ("services", other, "image"))
    for one, other in (
        ("signer", "order"),
        ("gateway", "superlink"),
        ("gateway", "server"),
        ("gateway", "notify"),
        ("gateway", "strategy"),
        ("gateway", "watch"),
    )
)
"""The images that must be the same, each by the keys that lead to it."""
