"""What a person may ask pip to install: one requirement, as in a requirements file.

pip reads more there than PEP 508 says: options, environment variables, comments, and lines that
go on in the next. None of that gets through.
"""

import re
from urllib.parse import urlsplit

from packaging.requirements import InvalidRequirement, Requirement

_EXAMPLE = "what pip installs, such as monai==1.4.0"
_SPECIAL = re.compile(r"[\\$`\x00-\x1f\x7f]|(?<![^\s])#")
_ARBITRARY = re.compile(r"[A-Za-z0-9][A-Za-z0-9.!+_-]*")
_SCHEMES = ("https", "http", "git+https", "git+ssh")


def requirement_line(value: object) -> str:
    """Return a requirement in its usual spelling.

    Raises:
        ValueError: if it is none; the text goes on after "must be".
    """
    try:
        parsed = Requirement(value) if isinstance(value, str) else None
    except InvalidRequirement:
        parsed = None
    if parsed is None:
        raise ValueError(_EXAMPLE)
    line = str(parsed)
    if _SPECIAL.search(line):
        raise ValueError(f"{_EXAMPLE}, without $, #, ` and backslash")
    for one in parsed.specifier:
        if one.operator == "===" and not _ARBITRARY.fullmatch(one.version):
            raise ValueError(f"{_EXAMPLE}, with a version of letters, digits, dots and hyphens")
    if parsed.url is not None:
        _check_address(parsed.url)
    return line


def _check_address(url: str) -> None:
    address = urlsplit(url)
    if address.scheme not in _SCHEMES or not address.netloc:
        raise ValueError("at an address that starts with https:// or git+https://")
    login, separator, _ = address.netloc.rpartition("@")
    # Whatever stands here stays in the image; git@ is no secret.
    if separator and (":" in login or address.scheme != "git+ssh"):
        raise ValueError("at an address without user and password")
