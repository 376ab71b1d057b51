"""When keys and certificates end: who is warned, how early, and in which words."""

from datetime import UTC, datetime, timedelta

WARN_BEFORE = timedelta(days=30)
"""How early to warn; certbot renews as early: https://eff-certbot.readthedocs.io."""


def warning(what: str, ends: datetime, remedy: str) -> str | None:
    """Return a warning that something ends soon, or has ended; None while there is time.

    Args:
        what: what ends, such as "the server's certificate".
        ends: when.
        remedy: what to do about it, and who does it.
    """
    left = ends - datetime.now(UTC)
    if left > WARN_BEFORE:
        return None
    if left <= timedelta():
        return f"{what} has ended, on {ends:%Y-%m-%d}: {remedy}"
    return f"{what} ends in {left.days} days, on {ends:%Y-%m-%d}: {remedy}"
