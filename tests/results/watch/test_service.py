"""The live page over HTTP: what is served, to whom, and how soon what was added is there."""

import http.client
import json
import re
import socket
import subprocess
import time
from contextlib import contextmanager

import pytest
from fakes import run_journal
from fakes.run_journal import Writer, result
from fixtures.command_line import FEDERATOR, call
from fixtures.small_notebook import federate

from federator.results.watch.access import Access
from federator.results.watch.following import Following
from federator.results.watch.service import Board, Server

TOKEN = "t" * 43
START = {
    "run": "1", "federation": "tumours", "first_round": 1, "last_round": 4, "strategy": "FedAvg",
    "sites": ["north", "south"], "labels": ["a", "b"],
}  # fmt: skip


@contextmanager
def served(runs, sites=True):
    """A server of a run, and what it follows."""
    following = Following(runs, sites)
    following.look()
    server = Server(("127.0.0.1", 0), Board(following), Access(TOKEN))
    server.start()
    try:
        yield server, following
    finally:
        server.stop()


def get(port, target, **headers):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", target, headers=headers)
    answer = connection.getresponse()
    return answer, answer.read().decode()


@pytest.fixture
def server(tmp_path):
    with served(run_journal.write(tmp_path / "1", rounds=3)) as (server, _):
        yield server


def test_the_page_loads_nothing_and_forbids_itself_all_else(server):
    answer, page = get(server.server_port, f"/?token={TOKEN}")
    assert answer.status == 200 and "<h1" in page and "made-up" in page
    assert not re.findall(r"""(?:src|href)=["'](?!#|data:)""", page) and "url(" not in page
    policy = answer.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'") and "unsafe" not in policy
    assert "connect-src 'self'" in policy and "frame-ancestors 'none'" in policy
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert answer.headers["Cache-Control"] == "no-store"
    assert TOKEN not in page


@pytest.mark.parametrize("target", ["/", "/events", "/metrics", "/?token=wrong", "/nothing"])
def test_without_the_token_there_is_nothing(server, target):
    answer, text = get(server.server_port, target)
    assert answer.status == 403 and "token" in text and "made-up" not in text


def test_another_name_is_refused_also_with_the_token(server):
    answer, _ = get(server.server_port, f"/?token={TOKEN}", Host="evil.example:8712")
    assert answer.status == 403


def test_the_metrics_are_served_to_a_bearer_of_the_token(server):
    answer, text = get(server.server_port, "/metrics", Authorization=f"Bearer {TOKEN}")
    assert answer.headers["Content-Type"].startswith("application/openmetrics-text")
    assert text.endswith("# EOF\n") and "federator_rounds_done 3" in text
    assert get(server.server_port, f"/nothing?token={TOKEN}")[0].status == 404


class Events:
    """A stream of server-sent events, as a browser reads it."""

    def __init__(self, port):
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        self._connection.request("GET", f"/events?token={TOKEN}")
        self.answer = self._connection.getresponse()

    def next(self, name="parts"):
        """Return the data of the next event of that name."""
        kind = ""
        while line := self.answer.readline().decode():
            field, _, value = line.rstrip("\n").partition(": ")
            if field == "event":
                kind = value
            if field == "data" and kind == name:
                return json.loads(value)
        raise AssertionError("the stream has ended")

    def close(self):
        self._connection.close()


def test_a_round_is_sent_as_it_is_written_and_nothing_that_did_not_change(tmp_path):
    write = Writer(tmp_path / "1")
    write("start", **START)
    with served(tmp_path) as (server, following):
        events = Events(server.server_port)
        assert events.answer.headers["Content-Type"] == "text/event-stream"
        assert "round 0 of 4" in events.next()["headline"]
        part = {"ok": True, "seconds": 3.0}
        write("round", model="federation", round=1, seconds=3.5, sites={"north": part})
        assert following.look()
        server.board.put(following)
        sent = events.next()
        assert "round 1 of 4" in sent["headline"] and "sites" in sent and "privacy" not in sent
        events.close()


def test_when_nothing_happens_it_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr("federator.results.watch.service.BEAT", 0.1)
    with served(tmp_path) as (server, _):
        events = Events(server.server_port)
        assert "Waiting for a run" in events.next()["name"]
        assert events.next("beat") == {}
        events.close()


def test_no_more_pages_are_open_than_it_has_threads_for(tmp_path, monkeypatch):
    monkeypatch.setattr("federator.results.watch.service._STREAMS", 1)
    with served(tmp_path) as (server, _):
        events = Events(server.server_port)
        events.next()
        assert get(server.server_port, f"/events?token={TOKEN}")[0].status == 503
        events.close()


def test_what_a_site_writes_stays_text(tmp_path):
    hostile = "<script>alert(1)</script>"
    write = Writer(tmp_path / "1")
    write("start", **{**START, "federation": hostile})
    write("site", site="north", state="failed", reason=hostile)
    with served(tmp_path) as (server, _):
        _, page = get(server.server_port, f"/?token={TOKEN}")
        assert hostile not in page and "&lt;script&gt;alert(1)" in page


