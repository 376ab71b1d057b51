"""A file's fingerprint, for two people to compare by telephone.

The first 128 bits of its SHA-256, in groups of four. The letters of the hexadecimal digits, which
sound alike, are replaced by six that do not. Anyone can compute it without trusting this program:
see ``COMMAND``. All of the file counts, comments included, except for how its lines end.
"""

import hashlib
import re

_DIGITS = str.maketrans("abcdef", "KMRWXY")

COMMAND = r"sed 's/\r$//' {} | sha256sum | cut -c1-32 | tr a-f KMRWXY | fold -w4 | paste -sd' ' -"
"""What prints the fingerprint of the file ``{}`` in a shell."""


def fingerprint(content: bytes) -> str:
    """Return the fingerprint of a file's content: eight groups of four."""
    digits = hashlib.sha256(re.sub(rb"\r(?=\n|\Z)", b"", content)).hexdigest()[:32]
    return " ".join(re.findall("....", digits.translate(_DIGITS)))
