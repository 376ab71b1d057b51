"""The fingerprint: the same by our code and in a shell, and another for another file."""

import re
import subprocess

import pytest

from federator.runtime.fingerprint import COMMAND, fingerprint

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
