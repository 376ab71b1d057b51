"""Files as editors save them."""

import pytest

from federator.errors import InputError
from federator.runtime import text_file

TEXT = "ecdsa-sha2-nistp384 AAAA north\r\n"


@pytest.mark.parametrize(
    "encoding",
    ["ascii", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"],
)
def test_a_text_is_read_however_it_was_saved(encoding):
    assert text_file.plain(TEXT.encode(encoding), "x") == TEXT.encode()


@pytest.mark.parametrize("order", ["le", "be"])
def test_either_order_of_bytes_with_its_mark(order):
    content = f"\ufeff{TEXT}".encode(f"utf-16-{order}")
    assert text_file.plain(content, "x") == TEXT.encode()


@pytest.mark.parametrize("content", [b"", b"\x30\x82\x01", b"k\x00", b"\x00" * 64, b"a"])
def test_what_is_no_marked_text_stays(content):
    assert text_file.plain(content, "x") in (content, b"k")


@pytest.mark.parametrize("content", [b"\xff\xfeA", b"\xff\xfe\x00\xd8", b"\xef\xbb\xbf\xff"])
def test_a_damaged_one_is_told_how_to_save_it(content):
    with pytest.raises(
        InputError, match=r"x: is saved as UTF-\d+, and damaged\n    save it as UTF-8"
    ):
        text_file.plain(content, "x")
