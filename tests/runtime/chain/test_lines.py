"""A file of chained lines: any change to it is found, with the line."""

import json
import multiprocessing
import random

import pytest

from federator.runtime.chain import lines


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "lines.jsonl"
    for number in range(1, 9):
        lines.append(path, {"number": number, "text": "ä" * number})
    return path


def test_lines_are_json_and_follow_each_other(file):
    found = lines.read(file.read_bytes())
    assert (found.broken, found.is_cut, len(found.good)) == (0, False, 8)
    assert [line.fields["number"] for line in found.good] == list(range(1, 9))
    assert found.good[0].before == lines.BEGINNING
    assert found.chain == lines.head(file) == json.loads(file.read_text().splitlines()[-1])["chain"]


def test_a_hash_is_what_sha256sum_prints_of_the_one_before_and_the_line(tmp_path):
    path = tmp_path / "lines.jsonl"
    assert lines.append(path, {"a": 1}) == lines.sha256(b"0" * 64 + b'{"a": 1')


def test_half_a_line_of_a_crash_is_cut_off_by_the_next(file):
    before = lines.head(file)
    with file.open("ab") as out:
        out.write(b'{"number": 9, "te')
    assert lines.head(file) == before
    assert lines.read(file.read_bytes()).is_cut
    lines.append(file, {"number": 9})
    found = lines.read(file.read_bytes())
    assert (found.broken, found.is_cut, len(found.good)) == (0, False, 9)


def test_an_empty_file_and_one_that_is_not_there_have_no_lines(tmp_path):
    assert lines.head(tmp_path / "none") == lines.BEGINNING
    (tmp_path / "empty").touch()
    assert lines.head(tmp_path / "empty") == lines.BEGINNING
    assert lines.read(b"").good == []


def test_a_line_that_cannot_be_written_leaves_the_file_as_it_was(file, monkeypatch):
    before = file.read_bytes()

    def fail(_):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(lines.os, "fsync", fail)
    with pytest.raises(OSError, match="Input/output"):
        lines.append(file, {"number": 9}, durable=True)
    assert file.read_bytes() == before


def _append(path, who):
    for number in range(50):
        lines.append(path, {"who": who, "number": number})


def test_several_processes_append_to_one_chain(tmp_path):
    context = multiprocessing.get_context("fork")
    path = tmp_path / "lines.jsonl"
    writers = [context.Process(target=_append, args=(path, who)) for who in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
        assert writer.exitcode == 0
    found = lines.read(path.read_bytes())
    assert (len(found.good), found.broken) == (150, 0)


def test_the_first_line_that_was_changed_is_named(file):
    """Whichever bit of whichever line it is; and whichever line is missing or moved."""
    content = file.read_bytes()
    starts = [0, *(k + 1 for k, byte in enumerate(content) if byte == 10)]
    for seed in range(300):
        chance = random.Random(seed)
        at = chance.randrange(len(content))
        changed = bytearray(content)
        changed[at] ^= 1 << chance.randrange(8)
        number = sum(start <= at for start in starts)
        found = lines.read(bytes(changed))
        if at == len(content) - 1:
            assert found.is_cut or found.broken == 8
        else:
            assert found.broken == number, seed
    whole = content.splitlines(keepends=True)
    for number in range(1, 8):
        assert lines.read(b"".join(whole[: number - 1] + whole[number:])).broken == number
        swapped = [*whole[: number - 1], whole[number], whole[number - 1], *whole[number + 1 :]]
        assert lines.read(b"".join(swapped)).broken == number


def test_a_line_that_is_no_object_does_not_fit():
    body = b'["a"'
    chain = lines.chain_of(lines.BEGINNING, body)
    assert lines.read(body + f', "chain": "{chain}"}}\n'.encode()).broken == 1
