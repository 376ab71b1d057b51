"""The forms of values that vary from one site's file to another."""

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Form:
    """A value that varies.

    Attributes:
        pattern: what all of it matches.
        words: the same for a person.
    """

    pattern: str
    words: str

    def matches(self, text: str) -> bool:
        """Say whether a value is of this form."""
        return bool(re.fullmatch(self.pattern, text, re.ASCII))


def setting(name: str, default: Form) -> Form:
    """Return the form of a value that a site may set in its ``.env``."""
    return Form(rf"\$\{{{name}:-(?:{default.pattern})\}}", f"${{{name}:-{default.words}}}")


# Compose replaces what follows a dollar sign by settings of the machine: only where it is meant to.
TEXT = Form(r"[^$]+", "a text without $")
ANY_TEXT = Form(r"[^$]*", "a text without $, or nothing")
NAME = Form(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?", "a name in small letters")
IMAGE = Form(
    r"[\w.:\[\]-]+(/[\w.-]+)+@sha256:[0-9a-f]{64}", "an image by its digest: name@sha256:…"
)
HASH = Form(r"[0-9a-f]{64}", "a SHA-256")
COHORT = Form(r"([a-z0-9-]+:[A-Za-z0-9+/]+=*\n?)*", "sites with their keys, SITE:KEY")
ADDRESS = Form(r"[\w.:\[\]-]+:\d{1,5}", "host:port")
NUMBER = Form(r"\d{1,6}(\.\d{1,3})?", "a number")
SIZE = Form(r"\d{1,9}[bkmgBKMG]?", "a size such as 9g")
SCRATCH = Form(r"/tmp:size=\d+[kmg],mode=1777", "/tmp:size=…,mode=1777")
_DECIMAL = r"[0-9][0-9.]{0,20}(e-?[0-9]{1,3})?"
PRIVACY = Form(
    f"|epsilon={_DECIMAL} delta={_DECIMAL} clip={_DECIMAL} noise={_DECIMAL} unit=(record|patient)",
    "epsilon=… delta=… clip=… noise=… unit=record or patient, or nothing",
)
DURATION = Form(r"\d{1,5}s", "seconds, such as 30s")
YES_NO = Form(r"true|false", "true or false")
AGAIN = Form(r"unless-stopped|always|on-failure|no", "unless-stopped, always, on-failure or no")
