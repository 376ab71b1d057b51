"""A site's privacy budget as its link, and its doctor, find it: by settings, policy and ledger."""

from pathlib import Path

from federator.errors import InputError, Problem
from federator.runtime.link.policy.rules import PrivacyRule
from federator.runtime.link.privacy.budget import Budget, NoBudget, used
from federator.runtime.link.privacy.ledger import FILE, PrivacyLedger, Spent
from federator.runtime.protocol.privacy.settings import PrivacySettings


def settings_in(written: str) -> PrivacySettings | None:
    """Return the settings in an option; None if it is empty.

    Raises:
        InputError: if they are none, or give no guarantee.
    """
    try:
        return PrivacySettings.read(written) if written.strip() else None
    except ValueError as error:
        hint = "it stands in the site's file, as the coordinator gave it"
        raise InputError(Problem(f"privacy {error}", hint=hint)) from None


def noted_at(key: Path | None) -> Path | None:
    """Return where the ledger's last line is noted: beside the site's key, if it has one."""
    return key and key.with_suffix(".privacy")


def said(written: str, rule: PrivacyRule | None, records: Path | None, key: Path | None) -> str:
    """Return in words how much is spent, touching nothing; empty where privacy was never asked for.

    Its arguments, and what it raises, are those of :func:`budget`.
    """
    settings = settings_in(written)
    found = PrivacyLedger.look(records / FILE, noted_at(key)) if records else None
    return used(found or Spent(), settings, rule) if found or settings or rule else ""


def budget(
    written: str, rule: PrivacyRule | None, records: Path | None, key: Path | None
) -> NoBudget:
    """Return the budget of a link.

    Args:
        written: the app's settings, as an option has them; empty for none.
        rule: what the site's policy says of privacy.
        records: the folder of the site's record, which has the ledger, too.
        key: the site's key; None on the author's own machine only.

    Raises:
        InputError: if the settings give no guarantee, or the ledger is not whole.
    """
    settings, noted = settings_in(written), noted_at(key)
    file = records and records / FILE
    if settings is not None:
        if file is None:
            raise InputError("differential privacy needs a ledger: --records names its folder")
        return Budget(settings, rule, PrivacyLedger(file, noted))
    if file is None or (not file.exists() and not (noted and noted.exists())):
        return NoBudget(rule)
    return NoBudget(rule, PrivacyLedger(file, noted))
