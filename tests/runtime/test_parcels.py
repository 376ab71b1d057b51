"""What a message says of weights that travel beside it, and what is refused of that."""

import json

import pytest

from federator.runtime import parcels
from federator.runtime.parcels import PART, Parcel, ParcelError, Part

HASH, DOWN, UP = "a" * 64, "0" * 32, "f" * 32
TABLE = (Part(PART, HASH), Part(7, HASH))


def test_what_is_written_is_read():
    for parcel in (Parcel(DOWN, TABLE, UP), Parcel(DOWN, TABLE)):
        assert Parcel.read(parcel.write()) == parcel
    assert parcels.read_table(parcels.write_table(TABLE)) == TABLE
    assert Parcel(DOWN, TABLE).size == PART + 7


def test_parts_cover_a_file_without_a_gap():
    for size in (1, PART - 1, PART, PART + 1, 3 * PART):
        found = parcels.cut(size)
        assert [part.start for part in found] == list(range(0, size, PART))
        assert [part.stop for part in found] == [*range(PART, size, PART), size]


@pytest.mark.parametrize(
    "text",
    [
        "junk", "[]", "{}", json.dumps([DOWN, UP, []]),
        json.dumps(["../secrets", "", TABLE]), json.dumps([DOWN + "/..", "", TABLE]),
        json.dumps([DOWN, "x", TABLE]), json.dumps(["A" * 32, "", TABLE]),
        json.dumps([DOWN, "", [[PART + 1, HASH]]]), json.dumps([DOWN, "", [[0, HASH]]]),
        json.dumps([DOWN, "", [[7, HASH], [7, HASH]]]), json.dumps([DOWN, "", [[7.5, HASH]]]),
        json.dumps([DOWN, "", [[7, "b" * 63]]]), json.dumps([DOWN, "", [[True, HASH]]]),
        json.dumps([DOWN, "", [[PART, HASH]] * 10_001]), json.dumps([DOWN, "", [[7]]]),
        json.dumps([DOWN + "\n", "", TABLE]),
    ],
)  # fmt: skip
def test_anything_else_is_refused(text):
    with pytest.raises(ParcelError):
        Parcel.read(text)


def test_the_digest_covers_every_part_and_both_capabilities():
    others = [
        Parcel(UP, TABLE, UP), Parcel(DOWN, TABLE, DOWN), Parcel(DOWN, TABLE[:1], UP),
        Parcel(DOWN, (TABLE[0], Part(8, HASH)), UP),
        Parcel(DOWN, (TABLE[0], Part(7, "b" * 64)), UP),
    ]  # fmt: skip
    assert len({parcel.digest for parcel in [Parcel(DOWN, TABLE, UP), *others]}) == 6
