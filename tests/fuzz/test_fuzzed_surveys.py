"""Random changes to what a site tells of its data: each is read, and compared, in words."""

import json

from fixtures.surveys import CLASSIFICATION, LABELS, images, surveyed, table
from hypothesis import given
from mutations import FUZZED, mutated, quick

from federator.runtime.protocol.survey import Survey, unpacked, vet
from federator.runtime.server.survey.findings import findings

KNOWN = {
    name: surveyed(*vars(site).values())
    for name, site in (("a", table(1)), ("b", table(2)), ("i", images(1)), ("j", images(2)))
}


def compared(text: str) -> None:
    with quick():
        told = vet(unpacked(text), CLASSIFICATION, 5)
        if told is None:
            return
        assert isinstance(told, Survey) and json.loads(told.write())
        for pair in (("a", "b"), ("i", "j"), ()):
            known = {name: KNOWN[name] for name in pair}
            for one in findings({**known, "south": told}, LABELS, CLASSIFICATION):
                assert str(one).isprintable()


@FUZZED
@given(mutated(KNOWN["a"].write().encode()))
def test_surveys_of_tables(text):
    compared(text.decode(errors="surrogateescape"))


@FUZZED
@given(mutated(KNOWN["i"].write().encode()))
def test_surveys_of_images(text):
    compared(text.decode(errors="surrogateescape"))
