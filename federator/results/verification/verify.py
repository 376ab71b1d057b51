"""Checks everything that a run left behind: journal, receipts, manifest, weights, records."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from federator.errors import InputError, Problem, RunError
from federator.results.verification import records as site_records
from federator.results.verification.finding import Finding
from federator.results.verification.public_keys import PublicKeys, ed25519
from federator.results.verification.receipts import Receipts
from federator.runtime.chain import lines
from federator.runtime.chain.lines import Lines
from federator.runtime.files import file_sha256
from federator.runtime.link.records.entries import FILE as RECORD
from federator.runtime.protocol.signing.requests import is_manifest_signed
from federator.runtime.server.journal import FILE
from federator.runtime.server.proof.manifest import NAME, Manifest
from federator.runtime.server.proof.receipts import RECORDS

_NO_MANIFEST = "is not there: the run goes on, was cut short, or its end was taken away"


@dataclass
class Verified:
    """What was found.

    Attributes:
        run: the run's name.
        findings: what is wrong; in each file, the first line first.
        notes: what is not wrong, and should be known.
        keys: those by which signatures were checked, in words.
        summary: what there was, in words.
        trusted: whether the keys were compared with such as are known otherwise.
    """

    run: str
    findings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    summary: str = ""
    trusted: bool = False

    @property
    def conclusion(self) -> str:
        """Whether the run is as it was, and by whose keys, in a few lines."""
        state = "NOT as it was written" if self.findings else "as it was written"
        if [(one.file, one.what) for one in self.findings] == [(NAME, _NO_MANIFEST)]:
            state = "as it was written so far, without a signed end"
        keys = "".join(f"\n  {key}" for key in self.keys)
        whose = (
            "by the keys in the federation's folder"
            if self.trusted
            else "by the keys that the run itself names: compare them with those that you know "
            "(--keys FOLDER does, for a run of hospitals)"
        )
        return f"{self.run} is {state}: {self.summary}\nchecked {whose}:{keys}"


def verify(
    run: Path, trusted: PublicKeys | None = None, records: Mapping[str, Path] | None = None
) -> Verified:
    """Check a run.

    Args:
        run: its folder.
        trusted: public keys that are known otherwise; without them, those that the journal names.
        records: by site, the record that the site has handed over, beside those in the folder.

    Raises:
        RunError: if there is no journal.
    """
    try:
        journal = lines.read((run / FILE).read_bytes())
    except OSError as error:
        raise RunError(f"{run / FILE}: cannot be read ({error.strerror})") from None
    starts = [line for line in journal.good if line.fields.get("event") == "start"]
    named = [PublicKeys.of(line.fields) for line in starts]
    latest = named[-1] if named else PublicKeys()
    found = Verified(run.name, keys=latest.described(), trusted=trusted is not None)
    if journal.fault is not None:
        found.findings.append(Finding(FILE, *journal.fault))
    if not starts:
        found.findings.append(Finding(FILE, 1, "is not the start of a run"))
    if trusted is not None:
        for line, keys in zip(starts, named, strict=True):
            found.findings += trusted.compare(line.number, keys)
    receipts = Receipts(journal.good)
    found.findings += receipts.findings
    found.notes += receipts.notes
    coordinators = [key for keys in [*named, trusted or latest] for key in keys.coordinator]
    _manifest(run, journal, coordinators, found)
    name = str(starts[-1].fields.get("run")) if starts else run.name
    all_records = {path.name: path / RECORD for path in sorted((run / RECORDS).glob("*"))}
    for site, path in (all_records | dict(records or {})).items():
        key, given = latest.sites.get(site), receipts.given[site]
        found.findings += site_records.check(site, _content(path), key, name, given, journal)
    found.findings.sort(key=lambda one: (one.file != FILE, one.file, one.line))
    counted = sum(map(len, receipts.given.values()))
    found.summary = f"{len(journal.good)} lines, {counted} receipts of {len(latest.sites)} sites"
    return found


def handed_over(texts: Sequence[str]) -> dict[str, Path]:
    """Return the files of records by site, each given as ``SITE=FILE``.

    Raises:
        InputError: if a text is not so.
    """
    found = {}
    for text in texts:
        site, equals, file = text.partition("=")
        if not (site and equals and file):
            hint = "for example: --record north=north.jsonl"
            raise InputError(Problem(f"{text!r} is not SITE=FILE", hint=hint))
        found[site] = Path(file)
    return found


def _manifest(run: Path, journal: Lines, coordinators: list[str], found: Verified) -> None:
    """Add what is wrong with the manifest, or by it with the journal and the weights."""
    try:
        manifest = Manifest.read((run / NAME).read_bytes())
    except OSError:
        found.findings.append(Finding(NAME, 0, _NO_MANIFEST))
        return
    if manifest is None:
        found.findings.append(Finding(NAME, 0, "was changed: it is no manifest any more"))
        return
    name = str(manifest.fields.get("run"))
    if not any(
        is_manifest_signed(key, manifest.signature, name, manifest.digest)
        for key in ed25519(list(dict.fromkeys(coordinators)))
    ):
        found.findings.append(Finding(NAME, 0, "is not signed with the coordinator's key"))
        return
    _sealed(manifest, journal, found)
    files = manifest.fields["files"]
    later = [line.fields for line in journal.good if line.fields.get("event") == "removed"]
    removed = {name for said in later for name in said.get("files", ())}
    for path in sorted(run.glob("*.safetensors")):
        if path.name not in files:
            found.findings.append(Finding(path.name, 0, "is not in the manifest"))
    for name, digest in files.items():
        path = run / Path(name).name
        if not path.exists() and name not in removed:
            found.findings.append(Finding(name, 0, "is not there: the manifest names it"))
        elif path.exists() and file_sha256(path) != digest:
            found.findings.append(Finding(name, 0, "was changed: it has another SHA-256"))


def _sealed(manifest: Manifest, journal: Lines, found: Verified) -> None:
    """Add what is wrong with the journal by the manifest."""
    count, chain = (manifest.fields["journal"][name] for name in ("lines", "chain"))
    there = len(journal.good)
    if there < count:
        if journal.fault is None:
            what = f"is not there: the manifest is of {count} lines"
            found.findings.append(Finding(FILE, there + 1, what))
        return
    if journal.good[count - 1].chain != chain:
        what = "is another one than the manifest names: lines up to it were written anew"
        found.findings.append(Finding(FILE, count, what))
        return
    for line in journal.good[count:]:
        if line.fields.get("event") == "removed":
            files = ", ".join(map(str, line.fields.get("files", ())))
            found.notes.append(f"line {line.number}, which nobody signed: removed were {files}")
        else:
            what = f"follows after the manifest was signed, which is of {count} lines"
            found.findings.append(Finding(FILE, line.number, what))
            return


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise RunError(f"{path}: cannot be read ({error.strerror})") from None
