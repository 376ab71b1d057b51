"""Sites' records beside a run's journal: the same answers, and none that the journal lacks."""

from collections.abc import Iterator, Sequence

from cryptography.hazmat.primitives.asymmetric import ec

from federator.results.verification.finding import Finding
from federator.results.verification.receipts import Given
from federator.runtime.chain.lines import ChainedLine, Lines
from federator.runtime.link.records.reading import Answered, read
from federator.runtime.server.journal import FILE


def check(
    site: str,
    content: bytes,
    key: ec.EllipticCurvePublicKey | None,
    run: str,
    given: Sequence[Given],
    journal: Lines,
) -> Iterator[Finding]:
    """Yield what is wrong with a site's record, or with the journal by that record.

    Args:
        site: the site's name.
        content: its record.
        key: the site's key; None if the journal names none.
        run: the run's name.
        given: the site's receipts in the journal.
        journal: the journal, whose lines after the first broken one are not known.
    """
    file, found = f"record of {site}", read(content, key)
    for line, what in found.faults:
        yield Finding(file, line, what)
    answers = {a.receipt.number: a for a in found.answers if a.receipt.run == run}
    for line, receipt in given:
        same = answers.pop(receipt.number, None)
        if same is None:
            what = f"is not there: {site} gave a receipt for answer {receipt.number}"
            yield Finding(file, len(found.lines) + 1, what)
        elif same.receipt != receipt:
            what = f"is another receipt than the record of {site} has for answer {receipt.number}"
            yield Finding(FILE, line, what)
    if journal.fault is not None:
        return
    for number, answer in answers.items():
        if not _is_explained(answer, site, journal.good):
            later = [line for line, receipt in given if receipt.number > number]
            yield Finding(
                FILE,
                min(later, default=len(journal.good) + 1),
                f"a line is missing before this: by its record, {site} gave answer {number}",
            )


def _is_explained(answer: Answered, site: str, journal: Sequence[ChainedLine]) -> bool:
    """Tell whether an answer may not be in the journal though nobody changed that.

    It told of a failure, or greeted; or the journal says that the site failed in that round, or
    that the run was cut short.
    """
    receipt = answer.receipt
    if receipt.kind == "join" or receipt.failure:
        return True
    for line in journal:
        said = line.fields
        if said.get("event") == "end" and said.get("state") != "finished":
            return True
        if said.get("model") != receipt.model:
            continue
        if said.get("event") == "round" and said.get("round") == receipt.round:
            part = said.get("sites", {}).get(site, {})
            if not part.get("ok", False):
                return True
        if site in said.get("missing", {}) and receipt.round - said.get("round", 0) in (0, 1):
            return True
    return False
