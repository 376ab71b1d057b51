"""The live page in a real browser: it follows the run, finds the server again, and can be used."""

import json
import os
import signal
import subprocess
import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from fakes import run_journal
from fakes.run_journal import Writer
from fixtures import jupyter_lab
from fixtures.command_line import FEDERATOR

from federator.deploy.local.superlink import free_port
from federator.results import report

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(
        jupyter_lab.CHROMIUM is None, reason="no chromium: apt-get install chromium"
    ),
]
TOKEN = "t" * 43
SAID = "document.getElementById('connection')?.textContent"
LIVE, LOST = f"{SAID}?.startsWith('Live')", f"{SAID}?.startsWith('Connection lost at')"
OK = {"ok": True, "examples": 40, "seconds": 3.0, "bytes_down": 1000, "bytes_up": 1000}
AXE = os.environ.get("AXE_CORE", "")  # axe.min.js of the npm package axe-core (MPL-2.0)


@contextmanager
def watching(runs: Path, port: int):
    """The command `federator watch`, with a token in a file."""
    file = runs.parent / "token"
    file.write_text(TOKEN)
    options = ["--port", str(port), "--token-file", str(file)]
    process = subprocess.Popen(
        [*FEDERATOR, "watch", str(runs), *options], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout.readline().startswith("live page: ")
        yield f"http://127.0.0.1:{port}/?token={TOKEN}"
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    run = run_journal.write(
        tmp_path_factory.mktemp("watch") / "results" / "2026-03-02-001",
        rounds=4, end=None, baselines=False, tested=False,
    )  # fmt: skip
    run_journal.change(run, lambda line: line.update(last_round=10), event="start")
    return run


@pytest.fixture(scope="module")
def page(run, tmp_path_factory):
    """The page of a run that goes on."""
    scratch, port = tmp_path_factory.mktemp("browser"), free_port()
    with (
        watching(run.parent, port) as address,
        jupyter_lab.browser(address, scratch, free_port(), "1200,1400") as page,
    ):
        page.wait(LIVE, 20)
        yield page


def further(run: Path) -> Writer:
    """A writer that goes on with a journal, at the present time."""
    write = Writer(run)
    write.time = datetime.now(UTC)
    return write


def test_a_finished_round_is_seen_within_two_seconds(run, page):
    write = further(run)
    sites = {"alder": OK, "birch": OK, "cedar": {"ok": False, "reason": "its link was lost"}}
    write("round", model="federation", round=5, seconds=3.5, sites=sites)
    began = time.monotonic()
    page.wait("document.getElementById('headline').textContent.includes('round 5 of 10')", 10)
    assert time.monotonic() - began < 2
    assert "round 5, site cedar: failed (its link was lost)" in page.text()


def test_who_is_waited_for_is_seen_and_the_time_runs(run, page):
    until = datetime.now(UTC) + timedelta(minutes=5)
    further(run)("waiting", sites=["cedar"], until=until.isoformat(timespec="seconds"))
    left = "document.querySelector('time[data-left]').textContent"
    page.wait("document.getElementById('figures').textContent.includes('Waiting for')", 10)
    page.wait(f"{left}.startsWith('4 min')", 10)
    first = page.evaluate(left)
    page.wait(f"{left} != {first!r}", 5)


def test_nothing_complains(page):
    """Neither its script fails, nor does its policy stop what the page needs."""
    page.evaluate("window.wrong = []")
    page.evaluate("addEventListener('error', (e) => wrong.push(e.message))")
    listen = "addEventListener('securitypolicyviolation', (e) => wrong.push(e.violatedDirective))"
    page.evaluate(listen)
    time.sleep(2)
    assert page.evaluate("JSON.stringify(wrong)") == "[]"
    page.evaluate("document.body.insertAdjacentHTML('beforeend', '<img src=http://a.invalid/x>')")
    page.wait("wrong.includes('img-src')", 5)
    page.evaluate("document.querySelector('img').remove()")


def test_at_400_percent_nothing_has_to_be_scrolled_sideways(page):
    for width in (320, 1280):
        page.ask(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=800, deviceScaleFactor=1, mobile=False,
        )  # fmt: skip
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.ask("Emulation.clearDeviceMetricsOverride")


def test_it_is_usable_by_keyboard_and_an_update_leaves_the_reader_where_they_are(run, page):
    page.evaluate("document.activeElement.blur()")
    reached = []
    for _ in range(14):
        page.key("Tab", 9)
        reached.append(page.evaluate("document.activeElement.textContent.trim().slice(0, 22)"))
        if page.evaluate("document.activeElement.tagName") == "SUMMARY":
            break
    assert reached[:2] == ["Sites", "What failed"] and reached[-1] == "The curves as numbers"
    page.key("Enter", 13, text="\r")
    page.wait("document.querySelector('#learning details').open", 5)
    found = {site: run_journal.result(run_journal.np.random.default_rng(1), 20, 0.9) for site in
             ("alder", "birch")}  # fmt: skip
    further(run)("validation", model="federation", round=5, sites=found)
    page.wait("document.getElementById('figures').textContent.includes('after round 5')", 10)
    assert page.evaluate("document.querySelector('#learning details').open")
    assert page.evaluate("document.activeElement.tagName") == "SUMMARY"


def test_it_says_when_it_lost_the_connection_and_finds_the_server_again(tmp_path):
    port = free_port()
    run = run_journal.write(
        tmp_path / "results" / "1", rounds=2, end=None, baselines=False, tested=False
    )
    with watching(run.parent, port) as address:
        opened = jupyter_lab.browser(address, tmp_path, free_port())
        page = opened.__enter__()
        page.wait(LIVE, 20)
    try:
        page.wait(LOST, 10)
        write = Writer(tmp_path / "results" / "2")  # meanwhile, the next run
        write.time = datetime.now(UTC)
        write(
            "start", run="2", federation="made-up", first_round=1, last_round=7, strategy="FedAvg",
            sites=["alder"], labels=["a", "b"],
        )  # fmt: skip
        with watching(run.parent, port):
            page.wait(LIVE, 20)
            page.wait("document.body.textContent.includes('round 0 of 7')", 5)
    finally:
        opened.__exit__(None, None, None)


@pytest.mark.skipif(not AXE, reason="no axe-core: npm pack axe-core, AXE_CORE=…/axe.min.js")
def test_axe_finds_no_serious_fault_in_page_and_report(page, tmp_path):
    def serious(opened) -> list:
        opened.evaluate(Path(AXE).read_text() + ";0")
        found = opened.ask(
            "Runtime.evaluate", expression="axe.run().then((r) => JSON.stringify(r.violations))",
            awaitPromise=True, returnByValue=True,
        )["result"]["value"]  # fmt: skip
        return [
            (one["id"], one["impact"], [node["html"][:200] for node in one["nodes"]])
            for one in json.loads(found)
            if one["impact"] in ("serious", "critical")
        ]

    assert serious(page) == []
    written = report.write(run_journal.write(tmp_path / "run"))
    with jupyter_lab.browser(written.as_uri(), tmp_path, free_port()) as opened:
        opened.wait("document.readyState == 'complete'", 20)
        assert serious(opened) == []
