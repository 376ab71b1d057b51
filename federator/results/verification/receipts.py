"""The receipts in a journal: signed by the sites, and of what the journal says of them."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from federator.results.verification.finding import Finding
from federator.results.verification.public_keys import PublicKeys
from federator.runtime.chain.lines import BEGINNING, ChainedLine
from federator.runtime.protocol.receipts import (
    Receipt,
    SignedReceipt,
    evaluation_digest,
    sizes,
)
from federator.runtime.server.journal import FILE
from federator.runtime.untrusted import MALFORMED

_SETS = {"validation": "val", "test": "test"}


class Given(NamedTuple):
    """A receipt, and the number of its line in the journal."""

    line: int
    receipt: Receipt


class Receipts:
    """Goes through the lines of a journal.

    Attributes:
        given: the receipts of each site that hold.
        findings: what is wrong.
        notes: what is not wrong, and should be known.
    """

    def __init__(self, lines: list[ChainedLine]) -> None:
        self.given: dict[str, list[Given]] = defaultdict(list)
        self.findings: list[Finding] = []
        self.notes: list[str] = []
        self._keys = PublicKeys()
        self._heads = {BEGINNING}
        self._run = ""
        for line in lines:
            self._collect(line)
            self._heads.add(line.chain)
        for line in lines:
            self.findings += [Finding(FILE, line.number, what) for what in self._unproven(line)]

    def _collect(self, line: ChainedLine) -> None:
        """Take in a line that names keys, or is a receipt."""
        said = line.fields
        if said.get("event") == "start":
            self._keys, self._run = PublicKeys.of(said), str(said.get("run"))
        if said.get("event") != "receipt":
            return
        try:
            receipt = Receipt.of(said["receipt"])
            wrong = self._wrong(SignedReceipt(receipt, str(said["signature"])))
        except MALFORMED:
            self.findings.append(Finding(FILE, line.number, "is no receipt"))
            return
        if wrong:
            self.findings.append(Finding(FILE, line.number, wrong))
        else:
            self.given[receipt.site].append(Given(line.number, receipt))

    def _wrong(self, signed: SignedReceipt) -> str:
        """Return what is wrong with a receipt, if anything is."""
        said, key = signed.receipt, self._keys.sites.get(signed.receipt.site)
        if key is None or not signed.is_signed_by(key):
            return f"is a receipt of {said.site} that is not signed with the key of that site"
        if said.run != self._run:
            return f"is a receipt of {said.site} for another run, {said.run}"
        if said.journal not in self._heads:
            return (
                f"when {said.site} was asked, the journal had a line that it has no more: lines "
                "before were changed, and their hashes computed anew"
            )
        before = self.given[said.site][-1].receipt.number if self.given[said.site] else 0
        if said.number <= before:
            return f"is receipt {said.number} of {said.site}, after receipt {before}"
        if said.number > before + 1:
            first, last = before + 1, said.number - 1
            self.notes.append(
                f"{said.site}: answers {first} to {last} are not in the journal: they came too "
                "late, were lost, or their lines are missing (compare the site's record)"
            )
        return ""

    def _unproven(self, line: ChainedLine) -> Iterator[str]:
        """Yield what a line says of sites for which there is no receipt."""
        said, kind = line.fields, line.fields.get("event")
        try:
            if kind == "site" and said.get("state") == "joined":
                examples, site = sizes(said["examples"]), said["site"]
                if all(one.examples != examples for one in self._of(site)):
                    yield f"{site} has signed no such sizes of its sets"
            elif kind == "round":
                for site, part in said["sites"].items():
                    signed = (_is_update(one, said, part) for one in self._of(site))
                    if part["ok"] and not any(signed):
                        yield f"{site} has signed no such update in round {said['round']}"
            elif kind in _SETS:
                for site, result in said["sites"].items():
                    digest = evaluation_digest(result)
                    if not any(_is_evaluation(one, said, digest) for one in self._of(site)):
                        yield f"{site} has signed no such figures of round {said['round']}"
        except MALFORMED:
            yield "has another form than a journal's"

    def _of(self, site: str) -> Iterator[Receipt]:
        """Yield the receipts of a site."""
        return (given.receipt for given in self.given.get(site, ()))


def _is_update(receipt: Receipt, said: Mapping[str, Any], part: Mapping[str, Any]) -> bool:
    asked = (receipt.kind, receipt.model, receipt.round) == ("train", said["model"], said["round"])
    return asked and bool(receipt.update) and receipt.examples[:1] == (part.get("examples", 0),)


def _is_evaluation(receipt: Receipt, said: Mapping[str, Any], digest: str) -> bool:
    """Tell whether a receipt is of an evaluation: of the model before a round, or after one."""
    asked = receipt.model == said["model"] and receipt.round - said["round"] in (0, 1)
    return asked and receipt.evaluations.get(_SETS[said["event"]]) == digest
