"""The registry's answers, against a server that speaks Docker Hub's protocol."""

import logging
import traceback

import pytest
from fakes.http_service import running
from fakes.registry import OCI, PASSWORD, REFRESH_TOKEN, USER, Hub, digest_of, layered

from federator.common.http_client import Patience, RateLimitError, UnreachableError, WebError
from federator.images.login import Login
from federator.images.registry import LoginError, Registry, RegistryError

LINK = layered(100, 20)
WORKER = layered(5000)
OTHER = layered(7)
INDEX = {
    "mediaType": OCI.format("index"),
    "manifests": [
        {"digest": digest_of(OTHER), "size": 1, "platform": {"os": "linux", "architecture": "arm"}},
        {
            "digest": digest_of(LINK),
            "size": 1,
            "platform": {"os": "linux", "architecture": "amd64"},
        },
        {
            "digest": digest_of(OTHER),
            "size": 1,
            "platform": {"os": "unknown", "architecture": "unknown"},
        },
    ],
}
NOBODY = None
ADA = Login(USER, PASSWORD)
WRONG = Login(USER, "Tr0ub4dor")


@pytest.fixture
def hub():
    with running(Hub()) as hub:
        hub.public["acme/link"] = {"1": LINK, "many": INDEX, "part": LINK, "other": OTHER}
        hub.private["acme/worker"] = {"1": WORKER}
        yield hub


def registry(login=NOBODY, limit=5.0):
    return Registry(lambda _: login, Patience(limit=limit, pause=0.01))


@pytest.mark.parametrize(
    ("image", "login", "expected"),
    [
        ("acme/link:1", NOBODY, digest_of(LINK)),
        ("acme/link:1", ADA, digest_of(LINK)),
        ("acme/link:2", NOBODY, None),
        (f"acme/link@{digest_of(OTHER)}", NOBODY, digest_of(OTHER)),
        ("acme/worker:1", ADA, digest_of(WORKER)),
        ("acme/worker:1", Login("", REFRESH_TOKEN, is_token=True), digest_of(WORKER)),
        ("acme/worker:2", ADA, None),
    ],
)
def test_digest(hub, image, login, expected):
    assert registry(login).digest(f"{hub.host}/{image}") == expected


def test_digest_is_counted_where_the_registry_does_not_name_it(hub):
    hub.names_digests = False
    assert registry().digest(f"{hub.host}/acme/link:1") == digest_of(LINK)


def test_basic_login(hub):
    hub.challenge = "Basic"
    asked = registry(ADA)
    assert asked.digest(f"{hub.host}/acme/worker:1") == digest_of(WORKER)
    assert asked.digest(f"{hub.host}/acme/worker:2") is None
    assert len(hub.asked) == 3  # the second question carries the login from the start


@pytest.mark.parametrize(
    ("image", "expected"),
    [("acme/link:1", 120), ("acme/link:many", 120), (f"acme/link@{digest_of(OTHER)}", 7)],
)
def test_size_is_that_of_the_layers_for_amd64(hub, image, expected):
    assert registry().size(f"{hub.host}/{image}") == expected


def test_size_of_nothing(hub):
    with pytest.raises(RegistryError, match=r"there is no image .*/acme/link:9\n.*push it first"):
        registry().size(f"{hub.host}/acme/link:9")
    hub.public["acme/link"]["arm"] = {"manifests": INDEX["manifests"][:1]}
    with pytest.raises(RegistryError, match="no image for linux/amd64"):
        registry().size(f"{hub.host}/acme/link:arm")
    hub.public["acme/link"]["odd"] = ["no manifest"]
    with pytest.raises(RegistryError, match="gives no manifest"):
        registry().size(f"{hub.host}/acme/link:odd")


def test_is_public_asks_without_the_login(hub):
    asked = registry(ADA)
    assert asked.is_public(f"{hub.host}/acme/link:1")
    assert not asked.is_public(f"{hub.host}/acme/worker:1")
    hub.challenge = "Basic"
    assert not asked.is_public(f"{hub.host}/acme/worker:1")


def test_a_lapsed_token_is_fetched_again(hub):
    asked = registry(ADA)
    asked.digest(f"{hub.host}/acme/worker:1")
    hub.asked.clear()
    asked.digest(f"{hub.host}/acme/worker:1")
    assert len(hub.asked) == 1
    hub.lapse()
    assert asked.digest(f"{hub.host}/acme/worker:1") == digest_of(WORKER)
    assert hub.asked[1:] == [
        "HEAD /v2/acme/worker/manifests/1",
        "GET /token",
        "HEAD /v2/acme/worker/manifests/1",
    ]


