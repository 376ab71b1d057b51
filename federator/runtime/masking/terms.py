"""The terms of an attempt at a round: which sites take part, with which keys, on which grid.

They stand in the instruction that the coordinator signs. The masks follow from all of them, so
that sites which were told different terms have masks that do not cancel.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from cryptography.hazmat.primitives.asymmetric import ec

from federator.runtime.chain import signatures
from federator.runtime.files import sha256
from federator.runtime.masking.fixed_point import MOST_SITES, Grid
from federator.runtime.masking.masks import SEED
from federator.runtime.untrusted import MALFORMED, printable, read_json

MINIMUM = 3
"""The fewest sites whose sum may be known: of two, each would know the other's update."""
_MOST_TEXT = 2**20
_MOST_COUNT = 2**53


class TermsError(ValueError):
    """Terms of another form, or that no site should follow."""


@dataclass(frozen=True)
class RunKey:
    """A site's public key for the masks of one run, which it has signed with its site key.

    Attributes:
        key: X25519, in base64.
        signature: the site's (``signatures.by_site``).
    """

    key: str
    signature: str

    @classmethod
    def signed(
        cls, key: bytes, by: ec.EllipticCurvePrivateKey, run: str, site: str, app_hash: str
    ) -> "RunKey":
        """Return a key with a site's signature."""
        text = signatures.as_text(key)
        return cls(text, signatures.by_site(by, _statement(text, run, site, app_hash)))

    def is_signed_by(
        self, key: ec.EllipticCurvePublicKey, run: str, site: str, app_hash: str
    ) -> bool:
        """Tell whether a site has signed the key, for this run of this app."""
        return signatures.is_sites(key, _statement(self.key, run, site, app_hash), self.signature)

    @property
    def raw(self) -> bytes:
        """The key's 32 bytes.

        Raises:
            TermsError: if it has another form.
        """
        return unpacked(self.key)


def unpacked(text: str) -> bytes:
    """Return the key or the seed that a text stands for.

    Raises:
        TermsError: if it has another form.
    """
    if (raw := signatures.as_bytes(text, SEED)) is None:
        raise TermsError("not a key for masks")
    return raw


def _statement(key: str, run: str, site: str, app_hash: str) -> bytes:
    return "\n".join(["federator key for masks 1", run, site, app_hash, key]).encode()


@dataclass(frozen=True)
class Member:
    """A site in the cohort: its name, its number of examples, and its key."""

    site: str
    examples: int
    key: RunKey


@dataclass(frozen=True)
class Terms:
    """The terms of an attempt.

    Attributes:
        attempt: its number within the round, from 1.
        grid: the fixed-point numbers.
        cohort: the sites that take part, in the order of their names.
    """

    attempt: int
    grid: Grid
    cohort: tuple[Member, ...]

    @property
    def sites(self) -> list[str]:
        """The names of the cohort."""
        return [member.site for member in self.cohort]

    def share(self, site: str) -> float:
        """Return a site's share of all examples, from 0 to 1."""
        total = sum(member.examples for member in self.cohort)
        return next(one.examples for one in self.cohort if one.site == site) / total

    def name(self, run: str, number: int) -> bytes:
        """Return what names this attempt at a round of a run, with all of its terms."""
        return sha256(json.dumps([run, number, self.write()]).encode()).encode()

    def write(self) -> str:
        """Return the terms as JSON, always the same for the same terms."""
        return json.dumps(asdict(self), sort_keys=True, separators=(",", ":"))

    @staticmethod
    def read(text: str) -> "Terms":
        """Return the terms that are written in JSON.

        Raises:
            TermsError: if they have another form, or the sum could overflow on their grid.
        """
        try:
            found = read_json(text, _MOST_TEXT)
            if not isinstance(found, dict):
                raise TypeError("a mapping")
            cohort = tuple(
                Member(**{**one, "key": RunKey(**one["key"])}) for one in found["cohort"]
            )
            terms = Terms(found["attempt"], Grid(**found["grid"]), cohort)
            same = terms.write() == text
        except MALFORMED as error:
            raise TermsError(f"no terms of a round ({type(error).__name__})") from None
        if not same or not _has_form(terms):
            raise TermsError("no terms of a round")
        if not terms.grid.holds(len(cohort)):
            raise TermsError(f"on this grid the sum of {len(cohort)} sites could overflow")
        return terms


def _has_form(terms: Terms) -> bool:
    names = terms.sites
    keys = [text for member in terms.cohort for text in asdict(member.key).values()]
    if not all(isinstance(text, str) for text in [*names, *keys]):
        return False
    numbers = [terms.attempt, terms.grid.bits, *(member.examples for member in terms.cohort)]
    return (
        names == sorted(set(names))
        and len({member.key.key for member in terms.cohort}) == len(names) <= MOST_SITES
        and all(type(one) is int and 0 <= one < _MOST_COUNT for one in numbers)
        and type(terms.grid.bound) is float
        and terms.attempt > 0
    )


def require_enough(terms: Terms, minimum: int) -> None:
    """Check that a sum is over enough sites: those without examples do not count.

    Raises:
        TermsError: if it is not.
    """
    least = max(minimum, MINIMUM)
    filled = [member for member in terms.cohort if member.examples]
    if len(filled) < least:
        what = f"a sum of {len(filled)} sites with examples is asked for"
        raise TermsError(f"{what}, and {least} at least are needed")


def require_signed(
    terms: Terms, keys: Mapping[str, ec.EllipticCurvePublicKey], run: str, app_hash: str
) -> None:
    """Check each key of the cohort by site keys that are known otherwise.

    Args:
        terms: with the cohort.
        keys: the public site keys, by site.
        run: the name of the run.
        app_hash: of the app that runs.

    Raises:
        TermsError: naming the first site that has no such key, or has not signed its own.
    """
    for member in terms.cohort:
        known = keys.get(member.site)
        if known is None:
            raise TermsError(f"site {printable(member.site, 64)} is not in the cohort of its file")
        if not member.key.is_signed_by(known, run, member.site, app_hash):
            raise TermsError(f"the key of {member.site} is not signed with its site key")
