"""Hashes of parts of files."""

from hashlib import sha256

from federator.runtime.weights.hashing import Span, hash_file, hash_span, hash_spans
from federator.runtime.weights.parts import Part

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
