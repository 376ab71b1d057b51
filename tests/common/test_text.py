"""Markdown that stays what it is, whatever stands in it."""

import pytest

from federator.common.text import fenced, folded, page, table


def test_a_table():
    made = table(["name", " size"], [["a", "1"], ["b", ""]])
    assert made == "| name | size |\n| --- | ---: |\n| a | 1 |\n| b |  |"


@pytest.mark.parametrize("text", ["plain", "```\n# out\n```", "````` five", "`one`"])
def test_a_fence_is_longer_than_any_inside(text):
    first, *inside, last = fenced(text).splitlines()
    assert "\n".join(inside) == text
    assert first == f"{last}text" and set(last) == {"`"}
    assert not any(line.startswith(last) for line in inside)


def test_a_page_leaves_out_what_is_empty():
    assert page("one", "", "two") == "one\n\ntwo\n"
    assert folded("more", "text") == "<details><summary>more</summary>\n\ntext\n\n</details>"
