"""Folders and zips from elsewhere: complete, within bounds and inside their folder, or nothing."""

import io
import stat
import zipfile

import pytest
from fakes.github import zipped

from federator.common.files import renewed, unpack
from federator.errors import FederatorError

LIMIT = 1000


def contents(path):
    return sorted(str(p.relative_to(path)) for p in path.rglob("*"))


def test_what_is_new_takes_the_place_of_what_was(tmp_path):
    for name in ("old", "new"):
        with renewed(tmp_path / "a" / "b") as folder:
            (folder / name).touch()
    assert contents(tmp_path) == ["a", "a/b", "a/b/new"]


def test_a_block_that_fails_changes_nothing(tmp_path):
    with renewed(tmp_path / "b") as folder:
        (folder / "old").touch()
    with pytest.raises(KeyboardInterrupt), renewed(tmp_path / "b") as folder:
        (folder / "new").touch()
        raise KeyboardInterrupt
    assert contents(tmp_path) == ["b", "b/old"]


def test_a_move_that_fails_brings_back_what_was(tmp_path):
    with renewed(tmp_path / "b") as folder:
        (folder / "old").touch()
    with pytest.raises(OSError, match="No such file"), renewed(tmp_path / "b") as folder:
        folder.rmdir()
    assert contents(tmp_path) == ["b", "b/old"]


def unpacked(content, folder):
    return unpack(io.BytesIO(content), folder, LIMIT)


def texts(folder):
    return {str(p.relative_to(folder)): p.read_text() for p in folder.rglob("*") if p.is_file()}


def test_what_is_there_takes_the_place_of_what_was(tmp_path):
    folder = tmp_path / "results" / "dispatch-1"
    given = {"report.html": "new", "plots/round 1 (best).svg": "<svg/>"}
    for old in ({"report.html": "old", "gone.txt": "x"}, given):
        assert unpacked(zipped(old), folder) == tuple(sorted(old))
    assert texts(tmp_path / "results") == {f"dispatch-1/{name}": given[name] for name in given}


@pytest.mark.parametrize(
    "name",
    [
        "../out.txt",
        "a/../../out.txt",
        "/tmp/out.txt",
        "..\\out.txt",
        "C:\\out.txt",
        ".hidden",
        "a/.ssh/authorized_keys",
        "a//b",
        "new\nline",
        "\x1b[2Jscreen",
    ],
)
def test_a_name_that_may_lead_elsewhere_is_refused(tmp_path, name):
    folder = tmp_path / "in" / "side"
    unpacked(zipped({"kept.txt": "kept"}), folder)
    content = zipped({"fine.txt": "fine", name: "out"})
    with pytest.raises(FederatorError) as raised:
        unpacked(content, folder)
    assert all(char.isprintable() or char == "\n" for char in str(raised.value))
    assert texts(tmp_path) == {"in/side/kept.txt": "kept"}


def test_a_link_leads_nowhere(tmp_path):
    entry = zipfile.ZipInfo("link")
    entry.external_attr = (stat.S_IFLNK | 0o777) << 16
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as written:
        written.writestr(entry, "/etc/passwd")
    unpacked(packed.getvalue(), tmp_path / "in")
    assert not (tmp_path / "in" / "link").is_symlink()
    assert texts(tmp_path) == {"in/link": "/etc/passwd"}


def lying(content):
    """A zip whose list says that its file has 1 byte."""
    end = zipped({"a": content})
    at = end.index(b"PK\x01\x02")
    return end[: at + 24] + (1).to_bytes(4, "little") + end[at + 28 :]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"<html>not found</html>", "zip is damaged"),
        (zipped({"a": "b"})[:-30], "zip is damaged"),
        (zipped({"bomb": "0" * 10_000}), "10000 bytes, more than"),
        (zipped({f"f{i}": "" for i in range(1001)}), "1001 files"),
        (lying("0" * 10_000), "zip is damaged"),
        (zipped({"abc": "d"}).replace(b"abc", b"\0bc"), "zip is damaged"),
        (zipped({"abc": "d"}).replace(b"abc", b"\0\0\0"), "zip is damaged"),
        (zipped({"a": "file", "a/b": "in a file"}), "cannot be written"),
    ],
    ids=["html", "cut", "bomb", "many", "lying", "NUL", "NULs", "clash"],
)
def test_what_is_no_good_leaves_nothing(tmp_path, content, words):
    with pytest.raises(FederatorError, match=words):
        unpacked(content, tmp_path / "in")
    assert not list(tmp_path.iterdir())
