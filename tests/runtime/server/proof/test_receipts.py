"""The server takes an answer with the site's receipt, and keeps that."""

import json
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from fakes.proven_run import SITES, ProvenRun

from federator.runtime.keys import site_key
from federator.runtime.masking.terms import RunKey
from federator.runtime.protocol.instructions import Instruction
from federator.runtime.protocol.outcomes import Failure
from federator.runtime.server.journal import SiteReceipt, events
from federator.runtime.server.proof.receipts import ReceiptCheck


@pytest.fixture
def made(tmp_path):
    return ProvenRun(tmp_path)


@pytest.fixture
def check(tmp_path):
    folder = tmp_path / "sites"
    folder.mkdir()
    for name, key in SITES.items():
        (folder / f"{name}.pub").write_text(site_key.line(key.public_key(), name) + "\n")
    return ReceiptCheck(folder)


def asked(made, kind="train", **further):
    """Return what the sites answered, and north's answer as the server has it."""
    answers = made.ask(kind, 1, ("val",), **further)
    said = answers["north"].receipt.receipt
    told = Instruction(kind, 1, 0.0, sets=("val",), run=said.run, journal=said.journal)
    return answers, replace(answers["north"], instruction=told, update=said.update)


def test_an_answer_needs_the_receipt_of_just_that_answer(made, check, tmp_path):
    answers, good = asked(made)
    assert check.checked("north", good) is good
    souths = answers["south"].receipt
    other = replace(good.outcome, examples={**good.outcome.examples, "trainset": 24})
    for changed, said in (
        ({"receipt": None}, "gave no receipt"),
        ({"receipt": souths}, "not signed with its key"),
        ({"outcome": other}, "of another answer"),
        ({"update": "9" * 64}, "of another answer"),
        ({"instruction": replace(good.instruction, round=2)}, "of another instruction"),
    ):
        refused = check.checked("north", replace(good, **changed))
        assert refused.failure.reason == "rejected" and said in str(refused.failure)
        assert (refused.outcome, refused.weights, refused.receipt) == (None, None, None)
    (tmp_path / "sites" / "north.pub").unlink()
    assert "there is no key" in str(check.checked("north", good).failure)


def test_a_failure_needs_none_and_keeps_one_that_fits(made, check):
    _, good = asked(made, answer=Failure("late"))
    assert check.checked("north", good) is good
    other = replace(good, failure=Failure("sizes"))
    assert check.checked("north", other).receipt is None
    assert check.checked("north", replace(good, receipt=None)).failure == good.failure


def test_where_sites_have_no_keys_there_are_no_receipts(made):
    _, good = asked(made)
    checked = ReceiptCheck().checked("north", good)
    assert checked.receipt is None and checked.outcome is good.outcome
    assert ReceiptCheck().public(("north",)) == {}


def test_a_receipt_in_the_journal_is_what_the_site_signed(made, check):
    _, good = asked(made)
    (written, _) = events(made.path, SiteReceipt)
    assert written.receipt == json.loads(good.receipt.receipt.write())
    assert set(check.public(("north", "south", "west"))) == {"north", "south"}


def test_a_receipt_with_its_line_is_less_than_a_kilobyte(made):
    """Of a name and a run of usual length; that is what a site and round adds to the journal."""
    made.ask("train", 100, ("val",))
    line = (made.path / "rounds.jsonl").read_bytes().splitlines()[-1]
    assert b'"receipt"' in line and len(line) < 950


def test_another_curve_s_key_is_none(check, tmp_path):
    small = ec.generate_private_key(ec.SECP256R1()).public_key()
    (tmp_path / "sites" / "north.pub").write_text(site_key.line(small))
    assert set(check.public(("north", "south"))) == {"south"}


def test_a_key_for_masks_counts_if_its_site_has_signed_it(check, tmp_path):
    """Else one site could keep all others from a round: they refuse a key that is not signed."""
    raw = X25519PrivateKey.generate().public_key().public_bytes_raw()
    own = RunKey.signed(raw, SITES["north"], "run", "north", "")
    assert check.has_signed("north", own, "run")
    assert not check.has_signed("south", own, "run")
    assert not check.has_signed("north", own, "another")
    assert not check.has_signed("nobody", own, "run")
    assert not ReceiptCheck(tmp_path / "sites", "a" * 64).has_signed("north", own, "run")
