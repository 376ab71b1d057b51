"""From a generated line back to its cell."""

from pathlib import Path

import pytest

from federator.errors import Where
from federator.runtime import source_map
from federator.runtime.source_map import SourceMap, Span

MAP = SourceMap(
    "tumour.ipynb",
    {
        "task.py": (
            Span(first=7, lines=1, cell=2, line=1),
            Span(first=10, lines=4, cell=5, line=3),
        ),
        "aggregation.py": (Span(first=6, lines=1, cell=9, line=2),),
    },
)


@pytest.mark.parametrize(
    ("line", "cell", "inside"),
    [(7, 2, 1), (10, 5, 3), (12, 5, 5), (13, 5, 6)],
)
def test_a_line_of_a_statement_leads_to_its_line_in_the_cell(
    line: int, cell: int, inside: int
) -> None:
    assert MAP.locate("task.py", line) == Where("tumour.ipynb", cell, inside)


@pytest.mark.parametrize("line", [0, 1, 6, 8, 9, 14, 1000])
def test_a_line_that_no_cell_contains_leads_nowhere(line: int) -> None:
    assert MAP.locate("task.py", line) is None


def test_a_traceback_names_files_by_path() -> None:
    assert MAP.locate("/home/site/app/aggregation.py", 6) == Where("tumour.ipynb", 9, 2)
    assert MAP.locate("/usr/lib/python3.11/runpy.py", 6) is None


def test_a_written_map_reads_back_equal(tmp_path: Path) -> None:
    MAP.write(tmp_path / "map.json")
    assert source_map.read(tmp_path / "map.json") == MAP


def test_a_map_of_empty_files_reads_back_equal(tmp_path: Path) -> None:
    empty = SourceMap('a "quoted" nämé.ipynb', {"aggregation.py": ()})
    empty.write(tmp_path / "map.json")
    assert source_map.read(tmp_path / "map.json") == empty


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"notebook": "a", "files": {"task.py": [{}]}}'])
def test_another_file_is_no_source_map(tmp_path: Path, text: str) -> None:
    (tmp_path / "map.json").write_text(text)
    with pytest.raises(ValueError):
        source_map.read(tmp_path / "map.json")
