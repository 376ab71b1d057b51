"""How a site is let in through the gateway, or not; every part is the real one, as a process."""

import pytest
from fakes.proxy import proxy

from federator.deploy import site_keys
from federator.runtime.doctor import network
from federator.runtime.link import fleet as fleet_api
from federator.runtime.link.admission import ConnectionRefused


def connect(deployment, key, ca=None):
    return fleet_api.connect(deployment.address, ca or deployment.ca, key, patience=0.0)


def test_a_key_that_is_not_registered_is_told_what_to_do(deployment):
    public = deployment.make_key("stranger")
    with (
        pytest.raises(ConnectionRefused) as raised,
        connect(deployment, public.with_suffix(".key")),
    ):
        pass
    said = str(raised.value)
    assert "this site's key is not registered at the server: send this line" in said
    assert public.read_text().split()[1] in said


def test_another_authority_s_certificate_is_not_trusted(deployment):
    key = deployment.root / "north" / "site.key"
    other = deployment.keys / "superlink.crt"
    with pytest.raises(ConnectionRefused, match="is not trusted"), connect(deployment, key, other):
        pass


def test_without_an_authority_the_system_s_certificates_count(deployment, monkeypatch):
    key = deployment.root / "north" / "site.key"
    arguments = deployment.address, None, key, 0.0
    with pytest.raises(ConnectionRefused, match="is not trusted"), fleet_api.connect(*arguments):
        pass
    monkeypatch.setenv("SSL_CERT_FILE", str(deployment.ca))
    with fleet_api.connect(*arguments) as fleet:
        assert fleet.receive() is None


@pytest.mark.usefixtures("no_exceptions")
def test_a_site_goes_through_its_proxy(deployment, monkeypatch):
    key = deployment.root / "north" / "site.key"
    with proxy() as (address, asked):
        monkeypatch.setenv("HTTPS_PROXY", address)
        with connect(deployment, key) as fleet:
            assert fleet.receive() is None
    assert f"CONNECT {deployment.address}" in asked


@pytest.mark.usefixtures("no_exceptions")
def test_a_proxy_that_refuses_is_named(deployment, monkeypatch):
    key = deployment.root / "north" / "site.key"
    with proxy(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n") as (address, _):
        monkeypatch.setenv("HTTPS_PROXY", address)
        with (
            pytest.raises(ConnectionRefused, match="of HTTPS_PROXY requires a login"),
            connect(deployment, key),
        ):
            pass


def test_an_unencrypted_connection_does_not_leave_the_machine():
    with (
        pytest.raises(Exception, match="must be encrypted"),
        fleet_api.connect("fl.example.org:443", None, None, 0.0, insecure=True),
    ):
        pass


def test_a_site_that_crashed_is_let_in_again_at_once(deployment):
    key = deployment.root / "north" / "site.key"
    with connect(deployment, key) as before, connect(deployment, key) as after:
        # The server takes the first for connected: the second stands for a link after kill -9.
        assert after.node_id == before.node_id


def test_the_doctor_sees_the_same(deployment):
    key = deployment.root / "north" / "site.key"
    for _ in range(2):  # the second time by the number that the first has noted
        found = list(network.look(deployment.address, deployment.ca, key))
        assert all(finding.passed for finding in found), found
        assert "lets this site's key in" in found[-1].what


def test_a_removed_site_is_locked_out_and_a_new_one_let_in_while_the_server_runs(deployment):
    for name in ("south", "west"):
        deployment.start_link(name)
        deployment.wait_for(f"{name}.link", f"site {name} is connected")
    site_keys.remove(deployment.federation, "west")
    said = deployment.wait_for("west.link", "this site's key is no longer registered")
    assert "make a new key" in said
    deployment.wait_for("server", "site west is locked out")
    (deployment.root / "west" / "site.key").unlink()
    site_keys.add(deployment.federation, "west", deployment.make_key("west"))
    deployment.wait_for("server", "site west is admitted", times=2)
    deployment.wait_for("west.link", "site west is connected", times=2)
    other = (deployment.processes.logs / "south.link.log").read_text()
    assert "no longer registered" not in other
