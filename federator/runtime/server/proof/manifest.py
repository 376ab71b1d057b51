"""The manifest of a run: hashes of its weights and of its journal, signed by the coordinator.

It is ``manifest.json``: JSON whose last member is ``signature``. Signed is the SHA-256 of the
bytes before that member. Before the run's last line is written, the manifest is, and names it.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from federator.runtime.chain import lines, signatures
from federator.runtime.files import file_sha256, sha256, write
from federator.runtime.server.journal import FILE, End, fields_of

NAME = "manifest.json"
_END = re.compile(rb',\n  "signature": "([A-Za-z0-9+/=]*)"\n}\n')
_LONGEST = 120  # bytes of that: a signature has 88 characters

Sign = Callable[[str, str], bytes]
"""Returns the coordinator's signature for a run's name and a SHA-256 (hex)."""


@dataclass(frozen=True)
class Manifest:
    """A manifest as it was found.

    Attributes:
        fields: what it says.
        digest: SHA-256 (hex) of what is signed.
        signature: its text; empty if nobody signed.
    """

    fields: Mapping[str, Any]
    digest: str
    signature: str

    @staticmethod
    def read(content: bytes) -> "Manifest | None":
        """Return the manifest in a file's content; None if it is none."""
        start = content.rfind(b',\n  "signature": "', -_LONGEST)
        end = _END.fullmatch(content[start:]) if start > 0 else None
        try:
            fields = json.loads(content)
        except (ValueError, RecursionError):
            return None
        if end is None or not isinstance(fields, dict):
            return None
        return Manifest(fields, sha256(content[:start]), end[1].decode())


def end(run: Path, event: End, described: Mapping[str, object], sign: Sign | None) -> None:
    """Write the manifest of the run in a folder, then the last line of its journal.

    Args:
        run: the folder.
        event: the end of the run, or of this part of it.
        described: what the manifest says beside hashes.
        sign: asks for the coordinator's signature; None where nobody signs.

    Raises:
        OSError: if one cannot be written.
        RunError: if the signer refuses; then the end is written without a manifest.
    """
    files = {path.name: file_sha256(path) for path in sorted(run.glob("*.safetensors"))}
    with lines.appending(run / FILE) as journal:
        body = lines.body_of(fields_of(event))
        try:
            number = 1 + (run / FILE).read_bytes().count(b"\n")
            sealed = {"lines": number, "chain": lines.chain_of(journal.before, body)}
            _write(run, {**described, "files": files, "journal": sealed}, sign)
        finally:
            journal.write(body)


def _write(run: Path, fields: Mapping[str, object], sign: Sign | None) -> None:
    text = json.dumps(fields, indent=2).removesuffix("\n}").encode()
    signature = b"" if sign is None else sign(run.name, sha256(text))
    ending = f',\n  "signature": "{signatures.as_text(signature)}"\n}}\n'
    write(run / NAME, text + ending.encode())
