"""The cohort as a site's own file states it: which sites, with which keys, and how many at least.

A server could otherwise play all other sites itself, or sum over a site and nobody else.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric import ec

from federator.errors import InputError, Problem
from federator.runtime.keys.site_key import entry_in
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
        keys: dict[str, ec.EllipticCurvePublicKey] = {}
        for text in texts:
            found = entry_in(text)
            if found is None or found[0] in keys or found[1] in keys.values():
                hint = "ask the coordinator for a file by `federator compose`"
                raise InputError(
                    Problem(f"{text[:40]}… is no site's key for the cohort", hint=hint)
                )
            keys[found[0]] = found[1]
        return Cohort(keys, max(MINIMUM, minimum))
