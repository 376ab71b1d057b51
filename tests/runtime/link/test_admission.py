"""Why a site is not let in, in words."""

import pytest
from fakes.server import answering

from federator.runtime.keys import site_key
from federator.runtime.link.admission import Client, ConnectionRefused
from federator.runtime.link.fleet import connect


@pytest.fixture
def key(tmp_path):
    site_key.make(tmp_path / "site.key")
    return tmp_path / "site.key"


@pytest.mark.parametrize(
    ("status", "ahead", "words"),
    [
        (412, 0, "not registered at the server: send this line to the coordinator"),
        (401, 0, "no longer registered"),
        (401, 3600, r"this machine's clock is -(3600|3599) s off the server's"),
        (401, -600, r"this machine's clock is \+60[01] s off"),
        (404, 0, "answers /v1/fleet/activate-node with 404: is it the federation's server"),
        (500, 0, "with 500"),
        (307, 0, "with 307"),
        (503, 0, r"is there, but what is behind it is not \(503\)"),
    ],
)
def test_an_answer_is_explained(key, status, ahead, words):
    with (
        answering(status, ahead=ahead) as address,
        pytest.raises(ConnectionRefused, match=words),
        connect(address, None, key, 0.0, insecure=True),
    ):
        pass


def test_a_server_that_is_starting_is_waited_for(key, caplog):
    with (
        answering(503, 502, 200) as address,
        connect(address, None, key, 30, insecure=True) as let_in,
    ):
        assert let_in.node_id == 0
    assert "503" in caplog.text


def test_a_site_that_the_server_takes_for_connected_goes_on_under_its_number(key):
    key.with_suffix(".node").write_text("42")
    # Activation is refused until the site has gone.
    with answering(412, 200) as address, connect(address, None, key, 0.0, insecure=True) as let_in:
        assert let_in.node_id == 42


def test_the_doctor_asks_without_disturbing_a_link_that_is_connected(key):
    noted, asked = key.with_suffix(".node"), list[str]()
    with answering(200, asked=asked) as address:
        private = site_key.read_private(key)
        with connect(address, None, key, 0.0, insecure=True):
            with Client.connect(address, None, private, 0.0, True) as doctor:
                doctor.check_access(noted)
            assert [name for name in asked if name != "send-node-heartbeat"] == ["activate-node"]
        del asked[:]
        with Client.connect(address, None, private, 0.0, True) as doctor:
            doctor.check_access(noted)  # the link is gone: nobody is disturbed
        assert asked == ["activate-node", "deactivate-node"]
