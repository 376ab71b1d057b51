"""What the gateway hands out of its store, and takes into it, from whoever reaches it.

The attacks on it: links in the store, odd names, methods that are not meant, parts too many.
"""

import http.client
import itertools
import ssl
import time

import pytest
from fixtures.deployment import NGINX, Deployment

from federator.deploy.local.processes import Processes
from federator.runtime.server.storage.store import Store

METHODS = ("GET", "PUT", "DELETE", "MOVE", "COPY", "MKCOL", "PROPFIND", "OPTIONS", "POST", "HEAD")
DOWN, COUNTER, UP = (digit * 32 for digit in "abc")
FOLDERS = ("down", "counters", "up", "closed", "arriving")


class Gateway:
    """The generated configuration's nginx alone, before a store, and requests to it."""

    def __init__(self, deployment: Deployment) -> None:
        self.deployment = deployment
        self.store = Store(deployment.paths.store)
        self._context = ssl.create_default_context(cafile=deployment.ca)

    def ask(self, method, path, body=None, headers=None):
        """Send a request as it is written, dots and all; return the status and the body."""
        connection = http.client.HTTPSConnection(
            "127.0.0.1", self.deployment.port, context=self._context, timeout=30
        )
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()


@pytest.fixture(scope="module")
def gateway(tmp_path_factory):
    if NGINX is None:
        pytest.skip("nginx is missing (Debian and Ubuntu: nginx-light)")
    root = tmp_path_factory.mktemp("gateway")
    with Processes(root / "logs") as processes:
        made = Gateway(Deployment(root, processes, ["north"]))
        made.deployment.start_gateway()
        deadline = time.monotonic() + 120
        while True:
            try:
                made.ask("GET", "/")
                break
            except OSError:
                assert time.monotonic() < deadline, processes.tail("gateway", 20)
                time.sleep(0.1)
        yield made


def model(gateway, capability):
    return gateway.ask("GET", f"/v1/weights/down/{capability}/model")


def test_no_link_in_the_store_has_another_file_handed_out(gateway):
    folder, secret = gateway.store.folder, gateway.deployment.keys / "server.key"
    (folder / "down" / DOWN).mkdir()
    path = folder / "down" / DOWN / "model"
    path.write_bytes(b"weights")
    assert model(gateway, DOWN) == (200, b"weights"), "the way that is meant"
    path.unlink()
    path.symlink_to(secret)
    (folder / "counters" / COUNTER).symlink_to("/etc/passwd")
    elsewhere = gateway.deployment.root / "elsewhere"
    (elsewhere / "slots").mkdir(parents=True)
    (elsewhere / "model").write_bytes(b"secret")
    (elsewhere / "slots" / "0000.1").touch()
    (folder / "down" / UP).symlink_to(elsewhere)
    (folder / "up" / UP).symlink_to(elsewhere)
    assert model(gateway, DOWN)[0] == 404
    assert gateway.ask("GET", f"/v1/weights/counters/{COUNTER}")[0] == 404
    assert model(gateway, UP)[0] == 404, "a folder that is a link"
    assert gateway.ask("PUT", f"/v1/weights/up/{UP}/0000.1", b"x")[0] == 404
    assert sorted(path.name for path in elsewhere.iterdir()) == ["model", "slots"]
    path.unlink()


@pytest.mark.parametrize(
    "name", ["deadbeef", "a", "a" * 31, "a" * 33, "A" * 32, "a" * 64, "g" * 32]
)
def test_a_capability_has_its_full_length(gateway, name):
    folder = gateway.store.folder
    (folder / "down" / name).mkdir()
    (folder / "down" / name / "model").write_bytes(b"weights")
    (folder / "counters" / name).write_bytes(b"counter")
    (folder / "up" / name / "slots").mkdir(parents=True)
    (folder / "up" / name / "slots" / "0000.1").touch()
    assert model(gateway, name)[0] == 404
    assert gateway.ask("GET", f"/v1/weights/counters/{name}")[0] == 404
    assert gateway.ask("PUT", f"/v1/weights/up/{name}/0000.1", b"x")[0] == 404


def test_a_part_has_exactly_one_name(gateway):
    receiver = gateway.store.accept(3 * 2**20)
    lent = gateway.store.folder / "up" / receiver.capability
    names = ["0.1", "00.1", "00000.1", "0000.01", "0000.2", "0000", "0000.1x", "x000.1"]
    for name in names:  # even if there were a slot for it
        (lent / "slots" / name).touch()
        assert gateway.ask("PUT", f"/v1/weights/up/{receiver.capability}/{name}", b"x")[0] == 404
    place = f"/v1/weights/up/{receiver.capability}"
    assert gateway.ask("PUT", f"{place}/0000.1", b"x" * 2**20)[0] == 201
    assert gateway.ask("PUT", f"{place}/0001.1", b"x" * (2**20 + 1))[0] == 413
    assert gateway.ask("PUT", f"{place}/0003.1", b"x")[0] == 404, "the update has three parts"
    assert gateway.ask("PUT", f"{place}/0001.16", b"x")[0] == 404, "of one length"
    assert gateway.ask("PUT", f"{place}/slots/0000.1", b"x")[0] == 404
    assert sorted(path.name for path in lent.iterdir()) == ["0000.1", "slots"]


ODD = [
    *("../x", "..%2fx", "%2e%2e/x", "{0}/../{0}", "{0}%00", "{0}/model/..", "{0}//model"),
    *("{0}/model%20", "a" * 3000, "{0}/slots/0000.1", "{0}/./model/x", "%64{0}/slots"),
    *("..;/server.key", "\\..\\x", "{0}/model%0a", "{0}%0a", "../closed/{0}/model", "{0}/model/"),
    *("..%2f..%2fkeys%2fserver.key", "{0}/%2e%2e/%2e%2e/closed/{0}/model", "", "."),
]


@pytest.mark.parametrize("folder", FOLDERS)
def test_odd_names_and_methods_give_nothing_and_change_nothing(gateway, folder):
    (gateway.store.folder / "closed" / DOWN).mkdir(exist_ok=True)
    (gateway.store.folder / "closed" / DOWN / "model").write_bytes(b"an update of a site")
    (gateway.store.folder / "down" / DOWN).mkdir(exist_ok=True)
    before = sorted(gateway.store.folder.rglob("*"))
    for name, method in itertools.product(ODD, METHODS):
        path = f"/v1/weights/{folder}/{name.format(DOWN)}"
        body = b"x" if method in ("PUT", "POST") else None
        status, said = gateway.ask(method, path, body, {"Destination": f"{path}x"})
        assert status in (400, 403, 404, 405, 414), (method, path, status)
        assert b"PRIVATE" not in said and b"update" not in said, (method, path)
    assert sorted(gateway.store.folder.rglob("*")) == before