def test_no_figure_of_a_site_is_served_where_the_file_says_so(tmp_path):
    """Each figure of a site is a number that is nowhere else; the pooled ones are other numbers."""
    import numpy as np

    random, write = np.random.default_rng(3), Writer(tmp_path / "1")
    write("start", **START)
    sizes = {"north": 7_411, "south": 8_623}
    for number, (site, size) in enumerate(sizes.items()):
        sets = {"trainset": size, "valset": size + 1, "testset": size + 2}
        write("site", site=site, state="joined", examples=sets)
        write(
            "privacy", site=site, training=1.5 + number, evaluations=0.25, delta=1e-5,
            sample_rate=0.07153, noise=1.6127, steps=5_519,
        )  # fmt: skip
    figures = {"seconds": 61.347, "bytes_down": 70_907_531, "bytes_up": 70_907_577}
    parts = {
        site: {"ok": True, "examples": size, **figures, "update": {"norm": 0.98761}}
        for site, size in sizes.items()
    }
    found = {site: result(random, size + 1, 0.8) for site, size in sizes.items()}
    losses = {site: 0.412_341 + 0.1 * n for n, site in enumerate(sizes)}
    for site, one in found.items():
        one["loss"] = losses[site]
    write("round", model="federation", round=1, seconds=64.5, sites=parts)
    write("validation", model="federation", round=1, sites=found)
    write("round", model="north", round=1, seconds=71.25, sites={"north": parts["north"]})
    own = ["7411", "7412", "7413", "8623", "8624", "8625", "61.3", "70907531", "70.9 MB"]
    own += ["0.0715", "1.61", "5519", "0.987", "0.412", "0.512", "71.2"]

    def everything(sites):
        with served(tmp_path, sites) as (server, _):
            events = Events(server.server_port)
            sent = json.dumps(events.next())
            events.close()
            targets = (f"/?token={TOKEN}", f"/metrics?token={TOKEN}")
            return "".join([sent, *(get(server.server_port, one)[1] for one in targets)])

    withheld = everything(False)
    # Not of the style sheet and the script, which are the same for every run.
    shown = re.sub(r"<style>.*?</style>|<script>.*?</script>", "", withheld, flags=re.DOTALL)
    assert [one for one in own if one in shown] == []
    assert "0.466" in shown  # the loss of all sites together
    assert "2.75" in shown  # the largest epsilon
    allowed = everything(True)
    assert [one for one in ("7411", "61.3", "0.412", "north") if one not in allowed] == []


def test_the_federation_file_says_whose_figures_are_served(tmp_path):
    from federator.results.progress import place

    read = federate(tmp_path)
    runs = read.root / "results" / read.name
    run_journal.write(runs / "1")
    for path in (read.folder, runs, runs / "1"):
        assert not place.shows_sites(path)
    file = read.folder / "federation.yaml"
    file.write_text(f"{file.read_text()}\npublish: {{sites: true}}\n")
    for path in (read.folder, file, runs, runs / "1"):
        assert place.shows_sites(path)
    assert place.runs(file) == place.runs(read.folder) == runs
    (tmp_path / "alone").mkdir()
    assert not place.shows_sites(tmp_path / "alone")


@contextmanager
def command(*arguments):
    """The command as a process of its own; what it printed can be read at its end."""
    process = subprocess.Popen(
        [*FEDERATOR, "watch", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def test_a_finished_round_is_on_the_page_within_two_seconds(tmp_path):
    write = Writer(tmp_path / "1")
    write("start", **START)
    with command(tmp_path, "--port", 0) as process:
        address = process.stdout.readline().split()[-1]
        port, token = re.fullmatch(r"http://127\.0\.0\.1:(\d+)/\?token=(\S+)", address).groups()
        assert get(port, f"/?token={token}")[0].status == 200
        part = {"ok": True, "seconds": 3.0}
        write("round", model="federation", round=1, seconds=3.5, sites={"north": part})
        deadline = time.monotonic() + 2
        while "round 1 of 4" not in get(port, f"/?token={token}")[1]:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.terminate()
        out, _ = process.communicate(timeout=20)
        assert process.returncode == 143 and "GET" not in out and token not in out


def test_it_listens_on_loopback_unless_another_address_is_given(tmp_path):
    def reachable(address, port):
        with socket.socket() as asking:
            asking.settimeout(5)
            return asking.connect_ex((address, int(port))) == 0

    # 127.0.0.2 is an address of this machine, too: whoever listens at all of them listens there.
    for options, everywhere in (([], False), (["--bind", "0.0.0.0"], True)):
        with command(tmp_path, "--port", 0, *options) as process:
            port = re.search(r":(\d+)/", process.stdout.readline())[1]
            assert reachable("127.0.0.1", port)
            assert reachable("127.0.0.2", port) == everywhere


def test_of_a_token_in_a_file_nothing_is_printed(tmp_path):
    file = tmp_path / "token"
    file.write_text(TOKEN)
    with command(tmp_path, "--port", 0, "--token-file", file) as process:
        line = process.stdout.readline()
        assert line.endswith("/?token=TOKEN\n")
        port = re.search(r":(\d+)/", line)[1]
        assert get(port, f"/?token={TOKEN}")[0].status == 200
        assert get(port, "/?token=TOKEN")[0].status == 403
        process.terminate()
        assert TOKEN not in process.communicate(timeout=20)[0]


def test_what_cannot_be_served_is_told(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = call("watch", tmp_path, "--port", taken.getsockname()[1])
    assert done.exit_code == 2 and "choose another: --port" in done.output
    assert "is no folder" in call("watch", tmp_path / "none").output
    assert "server's container only" in call("watch").output
