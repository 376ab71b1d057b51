"""The live page of a run, in parts: what is sent again is the part that changed.

Whatever a site wrote (names, reasons) is escaped. The page may load nothing, and connect only to
where it came from.
"""

import base64
import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any

from markupsafe import Markup

from federator.results.drawing import charts, plots
from federator.results.privacy import spent
from federator.results.report import templates
from federator.results.watch.following import Following
from federator.runtime.protocol.instructions import FEDERATION

_MOST_DRAWN = 100  # rounds: with ten sites some hundred kilobytes, which are sent after each round
_PARTS = ("name", "headline", "figures", "sites", "failures", "learning", "cost", "privacy")


def parts(following: Following) -> dict[str, str]:
    """Return the HTML of each part, by the id of its element in the page."""
    template, values = templates().get_template("watch_parts.html.j2"), _values(following)
    return {name: "".join(template.blocks[name](template.new_context(values))) for name in _PARTS}


def whole(parts: Mapping[str, str]) -> str:
    """Return the complete page around what :func:`parts` returned."""
    style, script = _style_and_script()
    safe = {id_: Markup(html) for id_, html in parts.items()}
    template = templates().get_template("watch.html.j2")
    return template.render(parts=safe, css=style, script=script).lstrip()


@cache
def policy() -> str:
    """Return the Content-Security-Policy of the page: its own style, script and server."""
    style, script = map(_hash, _style_and_script())
    return (
        f"default-src 'none'; style-src '{style}'; script-src '{script}'; connect-src 'self'; "
        "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


@cache
def _style_and_script() -> tuple[str, str]:
    style, script = (templates().get_template(f"watch.{kind}") for kind in ("css", "js"))
    return style.render(), script.render()


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _values(following: Following) -> dict[str, Any]:
    """Return what the parts are filled with."""
    journal = following.journal
    values: dict[str, Any] = {
        "standing": following.standing,
        "sites_withheld": not following.sites,
        "latest": {},
        "step": 1,
        "measured": None,
        "learning": [],
        "seconds": None,
        "traffic": following.traffic,
        "spending": [],
        "most": None,
        "moment": _moment,
        "linked": lambda text: text,  # a page has no cells to link to
        "plots": plots,
    }
    if journal is not None:
        curve = journal.curve(FEDERATION)
        step = charts.step(journal, _MOST_DRAWN)
        values |= {
            "step": step,
            "latest": charts.latest(journal),
            "measured": curve[-1].round if curve else None,
            "learning": charts.learning(journal, step),
            "seconds": charts.seconds(journal, step),
            "spending": spent.rows(journal),
            "most": spent.largest(journal),
        }
    return values


def _moment(time: datetime) -> Markup:
    """Return a time, which the page's script turns into what is left until then."""
    there = time.astimezone(UTC)
    return Markup('<time datetime="{}" data-left>{} UTC</time>').format(
        there.isoformat(timespec="seconds"), there.strftime("%H:%M:%S")
    )
