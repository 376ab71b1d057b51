"""How the report writes names and figures; an unknown figure is a dash."""

from datetime import datetime
from math import isfinite

from federator.runtime.protocol.instructions import FEDERATION, PERSONAL


def model(name: str) -> str:
    """Name a model: the federation's, those of the sites for themselves, or one site's alone."""
    known = {FEDERATION: "Federation", PERSONAL: "Personal (Ditto)"}
    return known.get(name, f"{name} alone")


def number(value: float | None) -> str:
    """Write a number with three decimals."""
    return "–" if value is None or not isfinite(value) else f"{value:.3f}"


def inside(title: str) -> str:
    """Write a title inside a sentence: a word in lower case, a name such as IoU as it is."""
    return title.lower() if title.isalpha() and title[1:].islower() else title


def duration(seconds: float | None) -> str:
    """Write a time in seconds, minutes or hours."""
    if seconds is None:
        return "–"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def clock(time: datetime, today: str, other_day: str) -> str:
    """Write a time in this machine's zone, in one format (strftime) of today, else in another."""
    here = time.astimezone()
    is_today = here.date() == datetime.now(here.tzinfo).date()
    return here.strftime(today if is_today else other_day)


def size(count: float) -> str:
    """Write a number of bytes in decimal units."""
    for unit in ("bytes", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "bytes" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"
