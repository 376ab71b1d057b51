"""The cohort as a site's own file states it: which sites, with which keys, and how many at least.

A server could otherwise play all other sites itself, or sum over a site and nobody else.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric import ec

from federator.errors import InputError, Problem
from federator.runtime.keys.site_key import entries_in
from federator.runtime.masking.terms import MINIMUM


@dataclass(frozen=True)
class Cohort:
    """The sites that may take part in a sum with this one.

    Attributes:
        keys: their public site keys, by name; this site's own among them.
        minimum: the fewest of them of which a sum may be known.
    """

    keys: Mapping[str, ec.EllipticCurvePublicKey]
    minimum: int

    @staticmethod
    def read(texts: Iterable[str], minimum: int) -> "Cohort":
        """Return the cohort that texts name, one ``SITE:KEY`` for each site.

        Raises:
            InputError: if a text is of another form, names a site again, or gives a key again.
        """
        try:
            return Cohort(entries_in(texts), max(MINIMUM, minimum))
        except ValueError as error:
            hint = "ask the coordinator for a file by `federator compose`"
            message = f"{str(error)[:40]}… is no site's key for the cohort"
            raise InputError(Problem(message, hint=hint)) from None
