"""The Dockerfile of a worker that a site builds itself, in its own file.

It starts from the link's image, installs packages by the hash of each file, and takes the code from
the site's file. So nobody has to believe that an image holds the code that was read: the
coordinator's image of the worker is not used.
"""

import re
from collections.abc import Iterable

from federator.runtime.review.forms import IMAGE, Form

_TEXT = """\
# The link's image, packages by the hash of each file, and the code at the end of compose.yaml.
FROM {link}
USER 0
{install}\
RUN --mount=type=bind,source=compose.yaml,target=/mnt/compose.yaml \\
    python -m federator.runtime unpack /mnt/compose.yaml /app
USER 10001:10001
"""
_INSTALL = """\
RUN printf '%s\\n' \\
{packages}\
    > /tmp/packages.txt \\
    && python -m pip install --no-cache-dir --root-user-action ignore \\
{indexes}\
    --require-hashes --only-binary :all: --requirement /tmp/packages.txt \\
    && rm /tmp/packages.txt
"""
_PACKAGE = "    '{package}' \\\n"
_INDEX = "    --{option} {url} \\\n"
_PATTERNS = {
    "link": f"(?P<link>{IMAGE.pattern})",
    "package": r"[A-Za-z0-9][A-Za-z0-9._-]*==[A-Za-z0-9._+!-]+ --hash=sha256:[0-9a-f]{64}",
    "option": "(extra-)?index-url",
    "url": r"https?://[A-Za-z0-9._~%+/:\[\]-]+",
}


def dockerfile(link: str, packages: Iterable[str], indexes: Iterable[tuple[str, str]] = ()) -> str:
    """Return the Dockerfile.

    Args:
        link: the link's image, by its digest.
        packages: lines such as ``torch==2.13.0 --hash=sha256:…``; none if there is nothing to add.
        indexes: pip's options, without dashes, with their addresses.
    """
    lines = "".join(_PACKAGE.format(package=one) for one in packages)
    asked = "".join(_INDEX.format(option=option, url=url) for option, url in indexes)
    install = _INSTALL.format(packages=lines, indexes=asked) if lines else ""
    return _TEXT.format(link=link, install=install)


def _pattern(text: str, **inner: str) -> str:
    """Return a pattern of a text with other patterns in the places of its names."""
    for name, pattern in inner.items():
        text = text.replace(f"{{{name}}}", f"\0{name}\0")
        inner[name] = pattern
    escaped = re.escape(text)
    for name, pattern in inner.items():
        escaped = escaped.replace(re.escape(f"\0{name}\0"), pattern)
    return escaped


_LINES = {
    "packages": f"(?:{_pattern(_PACKAGE, package=_PATTERNS['package'])})+",
    "indexes": f"(?:{_pattern(_INDEX, option=_PATTERNS['option'], url=_PATTERNS['url'])})*",
}
DOCKERFILE = Form(
    _pattern(_TEXT, link=_PATTERNS["link"], install=f"(?:{_pattern(_INSTALL, **_LINES)})?"),
    "the Dockerfile of a worker that a site builds itself",
)


def base(text: str) -> str | None:
    """Return the image that such a Dockerfile starts from; none of another text."""
    found = re.fullmatch(DOCKERFILE.pattern, text, re.ASCII)
    return found["link"] if found else None
