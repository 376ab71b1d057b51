"""The sites' public keys, ``compose/<name>/sites/SITE.pub``: which sites are admitted.

They are committed. The running server admits a site whose key is added and locks out a site whose
key is removed; the other sites are not interrupted.
"""

from collections.abc import Iterator
from pathlib import Path

from federator.errors import InputError, Problem
from federator.federation.schema import FILE, Federation
from federator.federation.yaml_file import did_you_mean
from federator.runtime import files
from federator.runtime.keys.site_key import NOBODY, entry, fingerprint, line, read_public

_NOBODY = (
    """No site is admitted: the last key was removed. `federator site add` removes this file."""
)


def add(federation: Federation, site: str, key: Path) -> str:
    """Admit a site with a public key; return the key's fingerprint, to be compared by telephone.

    Raises:
        InputError: if the federation has no such site, or the key is invalid or another site's.
    """
    require(federation, site)
    path = _folder(federation) / f"{site}.pub"
    public = read_public(key)
    for other in sorted(path.parent.glob("*.pub")):
        if other != path and read_public(other) == public:
            raise InputError(f"{key}: is the key of site {other.stem}: each site makes its own")
    path.parent.mkdir(exist_ok=True)
    files.write(path, line(public, site) + "\n")
    (path.parent / NOBODY).unlink(missing_ok=True)
    return fingerprint(public)


def remove(federation: Federation, site: str) -> Path:
    """Lock a site's key out for good; return the file that was removed.

    A server with no key at all locks nobody out, since the folder may have been lost. So when the
    last key is removed, a file is written that says that this was intended.

    Raises:
        InputError: if there is no key of that site.
    """
    path = _folder(federation) / f"{site}.pub"
    known = sorted(key.stem for key in path.parent.glob("*.pub"))
    if site not in known:
        hint = f"sites with a key: {', '.join(known) or 'none'}"
        raise InputError(Problem(f"{path}: there is no key of site {site}", hint=hint))
    if known == [site]:
        (path.parent / NOBODY).write_text(f"{_NOBODY}\n")
    path.unlink()
    return path


def nobody(federation: Federation) -> Path | None:
    """Return the file that says that no site is admitted any more, if it exists."""
    path = _folder(federation) / NOBODY
    return path if path.exists() else None


def without_key(federation: Federation) -> list[str]:
    """Return the names of the federation's sites that have sent no key yet."""
    folder = _folder(federation)
    return [s.name for s in federation.sites if not (folder / f"{s.name}.pub").exists()]


def cohort(federation: Federation, folder: Path | None = None) -> list[str]:
    """Return the keys of the federation's sites for secure aggregation: ``SITE:KEY`` for each.

    A site that has sent no key yet is missing.

    Args:
        federation: with the sites.
        folder: of their public keys; if absent, the federation's.

    Raises:
        InputError: if a file holds no key.
    """
    names = sorted(site.name for site in federation.sites)
    files_ = {name: (folder or _folder(federation)) / f"{name}.pub" for name in names}
    return [entry(read_public(path), name) for name, path in files_.items() if path.exists()]


def missing_in_cohort(federation: Federation) -> Iterator[Problem]:
    """Yield a warning if secure aggregation cannot have all sites in a sum yet."""
    names = without_key(federation)
    if federation.secure_aggregation and names:
        message = f"the sites' files lack the keys of {', '.join(names)} for secure aggregation"
        hint = "once they have sent them: `federator site add`, then `federator compose` again"
        yield Problem(message, federation.where("secure_aggregation"), hint)


def require(federation: Federation, site: str) -> None:
    """Check that a federation has a site of this name.

    Raises:
        InputError: if it has no such site.
    """
    names = [known.name for known in federation.sites]
    if site not in names:
        hint = did_you_mean(site, names) or f"its sites are {', '.join(names)}"
        raise InputError(Problem(f"{FILE} has no site {site}", hint=hint))


def _folder(federation: Federation) -> Path:
    return federation.folder / "sites"
