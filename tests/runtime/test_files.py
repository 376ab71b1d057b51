"""Text files in any encoding, and fingerprints that two people can compare."""

import re
import subprocess

import pytest

from federator.errors import InputError
from federator.runtime.files import COMMAND, as_utf8, fingerprint

TEXT = "ecdsa-sha2-nistp384 AAAA north\r\n"


@pytest.mark.parametrize(
    "encoding",
    ["ascii", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"],
)
def test_a_text_is_read_however_it_was_saved(encoding):
    assert as_utf8(TEXT.encode(encoding), "x") == TEXT.encode()


@pytest.mark.parametrize("order", ["le", "be"])
def test_either_order_of_bytes_with_its_mark(order):
    content = f"\ufeff{TEXT}".encode(f"utf-16-{order}")
    assert as_utf8(content, "x") == TEXT.encode()


@pytest.mark.parametrize("content", [b"", b"\x30\x82\x01", b"k\x00", b"\x00" * 64, b"a"])
def test_what_is_no_marked_text_stays(content):
    assert as_utf8(content, "x") in (content, b"k")


@pytest.mark.parametrize("content", [b"\xff\xfeA", b"\xff\xfe\x00\xd8", b"\xef\xbb\xbf\xff"])
def test_a_damaged_one_is_told_how_to_save_it(content):
    with pytest.raises(
        InputError, match=r"x: is saved as UTF-\d+, and damaged\n    save it as UTF-8"
    ):
        as_utf8(content, "x")


CONTENTS = {
    "plain": b"services:\n  link: {}\n",
    "empty": b"",
    "no last line end": b"a\nb",
    "Windows": b"services:\r\n  link: {}\r\n",
    "old Macintosh": b"a\rb\n\rc\r\r\nd\r",
    "not text": bytes(range(256)),
    "UTF-8": "größe: 1\n".encode(),
}


@pytest.mark.parametrize("content", CONTENTS.values(), ids=CONTENTS.keys())
def test_a_shell_computes_the_same(content, tmp_path):
    (tmp_path / "north.yaml").write_bytes(content)
    shell = subprocess.run(
        ["sh", "-c", COMMAND.format("north.yaml")], cwd=tmp_path, capture_output=True, text=True
    )
    assert shell.stdout == fingerprint(content) + "\n"


def test_it_can_be_read_out():
    printed = fingerprint(b"services: {}\n")
    assert re.fullmatch("[0-9KMRWXY]{4}( [0-9KMRWXY]{4}){7}", printed)
    assert 16 ** len(printed.replace(" ", "")) >= 2**100


def test_all_of_the_file_counts_but_how_its_lines_end():
    file = b"# why\nservices:\n  link: {}\n"
    assert fingerprint(file.replace(b"\n", b"\r\n")) == fingerprint(file)
    changed = [file.replace(b"why", b"how"), file + b"\n", file.replace(b"link", b"Link")]
    # A lone carriage return begins a line for YAML: it must not hide.
    changed.append(file.replace(b"# why", b"# \rwhy"))
    assert len({fingerprint(one) for one in [file, *changed]}) == 1 + len(changed)
