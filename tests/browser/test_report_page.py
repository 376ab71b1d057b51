"""The report in a real browser: it is painted, nothing complains, and it asks nobody."""

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path

import pytest
from fakes import run_journal
from PIL import Image

from federator.results import report

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "chrome"))), None)
HOSTILE = '<img src="http://outside.invalid/a.png" onerror="alert(1)"><script>alert(2)</script>'

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium: apt-get install chromium"),
]


@dataclass
class Seen:
    """What came of opening a page: what the browser complained of, and whom the page asked."""

    console: list[str]
    requests: list[str]
    dom: str


def _requests(log: Path) -> list[str]:
    """The requests that a page made; Chromium's own are of no origin."""
    events = json.loads(log.read_text())
    started = events["constants"]["logEventTypes"]["URL_REQUEST_START_JOB"]
    asked = [event.get("params", {}) for event in events["events"] if event["type"] == started]
    return [one["url"] for one in asked if one.get("initiator", "not an origin") != "not an origin"]


@pytest.fixture
def browse(tmp_path: Path) -> Callable[..., Seen]:
    def browse(page: Path, *options: str) -> Seen:
        log = tmp_path / "net.json"
        done = subprocess.run(
            [
                CHROMIUM,
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--no-first-run",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
                "--hide-scrollbars",
                "--proxy-server=127.0.0.1:9",  # nobody is there: whatever is asked, nothing leaves
                f"--user-data-dir={tmp_path / 'profile'}",
                f"--log-net-log={log}",
                "--enable-logging=stderr",
                "--v=0",
                *options,
                page.as_uri(),
            ],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        return Seen(re.findall(r"CONSOLE.*", done.stderr), _requests(log), done.stdout)

    return browse


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("results") / "2026-03-02-001"
    run_journal.write(run, reason=HOSTILE, end="failed", metrics={HOSTILE: 0.5})
    return report.write(run)


class Text(HTMLParser):
    """The text of a document, and its elements."""

    def __init__(self, dom: str) -> None:
        super().__init__()
        self.text, self.tags = "", []
        self.feed(dom)

    def handle_starttag(self, tag: str, _: object) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_says_what_happened(page: Path, browse) -> None:
    seen = browse(page, "--dump-dom")
    document = Text(seen.dom)
    for words in ("made-up", "Comparison on test data", "alder alone", "Learning curves", HOSTILE):
        assert words in document.text
    # Curves, sites alone, ROC, calibration, seconds.
    assert document.tags.count("figure") == 3 + 3 * 3 + 2 + 2 + 1
    assert not {"script", "img", "iframe", "object"} & set(document.tags)
    assert (seen.console, seen.requests) == ([], [])


@pytest.mark.parametrize(
    ("options", "paper", "line"),
    [
        ([], (255, 255, 255), (0, 114, 178)),
        (["--blink-settings=preferredColorScheme=0"], (18, 21, 24), (63, 159, 220)),
    ],
    ids=["light", "dark"],
)
def test_the_page_is_painted_with_its_style(
    page: Path, browse, tmp_path: Path, options: list[str], paper: tuple, line: tuple
) -> None:
    shot = tmp_path / "shot.png"
    seen = browse(page, f"--screenshot={shot}", "--window-size=1200,4000", *options)
    with Image.open(shot) as image:
        pixels = {colour: n for n, colour in image.convert("RGB").getcolors(1 << 24)}
    assert pixels[paper] > 0.6 * sum(pixels.values())
    assert pixels.get(line, 0) > 500, "no line in the colour of the first site"
    assert (seen.console, seen.requests) == ([], [])


def test_complaints_and_requests_would_be_noticed(browse, tmp_path: Path) -> None:
    planted = tmp_path / "planted.html"
    planted.write_text(
        '<img src="http://outside.invalid/a.png"><script>console.error("planted")</script>'
    )
    seen = browse(planted, "--dump-dom")
    assert "planted" in " ".join(seen.console)
    assert seen.requests == ["http://outside.invalid/a.png"]


def test_the_policy_stops_a_request_that_slipped_in(page: Path, browse, tmp_path: Path) -> None:
    altered = tmp_path / "altered.html"
    image = '<img src="http://outside.invalid/a.png"></footer>'
    altered.write_text(page.read_text().replace("</footer>", image))
    seen = browse(altered, "--dump-dom")
    assert seen.requests == []
    assert "Content Security Policy" in " ".join(seen.console)
