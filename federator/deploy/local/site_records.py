"""The records of a local run's sites, in the run's folder, and the keys that sign them.

A hospital has its record on a volume of its own, and one key for all runs.
"""

import getpass
from collections.abc import Iterable
from pathlib import Path

from federator.deploy import site_keys
from federator.federation.schema import Federation
from federator.runtime.files import write
from federator.runtime.keys import site_key
from federator.runtime.server.proof.receipts import RECORDS

PUBLIC = "sites"
"""The folder, within that for temporary files, of the sites' public keys."""


def prepare(run: Path, scratch: Path, sites: Iterable[str]) -> None:
    """Make a key for each site, and the folder of its record."""
    (scratch / PUBLIC).mkdir()
    for site in sites:
        public = site_key.make(scratch / f"{site}.key").public_key()
        write(scratch / PUBLIC / f"{site}.pub", site_key.line(public, site) + "\n")
        _folder(run, site).mkdir(parents=True, exist_ok=True)


def options(run: Path, scratch: Path, site: str, federation: Federation) -> list[str]:
    """Return the options by which a site's link knows both, and all sites' keys if it masks."""
    own = [f"--records={_folder(run, site)}", f"--record-key={scratch / f'{site}.key'}"]
    if not federation.secure_aggregation:
        return own
    return [*own, "--cohort", *site_keys.cohort(federation, scratch / PUBLIC)]


def user() -> str:
    """Return the name of who runs this; empty where the system has none."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return ""


def _folder(run: Path, site: str) -> Path:
    return run.resolve() / RECORDS / site
