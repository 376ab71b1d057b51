"""Sites reach the server through the gateway, with TLS and keys of their own; nothing else does.

Every part is the real one, as a process: nginx, SuperLink, SuperExec, links, workers.
"""

import socket
import ssl
import time

import httpx
import numpy as np
import pytest
from fakes.proxy import proxy
from fakes.update import left

from federator.runtime.link.gateway import Gateway
from federator.runtime.link.transfer import PartTransfer
from federator.runtime.server.storage.store import Store
from federator.runtime.weights.parts import PartsManifest

PASSED = [
    *("activate-node", "deactivate-node", "send-node-heartbeat", "pull-messages"),
    *("push-messages", "get-run", "pull-object", "push-object", "confirm-message-received"),
]


# -- what the gateway passes ----------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [
        *("/", "/docs", "/openapi.json", "/v1/", "/v1/fleet/", "/health/", "/v2/fleet/get-run"),
        *("/v1/fleet/get-fab", "/v1/fleet/register-node", "/v1/fleet/unregister-node"),
        *("/v1/control/list-runs", "/v1/control/start-run", "/v1/runtime/acquire-task"),
        *("/v1/fleet/../control/list-runs", "/v1/fleet/get-run/../../control/list-runs"),
        *("//v1/control/list-runs", "/v1/fleet/get-run%2F..%2F..%2Fcontrol%2Flist-runs"),
        *("/v1/fleet/pull-messages/", "/v1/fleet/pull-messages;x", "/V1/control/list-runs"),
    ],
)
def test_everything_else_is_not_found(deployment, path):
    with deployment.client() as client:
        for method in ("GET", "POST", "PUT", "DELETE"):
            answer = client.request(method, path)
            assert answer.status_code in (404, 405), (method, path)
            assert "nginx/" not in answer.text + answer.headers["server"]


def test_the_fleet_calls_and_health_reach_the_superlink(deployment):
    with deployment.client() as client:
        assert client.get("/health").status_code == 200
        for call in PASSED:
            # The SuperLink itself answers that this is not a message of its protocol.
            assert client.post(f"/v1/fleet/{call}").status_code == 415, call
            assert client.get(f"/v1/fleet/{call}").status_code == 404, call


def test_without_encryption_nothing_is_answered(deployment):
    answer = httpx.get(f"http://{deployment.address}/health", trust_env=False)
    assert answer.status_code == 400
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.load_verify_locations(deployment.ca)
    with pytest.warns(DeprecationWarning):
        old.maximum_version = ssl.TLSVersion.TLSv1_1
    with (
        socket.create_connection(("127.0.0.1", deployment.port)) as connection,
        pytest.raises((ssl.SSLError, ConnectionError)),
    ):
        old.wrap_socket(connection, server_hostname="127.0.0.1")


def test_the_log_names_calls_but_not_the_polling(deployment):
    with deployment.client() as client:
        client.post("/v1/control/stop-run", content=b"secret words")
    said = deployment.wait_for("gateway", "/v1/control/stop-run 404")
    assert "secret words" not in said


# -- weights, as files ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def store(deployment):
    """The folder that the gateway serves, while no run is using it."""
    return Store(deployment.paths.store)


WEIGHTS = {"a": np.random.default_rng(1).normal(size=700_000).astype(np.float32)}
TRAINED = {"a": WEIGHTS["a"] + 1}
STEP = 2**20


def gateway(deployment):
    return PartTransfer(
        Gateway(deployment.address, ssl.create_default_context(cafile=deployment.ca))
    )


def test_weights_pass_the_gateway_both_ways(deployment, store):
    file = store.keep(WEIGHTS)
    receiver = store.accept(file.size)
    manifest = PartsManifest(*store.publish(file), receiver.capability)
    fetched, _ = gateway(deployment).fetch(manifest, time.time() + 60)
    assert np.array_equal(fetched.weights["a"], WEIGHTS["a"])
    table = gateway(deployment).send(manifest, left(TRAINED), time.time() + 60)
    assert np.array_equal(receiver.close(table).load()["a"], TRAINED["a"])
    said = deployment.wait_for("gateway", "/v1/weights/up/*/0002.1 201")
    assert "/v1/weights/down/*/model 206" in said
    assert manifest.up not in said
    assert manifest.down not in said


