"""A site checks and exports its record, without the network."""

import csv
import io
import json
import shutil

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from fakes.proven_run import SITES, ProvenRun

from federator.errors import InputError
from federator.runtime.__main__ import main as runtime
from federator.runtime.chain import lines
from federator.runtime.link.records import command

ROW = ["number", "time", "run", "round", "model", "instruction", "app"]


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A site's two volumes after a run: that of its key, and that of its record."""
    folder = tmp_path_factory.mktemp("site")
    made = ProvenRun(folder)
    made.rounds(1, 2)
    made.end()
    pem = SITES["north"].private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    (folder / "site.key").write_bytes(pem)
    shutil.copy(folder / "north.recorded", folder / "site.recorded")
    shutil.copy(made.path / "records" / "north" / "record.jsonl", folder)
    return folder


@pytest.fixture
def site(written, tmp_path):
    for name in ("site.key", "site.recorded", "record.jsonl"):
        shutil.copy(written / name, tmp_path)
    return tmp_path


def told(site, *arguments):
    return command.main([*arguments, f"--records={site}", f"--key={site / 'site.key'}"])


def test_a_record_that_nobody_changed_is_whole(site, capsys):
    assert told(site, "verify") == 0
    assert "the record is whole: 9 lines, 4 answers, signed with SHA256:" in capsys.readouterr().out


def rewritten(site, change):
    path = site / "record.jsonl"
    said = change([json.loads(line) for line in path.read_text().splitlines()])
    path.unlink()
    for line in said:
        lines.append(path, {k: v for k, v in line.items() if k != "chain"})


def _count(said):
    said[4]["evaluations"]["val"]["tables"]["confusion"][0][0] += 1
    return said


def _instruction(said):
    said[3]["instruction"] = said[3]["instruction"].replace('"epochs": 0', '"epochs": 9')
    return said


def _without_an_answer(said):
    return [*said[:2], *said[3:]]


def _without_the_key(said):
    return said[1:]


def _another_answer_number(said):
    said[2]["number"] = 2
    return said


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (_count, "line 5 is an answer that is not signed with the site's key"),
        (_instruction, "line 4 is an instruction that the coordinator has not signed"),
        (_without_an_answer, "line 4 is an answer that is not signed with the site's key"),
        (_without_the_key, "line 1 is none of a record's, or stands before the site's key"),
        (_another_answer_number, "line 3 is an answer that is not signed with the site's key"),
        (lambda said: said[:-2], "line 8 is not there: the link has noted 9 lines"),
        (lambda said: [*said, {"event": "else"}], "line 10 is none of a record's"),
        (lambda said: [*said, said[0]], "whole"),
    ],
)
def test_a_record_that_was_changed_with_all_hashes_is_not_whole(site, capsys, change, line):
    rewritten(site, change)
    whole = line == "whole"  # keys may be named again: that says nothing new
    assert told(site, "verify") == (0 if whole else 1)
    said = capsys.readouterr().out
    assert line in said and ("NOT whole" in said) is not whole


def test_the_first_line_that_does_not_fit_is_named(site, capsys):
    path = site / "record.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"trainset": 23', b'"trainset": 24', 1))
    assert told(site, "verify") == 1
    assert "line 3 does not fit to the lines before" in capsys.readouterr().out


def test_a_record_whose_note_was_emptied_is_not_whole(site, capsys):
    (site / "site.recorded").write_text("")
    assert told(site, "verify") == 1
    assert "NOT whole" in capsys.readouterr().out


def test_a_record_without_its_note_or_of_another_key_is_not_whole(site, capsys):
    (site / "site.recorded").unlink()
    assert told(site, "verify") == 1
    assert "line 1 is not in the link's note" in capsys.readouterr().out
    pem = SITES["south"].private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    (site / "site.key").write_bytes(pem)
    assert told(site, "verify") == 1
    assert "the record ends with another key" in capsys.readouterr().out


def test_an_instruction_without_an_answer_is_a_note(tmp_path, capsys):
    made = ProvenRun(tmp_path)
    made.ask("join", 0)
    record = tmp_path / "2026-11-28-001" / "records" / "north"
    path = record / "record.jsonl"
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:2]))
    assert command.main(["verify", f"--records={record}"]) == 0
    assert "note: line 2: there is no answer to this instruction" in capsys.readouterr().out


def test_the_table_of_a_data_protection_officer_has_a_row_for_each_answer(site, capsys):
    assert told(site, "export") == 0
    printed = capsys.readouterr()
    rows = list(csv.DictReader(io.StringIO(printed.out)))
    assert list(rows[0])[:7] == ROW and "the record is whole" in printed.err
    assert [row["instruction"] for row in rows] == ["join", "train", "train", "evaluate"]
    trained = rows[1]
    assert (trained["round"], trained["tensors"], trained["bytes"]) == ("1", "1", "12")
    assert trained["app"] == "a" * 64 and len(trained["update SHA-256"]) == 64
    counts = json.loads(trained["counts"])["evaluations"]["val"]
    assert counts["tables"] == {"confusion": [[4, 0], [1, 2]]}


def test_a_table_to_be_read_and_the_lines_themselves(site, capsysbinary):
    assert told(site, "export", "--format=markdown") == 0
    table = capsysbinary.readouterr().out.decode().splitlines()
    assert len(table) == 6 and "set sizes; val: loss, confusion" in table[3]
    assert told(site, "export", "--format=lines") == 0
    assert capsysbinary.readouterr().out == (site / "record.jsonl").read_bytes()


def test_a_site_without_a_record_is_told_what_to_do(tmp_path, capsys):
    with pytest.raises(InputError, match=r"record\.jsonl: cannot be read"):
        command.main(["verify", f"--records={tmp_path}"])
    assert runtime(["record", "verify", f"--records={tmp_path}"]) == 2
    assert "docker compose up -d" in capsys.readouterr().err
