"""What a message says of weights that travel beside it, and what is refused of that."""

import hashlib
import json
from hashlib import sha256

import pytest

from federator.runtime.weights import parts
from federator.runtime.weights.parts import (
    STEPS,
    ManifestError,
    Part,
    PartsManifest,
    Span,
    hash_file,
    hash_span,
    hash_spans,
    name,
    travelled,
)

PART = STEPS[-1]
HASH, DOWN, UP = "a" * 64, "0" * 32, "f" * 32
TABLE = (Part(2**20, HASH), Part(7, HASH))


def test_what_is_written_is_read():
    for manifest in (PartsManifest(DOWN, TABLE, UP), PartsManifest(DOWN, TABLE)):
        assert PartsManifest.read(manifest.write()) == manifest
    assert parts.read_parts(parts.write_parts(TABLE)) == TABLE
    assert PartsManifest(DOWN, TABLE).size == 2**20 + 7


def test_parts_cover_a_file_without_a_gap():
    for size, step in [
        (1, 2**20), (2**20, 2**20), (2**20 + 1, 2**20), (32 * 2**20, 2**20),
        (32 * 2**20 + 1, 2**22), (45_000_000, 2**22), (553_000_000, PART), (10**10, PART),
    ]:  # fmt: skip
        found = parts.cut(size)
        assert [part.start for part in found] == list(range(0, size, step))
        assert [part.stop for part in found] == [*range(step, size, step), size]
        assert name(3, size) == f"0003.{step // 2**20}"


def test_only_parts_that_differ_travel():
    other = (TABLE[0], Part(7, "b" * 64))
    assert travelled(TABLE, ()) == 2**20 + 7
    assert travelled(TABLE, other) == travelled(TABLE, TABLE[:1]) == 7
    assert travelled(TABLE[:1], TABLE) == travelled(TABLE, TABLE) == 0


def test_zeros_do_not_travel():
    part = Part(2**20, hashlib.sha256(bytes(2**20)).hexdigest())
    assert travelled((part, Part(7, HASH)), ()) == 7


def test_what_is_the_same_at_another_place_travels():
    """Parts of another length start elsewhere."""
    short = (*(Part(2**20, "b" * 64) for _ in range(20)), Part(7, HASH))
    long = (*(Part(2**22, "c" * 64) for _ in range(20)), Part(7, HASH))
    assert travelled(short, long) == 20 * 2**20 + 7


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
        json.dumps([DOWN, "", [[PART, HASH], [7, HASH]]]), json.dumps([DOWN, "", [[-7, HASH]]]),
        json.dumps([DOWN, "", [[10**18, HASH]]]), json.dumps([DOWN, "", [[10**14, HASH]] * 2]),
        json.dumps([DOWN + "\n", "", TABLE]),
    ],
)  # fmt: skip
def test_anything_else_is_refused(text):
    with pytest.raises(ManifestError):
        PartsManifest.read(text)


def test_what_is_signed_covers_every_part_and_both_capabilities():
    others = [
        PartsManifest(UP, TABLE, UP), PartsManifest(DOWN, TABLE, DOWN),
        PartsManifest(DOWN, TABLE[:1], UP),
        PartsManifest(DOWN, (TABLE[0], Part(8, HASH)), UP),
        PartsManifest(DOWN, (TABLE[0], Part(7, "b" * 64)), UP),
    ]  # fmt: skip
    assert len({manifest.write() for manifest in [PartsManifest(DOWN, TABLE, UP), *others]}) == 6


DATA = bytes(range(256)) * 5000


def test_a_file_has_the_table_of_its_parts(tmp_path):
    (tmp_path / "file").write_bytes(DATA)
    parts = DATA[: 2**20], DATA[2**20 :]
    expected = tuple(Part(len(part), sha256(part).hexdigest()) for part in parts)
    assert hash_file(tmp_path / "file") == expected


def test_spans_are_hashed_in_their_order(tmp_path):
    (tmp_path / "file").write_bytes(DATA)
    spans = [Span(tmp_path / "file", slice(first, first + 1000), 0) for first in range(0, 9000, 9)]
    hashed = [sha256(DATA[span.within]).hexdigest() for span in spans]
    assert [found.part.sha256 for found in hash_spans(spans)] == hashed


def test_who_looks_on_sees_every_byte_where_it_belongs(tmp_path):
    (tmp_path / "file").write_bytes(DATA)
    seen = bytearray(b"-" * len(DATA))

    def look(at, read):
        seen[at : at + len(read)] = read

    hash_span(Span(tmp_path / "file", slice(1000, 2000), 500), look)
    assert seen == b"-" * 500 + DATA[1000:2000] + b"-" * (len(DATA) - 1500)


def test_a_file_that_ends_sooner_is_told_by_its_size(tmp_path):
    (tmp_path / "file").write_bytes(b"four")
    assert hash_span(Span(tmp_path / "file", slice(0, 9), 0)).part.size == 4


def test_another_file_of_the_same_name_is_told_apart(tmp_path):
    (tmp_path / "file").write_bytes(b"same")
    before = hash_span(Span(tmp_path / "file", slice(0, 9), 0))
    (tmp_path / "new").write_bytes(b"same")
    (tmp_path / "new").replace(tmp_path / "file")
    after = hash_span(Span(tmp_path / "file", slice(0, 9), 0))
    assert before.part == after.part
    assert before.file != after.file
