"""The sites' public keys, ``compose/<name>/sites/SITE.pub``: who is let in.

They are committed. The running server registers those that are there and locks out those that
are removed; the other sites notice nothing.
"""

from pathlib import Path

from federator.document import did_you_mean
from federator.errors import InputError, Problem
from federator.federation import FILE, Federation
from federator.runtime.keys import fingerprint, line, read_public


def add(federation: Federation, site: str, key: Path) -> str:
    """Let a site in with a public key; return the key's fingerprint, to be compared by telephone.

    Raises:
        InputError: if the federation has no such site, or this is not a public key, or another's.
    """
    path = _place(federation, site)
    public = read_public(key)
    for other in sorted(path.parent.glob("*.pub")):
        if other != path and read_public(other) == public:
            raise InputError(f"{key}: is the key of site {other.stem}: each site makes its own")
    path.parent.mkdir(exist_ok=True)
    partial = path.with_name(f".{path.name}.part")
    partial.write_text(line(public, site) + "\n")
    partial.replace(path)
    return fingerprint(public)


def remove(federation: Federation, site: str) -> Path:
    """Lock a site out, for good with this key; return the file that was removed.

    Raises:
        InputError: if there is no key of that site.
    """
    path = federation.folder / "sites" / f"{site}.pub"
    if not path.exists():
        known = ", ".join(sorted(key.stem for key in path.parent.glob("*.pub")))
        hint = f"sites with a key: {known or 'none'}"
        raise InputError(Problem(f"{path}: there is no key of site {site}", hint=hint))
    path.unlink()
    return path


def without_key(federation: Federation) -> list[str]:
    """Return the names of the federation's sites that have sent no key yet."""
    folder = federation.folder / "sites"
    return [s.name for s in federation.sites if not (folder / f"{s.name}.pub").exists()]


def _place(federation: Federation, site: str) -> Path:
    names = [known.name for known in federation.sites]
    if site not in names:
        hint = did_you_mean(site, names) or f'add "- name: {site}" to its sites'
        raise InputError(Problem(f"{FILE} has no site {site}", hint=hint))
    return federation.folder / "sites" / f"{site}.pub"
