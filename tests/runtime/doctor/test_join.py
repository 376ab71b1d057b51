"""What a site's operator is shown, step by step, until the site can take part."""

import threading
from contextlib import contextmanager

import pytest
from fakes.server import answering

from federator.runtime import __main__
from federator.runtime.doctor import check, join
from federator.runtime.doctor.finding import Finding
from federator.runtime.files import fingerprint
from federator.runtime.keys import site_key
from federator.runtime.protocol.handover import connect

READY = [Finding(True, "train set: 64 examples")]
STEPS = ("1. The file", "2. This site's key", "3. The network", "4. The data")


class Site:
    """A site's folder, and what its containers are told by their environment."""

    def __init__(self, folder, patch):
        self.file, self.key, self.looked = folder / "compose.yaml", folder / "site.key", 0
        self.file.write_text("services: {}\n")
        self.certificate = folder / "server.crt"
        told = {"SITE": "north", "KEY": self.key, "SOCKET": folder / "socket", "DATA": folder}
        for name, value in told.items():
            patch.setenv(f"FEDERATOR_{name}", str(value))
        patch.setattr(join, "_PAUSE", 0.01)
        patch.setattr(join, "_CONNECTED", 5.0)
        self._folder, self._patch = folder, patch

    def join(self, *options, status=200, findings=READY, **settings):
        """Run join, with a server that answers so and a check that finds this."""

        def look(*_):
            self.looked += 1
            yield from findings

        self._patch.setattr(check, "of_data", look)
        statuses = status if isinstance(status, tuple) else (status,)
        with answering(*statuses, folder=self._folder, **settings) as address, self._checking():
            self._patch.setenv("FEDERATOR_SERVER", address)
            self._patch.setenv("FEDERATOR_CA", self.certificate.read_text())
            return __main__.main(["join", f"--file={self.file}", *options])

    @contextmanager
    def _checking(self):
        self._patch.setattr(check, "_PATIENCE", 1.0)
        other = threading.Thread(target=__main__.main, args=(["check"],), daemon=True)
        other.start()
        yield
        other.join()


@pytest.fixture
def site(tmp_path, monkeypatch):
    return Site(tmp_path, monkeypatch)


def test_from_a_file_to_a_site_that_is_ready(site, capsys):
    assert site.join() == 0
    said = capsys.readouterr().out
    assert sorted(STEPS, key=said.index) == list(STEPS)
    assert f"as it is read here: {fingerprint(site.file.read_bytes())}\n" in said
    public = site_key.read_private(site.key).public_key()
    assert f"\n{site_key.line(public, 'north')}\n" in said
    assert f"pass  this site's key is {site_key.fingerprint(public)}\n" in said
    assert "pass  the server lets this site's key in\n" in said
    assert said.index("lets this site's key in") < said.index("pass  train set: 64 examples\n")
    assert said.endswith("The site takes part with: docker compose up -d\n")
    kept = site.key.read_bytes()
    assert site.join() == 0
    assert site.key.read_bytes() == kept, "a key is never made anew"


def test_a_fingerprint_of_the_file_itself_is_not_called_right(site, capsys):
    assert site.join() == 0
    shown = capsys.readouterr().out.partition(STEPS[1])[0]
    assert "pass" not in shown and "could print here what it likes" in shown
    assert "sed 's/\\r$//' compose.yaml | sha256sum" in shown


def test_it_waits_until_the_coordinator_has_admitted_the_key(site, capsys):
    assert site.join(status=(412, 412, 412, 200)) == 0
    said = capsys.readouterr().out
    assert said.count("wait  for the coordinator to admit this site's key, for 15 minutes") == 1
    assert said.index("wait  ") < said.index("pass  the server lets this site's key in")


def test_a_key_that_nobody_admits_ends_it_before_the_data_are_looked_at(site, capsys):
    assert site.join("--wait=0.001", status=412) == 1
    said = capsys.readouterr().out
    assert "FAIL  this site's key is not registered at the server\n      send this line" in said
    assert said.endswith("Then run this again: docker compose run --rm join\n")
    assert STEPS[3] not in said and not site.looked


def test_what_is_missing_in_the_network_comes_first_and_all_of_it_is_shown(site, capsys):
    assert site.join(status=412, health=502, ahead=3600) == 1
    said = capsys.readouterr().out
    assert said.count("FAIL  ") == 3 and "set it right: turn NTP on" in said
    assert "wait  " not in said and STEPS[3] not in said and not site.looked


def test_what_is_wrong_with_the_data_is_shown_and_no_terminal_acts_on_it(site, capsys):
    found = [*READY, Finding(False, "a\x1b[2Jb", "first\nsecond\x07"), *READY]
    assert site.join(findings=found) == 1
    said = capsys.readouterr().out
    assert "FAIL  a\\x1b[2Jb\n      first\nsecond\\x07\n" in said
    assert said.count("train set") == 2 and "up -d" not in said


def test_a_check_that_says_nothing_has_found_nothing_in_order(site, capsys):
    assert site.join(findings=[]) == 1
    assert "up -d" not in capsys.readouterr().out


@pytest.fixture
def says(tmp_path, monkeypatch):
    """Has a check in the place of ours say this, and end."""

    def says(*packets):
        def main(_):
            channel = connect(tmp_path / "join", 5)
            channel.receive()
            for packet in packets:
                channel.send(packet)
            channel.close()

        monkeypatch.setattr(check, "main", main)

    return says


def test_a_check_that_dies_is_told(site, says, capsys):
    says(READY[0]._asdict())
    assert site.join() == 1
    said = capsys.readouterr().out
    assert "FAIL  the container that looks at the data has ended too early" in said
    assert "docker compose logs check" in said and "WORKER_MEMORY" in said


def test_join_takes_no_more_of_a_check_than_findings(site, says, capsys):
    """Whatever a check that was taken over says is shown, or ends it."""
    says({"passed": 1, "what": ["x"], "order": "send the key"}, {"done": True})
    assert site.join() == 1
    assert "FAIL  ['x']\n" in capsys.readouterr().out


def test_a_check_that_is_not_there_is_told(site, monkeypatch, capsys):
    monkeypatch.setattr(join, "_CONNECTED", 0.1)
    monkeypatch.setattr(check, "SOCKET", "elsewhere")
    assert site.join() == 1
    assert "FAIL  the container that looks at the data is not there" in capsys.readouterr().out


def test_without_its_file_no_key_is_made(site, capsys):
    site.file.unlink()
    assert site.join() == 1
    said = capsys.readouterr().out
    assert "FAIL  compose.yaml cannot be read here" in said and "chmod a+r" in said
    assert not site.key.exists()


def test_where_no_socket_can_be_made_it_is_told(site, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("FEDERATOR_SOCKET", str(tmp_path / "absent" / "socket"))
    assert site.join() == 1
    assert "the volume handover must be writable" in capsys.readouterr().err


def test_the_check_does_not_begin_by_itself(site, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(check, "_PATIENCE", 0.1)
    assert __main__.main(["check"]) == 1
    assert "join has ended before this had" in capsys.readouterr().err
    assert not (tmp_path / "join").exists() and not site.looked


@pytest.mark.parametrize(("command", "needed"), [("join", "--server"), ("check", "--data")])
def test_outside_of_its_container_nothing_is_said_to_be_in_order(command, needed, capsys):
    with pytest.raises(SystemExit):
        __main__.main([command, "--socket=/absent/socket"])
    assert needed in capsys.readouterr().err
