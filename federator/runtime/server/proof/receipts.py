"""The sites' receipts: checked by their public keys as they arrive, and kept in the journal."""

from dataclasses import replace
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec

from federator.errors import InputError
from federator.runtime.keys import site_key
from federator.runtime.masking.terms import RunKey
from federator.runtime.protocol import receipts
from federator.runtime.protocol.outcomes import Failure
from federator.runtime.server.exchange import Answer

RECORDS = "records"
"""The folder of a run on one machine in which its sites keep their records."""


class ReceiptCheck:
    """Checks answers by the receipts that came with them.

    Args:
        folder: of the sites' public keys, ``SITE.pub``; None where sites give no receipts.
        app_hash: of the app that runs.
    """

    def __init__(self, folder: Path | None = None, app_hash: str = "") -> None:
        self._folder, self._app_hash = folder, app_hash

    def checked(self, site: str, answer: Answer) -> Answer:
        """Return an answer, or its failure if it has no receipt that fits.

        A failure needs none, since a site gives none for what the coordinator has not signed; one
        that does not fit is left out.
        """
        if self._folder is None:
            return replace(answer, receipt=None)
        said, told = answer.failure or answer.outcome, answer.instruction
        if said is None or told is None:  # what came is no message
            return replace(answer, receipt=None)
        key = self._key(site)
        wrong = receipts.fault(answer.receipt, key, site, told, said, answer.update)
        if not wrong:
            return answer
        if answer.failure is not None:
            return replace(answer, receipt=None)
        failure = Failure("rejected", wrong)
        return replace(answer, outcome=None, weights=None, failure=failure, receipt=None)

    def has_signed(self, site: str, key: RunKey, run: str) -> bool:
        """Tell whether a site has signed its key for the masks of a run."""
        if self._folder is None:
            return True
        public = self._key(site)
        return public is not None and key.is_signed_by(public, run, site, self._app_hash)

    def public(self, sites: tuple[str, ...]) -> dict[str, str]:
        """Return the public keys of sites, as the one line of their files; of those that have."""
        found = {site: self._key(site) for site in sites}
        return {site: site_key.line(key) for site, key in found.items() if key is not None}

    def _key(self, site: str) -> ec.EllipticCurvePublicKey | None:
        if self._folder is None:
            return None
        try:
            return site_key.read_public(self._folder / f"{site}.pub")
        except InputError:
            return None
