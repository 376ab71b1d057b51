"""The public keys by which a run is checked: as its journal names them, and as others know them."""

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from federator.errors import InputError
from federator.results.verification.finding import Finding
from federator.runtime.files import sha256
from federator.runtime.keys.site_key import fingerprint, line, public_in
from federator.runtime.server.journal import FILE


@dataclass
class PublicKeys:
    """The keys that one start of a run names.

    Attributes:
        coordinator: in base64, those of which one signs.
        sites: by name.
    """

    coordinator: list[str] = field(default_factory=list)
    sites: dict[str, ec.EllipticCurvePublicKey] = field(default_factory=dict)

    @classmethod
    def of(cls, start: Mapping[str, Any]) -> "PublicKeys":
        """Return the keys that a line ``start`` of a journal names; what is no key is left out."""
        sites = {str(site): str(text) for site, text in start.get("keys", {}).items()}
        return cls(_in_base64(str(start.get("coordinator", ""))), _site_keys(sites))

    @classmethod
    def read(cls, folder: Path) -> "PublicKeys":
        """Return the keys in a federation's folder: ``public/coordinator.*``, ``sites/SITE.pub``.

        Raises:
            InputError: if there are none.
        """
        published = sorted((folder / "public").glob("coordinator.*"))
        coordinator = _in_base64(" ".join(path.read_text() for path in published))
        files = sorted((folder / "sites").glob("*.pub"))
        sites = _site_keys({path.stem: path.read_text() for path in files})
        if not coordinator and not sites:
            raise InputError(f"{folder}: there are no public keys in its folders public and sites")
        return cls(coordinator, sites)

    def compare(self, number: int, named: "PublicKeys") -> list[Finding]:
        """Return which keys that a line of the journal names are others than these."""
        found = []
        if not set(named.coordinator) <= set(self.coordinator):
            found.append(Finding(FILE, number, "names a key that is not the coordinator's"))
        for site, key in named.sites.items():
            if site not in self.sites:
                found.append(Finding(FILE, number, f"names a key of {site}, which has none here"))
            elif line(self.sites[site]) != line(key):
                found.append(Finding(FILE, number, f"names another key of {site} than is here"))
        return found

    def described(self) -> list[str]:
        """Return the keys' fingerprints, each with its owner."""
        names = [sha256(base64.b64decode(text))[:8] for text in self.coordinator]
        shown = [f"coordinator: {', '.join(names)}"] if names else []
        return shown + [f"{site}: {fingerprint(key)}" for site, key in sorted(self.sites.items())]


def ed25519(texts: Sequence[str]) -> list[Ed25519PublicKey]:
    """Return the keys that texts are in base64."""
    return [Ed25519PublicKey.from_public_bytes(base64.b64decode(text)) for text in texts]


def _in_base64(text: str) -> list[str]:
    """Return the keys in a text, each written as ID:LAST_DAY:KEY."""
    found = []
    for word in text.split():
        key = word.rpartition(":")[2]
        try:
            if len(base64.b64decode(key, validate=True)) == 32:
                found.append(key)
        except (binascii.Error, ValueError):
            continue
    return found


def _site_keys(texts: Mapping[str, str]) -> dict[str, ec.EllipticCurvePublicKey]:
    """Return the keys that texts are; what is no key is left out."""
    found = {site: public_in(text.encode()) for site, text in texts.items()}
    return {site: key for site, key in found.items() if key is not None}