def test_what_is_lent_is_not_more_than_that(deployment, store):
    file = store.keep({"a": np.zeros(3)})
    down, up = store.publish(file)[0], store.accept(2 * 2**20).capability
    model, part = f"/v1/weights/down/{down}/model", f"/v1/weights/up/{up}/0001.1"
    with deployment.client() as client:
        for path in (model, part):
            for method in ("POST", "DELETE", "MKCOL", "COPY", "MOVE", "PROPFIND", "OPTIONS"):
                answer = client.request(method, path, headers={"Destination": f"{path}x"})
                assert answer.status_code in (404, 405), (method, path)
        assert client.put(part, content=b"abc").status_code == 201
        for method, path in [
            ("PUT", model), ("GET", part), ("HEAD", part), ("GET", f"{model}/"),
            ("GET", "/v1/weights/"), ("GET", "/v1/weights/down/"), ("GET", "/v1/weights/up/"),
            ("GET", f"/v1/weights/down/{down}/"), ("GET", f"/v1/weights/up/{up}/"),
            ("PUT", f"/v1/weights/up/{up}/0002.1"), ("PUT", f"/v1/weights/up/{up}/1"),
            ("PUT", f"/v1/weights/up/{up}/0001.16"), ("PUT", f"/v1/weights/up/{up}/0001"),
            ("PUT", f"/v1/weights/up/{up}/model"), ("PUT", f"/v1/weights/up/{up}/slots/0001.1"),
            ("PUT", f"/v1/weights/up/{up}/slots"), ("PUT", f"/v1/weights/up/{up}/0001.1/x"),
            ("PUT", f"/v1/weights/up/{'0' * 32}/0001.1"), ("PUT", "/v1/weights/up/0001.1"),
            ("PUT", f"/v1/weights/up/{up}/..%2f..%2fdown%2f{down}%2fmodel"),
            ("GET", "/v1/weights/arriving/x"),
            ("GET", f"/v1/weights/down/..%2fup/{up}/0001.1"), ("GET", "/v1/weights/closed/"),
        ]:  # fmt: skip
            assert client.request(method, path, content=b"").status_code == 404, (method, path)
        assert client.put(part, content=b"", headers={"Content-Range": "bytes 0-0/1"}).is_error
        assert client.put(part, content=b"x" * 2**20).status_code == 204
        assert client.put(part, content=b"x" * (2**20 + 1)).status_code == 413
    lent = store.folder / "up" / up
    assert sorted(path.name for path in lent.iterdir()) == ["0001.1", "slots"]
    assert all(slot.stat().st_size == 0 for slot in (lent / "slots").iterdir())
    said = (deployment.processes.logs / "gateway.log").read_text()
    assert up not in said
    assert down not in said
    store.withdraw()
    with deployment.client() as client:
        assert client.get(model).status_code == client.put(part, content=b"x").status_code == 404


def test_without_a_capability_no_body_is_taken(deployment, store):
    """The answer is there before the body is."""
    for path, status in (
        (f"/v1/weights/up/{'0' * 32}/0000.1", b"404"),
        (f"/v1/weights/up/{store.accept(1).capability}/0001.1", b"404"),
        (f"/v1/weights/up/{store.accept(1).capability}/0000.1", b"413"),
    ):
        length = 2**20 if status == b"404" else 2**20 + 1
        context = ssl.create_default_context(cafile=deployment.ca)
        with (
            socket.create_connection(("127.0.0.1", deployment.port), timeout=10) as plain,
            context.wrap_socket(plain, server_hostname="127.0.0.1") as connection,
        ):
            head = f"PUT {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n"
            connection.sendall(head.encode())
            assert connection.recv(100).split()[1] == status
    assert list((store.folder / "arriving").iterdir()) == []


def test_a_counter_is_heard_by_who_knows_its_name(deployment, store):
    counter, way = (
        store.new_counter(),
        Gateway(deployment.address, ssl.create_default_context(cafile=deployment.ca)),
    )
    for count in (0, 1, 2):
        assert way.read_counter(counter) == count
        store.increment(counter)
    store.withdraw()
    assert way.read_counter(counter) == 3
    with pytest.raises(FileNotFoundError):
        way.read_counter("0" * 32)
    with deployment.client() as client:
        for method in ("PUT", "POST", "DELETE", "HEAD"):
            assert client.request(method, f"/v1/weights/counters/{counter}").status_code == 404
        for path in ("", counter[:-1], f"{counter}/", f"{counter}/x"):
            assert client.get(f"/v1/weights/counters/{path}").status_code == 404
    deployment.wait_for("gateway", "/v1/weights/* 404")
    said = (deployment.processes.logs / "gateway.log").read_text()
    assert counter not in said
    assert " 206 in" not in said.partition("/v1/weights/counters")[2], "it is not worth a line"


@pytest.mark.usefixtures("no_exceptions")
def test_a_line_that_is_cut_again_and_again_is_gone_on_with(deployment, store, monkeypatch):
    """Each connection through this proxy ends after so many bytes, in the midst of a part."""
    file = store.keep(WEIGHTS)
    receiver = store.accept(file.size)
    manifest = PartsManifest(*store.publish(file), receiver.capability)
    with proxy(most=STEP + STEP // 2) as (address, asked):
        monkeypatch.setenv("HTTPS_PROXY", address)
        transfer = gateway(deployment)
        for _ in range(2):  # the second time over lines that have carried a part already
            transfer.fetch(manifest, time.time() + 60)
            table = transfer.send(manifest, left(TRAINED), time.time() + 60)
    assert np.array_equal(receiver.close(table).load()["a"], TRAINED["a"])
    assert len(asked) > 3
