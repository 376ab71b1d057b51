"""The terms of an attempt: read strictly, and each site's key only with its signature."""

import json
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from federator.runtime.masking.fixed_point import Grid
from federator.runtime.masking.terms import (
    Member,
    RunKey,
    Terms,
    TermsError,
    require_enough,
    require_signed,
)

APP = "a" * 64
SITES = {name: ec.generate_private_key(ec.SECP384R1()) for name in ("east", "north", "south")}
PUBLIC = {name: key.public_key() for name, key in SITES.items()}


def _member(name: str, run: str = "run", examples: int = 10) -> Member:
    key = X25519PrivateKey.generate().public_key().public_bytes_raw()
    return Member(name, examples, RunKey.signed(key, SITES[name], run, name, APP))


TERMS = Terms(1, Grid(24, 64.0), tuple(map(_member, sorted(SITES))))


def test_terms_are_read_as_they_were_written():
    assert Terms.read(TERMS.write()) == TERMS
    assert sum(map(TERMS.share, TERMS.sites)) == pytest.approx(1)


@pytest.mark.parametrize(
    "change",
    [
        {"attempt": 0},
        {"attempt": True},
        {"grid": {"bits": 31, "bound": 64.0}},
        {"grid": {"bits": 24, "bound": 64}},
        {"grid": {"bits": 24, "bound": "64"}},
        {"cohort": []},
        {"cohort": [{"site": "north"}]},
        {"more": 1},
        {"cohort": json.loads(TERMS.write())["cohort"][::-1]},
        {"cohort": json.loads(TERMS.write())["cohort"][:1] * 3},
    ],
)
def test_terms_of_another_form_are_refused(change):
    with pytest.raises(TermsError):
        Terms.read(json.dumps({**json.loads(TERMS.write()), **change}))
    for text in ("", "null", "[]", "{" * 5000):
        with pytest.raises(TermsError):
            Terms.read(text)


def test_a_key_twice_is_refused():
    twice = replace(TERMS.cohort[1], key=TERMS.cohort[0].key)
    with pytest.raises(TermsError):
        Terms.read(replace(TERMS, cohort=(TERMS.cohort[0], twice, TERMS.cohort[2])).write())


def test_whatever_differs_names_another_attempt():
    names = {
        TERMS.name("run", 1),
        TERMS.name("run", 2),
        TERMS.name("other", 1),
        replace(TERMS, attempt=2).name("run", 1),
        replace(TERMS, cohort=(*TERMS.cohort[:2], _member("south"))).name("run", 1),
        replace(TERMS, grid=Grid(23, 64.0)).name("run", 1),
    }
    assert len(names) == 6


def test_keys_are_taken_only_with_the_signature_of_a_site_that_is_known():
    require_signed(TERMS, PUBLIC, "run", APP)
    own = X25519PrivateKey.generate().public_key().public_bytes_raw()
    swapped = RunKey.signed(own, SITES["north"], "run", "south", APP)
    for signed_otherwise in (
        swapped,  # by another site
        RunKey.signed(own, SITES["south"], "another run", "south", APP),
        RunKey.signed(own, SITES["south"], "run", "south", "b" * 64),
        RunKey(TERMS.cohort[0].key.key, TERMS.cohort[2].key.signature),
    ):
        member = replace(TERMS.cohort[2], key=signed_otherwise)
        terms = replace(TERMS, cohort=(*TERMS.cohort[:2], member))
        with pytest.raises(TermsError, match="south is not signed"):
            require_signed(terms, PUBLIC, "run", APP)
    with pytest.raises(TermsError, match="north is not in the cohort"):
        require_signed(TERMS, {k: v for k, v in PUBLIC.items() if k != "north"}, "run", APP)


@pytest.mark.parametrize(("minimum", "examples"), [(4, 10), (3, 0), (0, 0)])
def test_a_sum_of_too_few_is_refused_and_a_site_without_examples_does_not_count(minimum, examples):
    terms = replace(TERMS, cohort=(*TERMS.cohort[:2], _member("south", examples=examples)))
    with pytest.raises(TermsError, match="a sum of"):
        require_enough(terms, minimum)
    require_enough(TERMS, 3)