@pytest.mark.parametrize(
    ("challenge", "image", "login", "words"),
    [
        ("Bearer", "acme/worker:1", WRONG, "does not accept the login: wrong password"),
        ("Basic", "acme/worker:1", WRONG, "does not accept the login: wrong password"),
        ("Basic", "acme/worker:1", NOBODY, "requires a login"),
        ("Bearer", "acme/worker:1", NOBODY, "has no repository acme/worker, or this login may not"),
        ("Bearer", "acme/absent:1", ADA, "has no repository acme/absent, or this login may not"),
    ],
)
def test_who_may_not_read(hub, challenge, image, login, words):
    hub.challenge = challenge
    with pytest.raises(LoginError, match=words) as raised:
        registry(login).digest(f"{hub.host}/{image}")
    assert f"docker login {hub.host}" in str(raised.value)


def test_busy_then_right(hub, caplog):
    hub.trouble = [(503, {}), (429, {"Retry-After": "0"}), (502, {})]
    with caplog.at_level(logging.WARNING):
        assert registry().digest(f"{hub.host}/acme/link:1") == digest_of(LINK)
    assert [record.getMessage().partition("; ")[0] for record in caplog.records] == [
        f"{hub.host} is down (it answers 503)",
        f"{hub.host} limits the rate of questions",
        f"{hub.host} is down (it answers 502)",
    ]


def asks_for_a_token(hub):
    """A challenge that names no scope, as some registries leave it out."""
    fields = f'realm="http://{hub.host}/token",service="registry.example"'
    return 401, {"WWW-Authenticate": f"Bearer {fields}"}


def test_the_token_server_may_be_busy_too(hub):
    hub.trouble = [asks_for_a_token(hub), (503, {})]
    assert registry().digest(f"{hub.host}/acme/link:1") == digest_of(LINK)
    assert hub.asked.count("GET /token") == 2


def test_an_answer_that_is_no_token(hub):
    hub.trouble = [asks_for_a_token(hub), (200, {})]
    with pytest.raises(RegistryError, match="gives no token for"):
        registry().digest(f"{hub.host}/acme/link:1")


def test_rate_limit_beyond_our_patience(hub):
    hub.trouble = [(429, {"Retry-After": "3600"})]
    with pytest.raises(RateLimitError, match=r"limits the rate .*\n.*again in 3600 s"):
        registry().digest(f"{hub.host}/acme/link:1")
    assert len(hub.asked) == 1


def test_down_for_good(hub):
    hub.trouble = [(503, {})] * 100
    with pytest.raises(UnreachableError, match="is down"):
        registry(limit=0.1).digest(f"{hub.host}/acme/link:1")
    assert 2 <= len(hub.asked) <= 5


@pytest.mark.parametrize(
    ("challenge", "realm", "words"),
    [
        ("Bearer", "http://tokens.example/token", "unencrypted logins, which are refused"),
        ("Negotiate", None, "a kind of login that is not supported"),
        ("", None, "a kind of login that is not supported"),
    ],
)
def test_a_login_is_sent_to_no_odd_place(hub, challenge, realm, words):
    hub.challenge, hub.realm = challenge, realm
    with pytest.raises(RegistryError, match=words):
        registry(ADA).digest(f"{hub.host}/acme/worker:1")
    assert len(hub.asked) == 1


def test_an_odd_status(hub):
    hub.trouble = [(418, {})]
    with pytest.raises(RegistryError, match="answers 418 when asked for"):
        registry().digest(f"{hub.host}/acme/link:1")


def test_no_secret_in_errors_and_logs(hub, caplog):
    caplog.set_level(logging.DEBUG, logger="federator")
    hub.trouble = [(503, {})]
    written = ""
    for login in (WRONG, ADA, Login("", "stale token", is_token=True)):
        for hub.challenge in ("Basic", "Bearer"):
            with pytest.raises(WebError) as raised:
                registry(login).size(f"{hub.host}/acme/absent:1")
            written += "".join(traceback.format_exception(raised.value))
    for secret in (USER, PASSWORD, WRONG.secret, "stale token", "token-"):
        assert secret not in written + caplog.text
