"""What the documents name is there: modules, tests, and all that the listing should hold."""

import ast
import re
from pathlib import Path

import promises
import pytest
from fixtures.paths import ROOT

from federator.runtime.protocol.evaluation.tasks import NAMES, Task

PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
GENERATED = {"task.py", "aggregation.py", "client_app.py", "server_app.py", "__init__.py"}
TESTS = {
    name
    for file in (ROOT / "tests").rglob("test_*.py")
    for name in re.findall(r"^ *def (test_\w+)", file.read_text(), re.MULTILINE)
}
MODULES = sorted(
    path.relative_to(ROOT / "federator")
    for path in (ROOT / "federator").rglob("*.py")
    if path.name != "__init__.py"
)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_names_files_and_tests_that_are_there(page):
    text = page.read_text()
    for path in re.findall(r"`((?:federator|tests|runtime|benchmarks)/[\w./-]+)`", text):
        assert any((base / path).exists() for base in (ROOT, ROOT / "federator")), path
    for name in re.findall(r"`(test_\w+)`", text):
        assert name in TESTS, name


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_a_module_names_modules_that_are_there(module):
    text = (ROOT / "federator" / module).read_text()
    known = {path.name for path in MODULES} | GENERATED
    assert set(re.findall(r"\((\w+\.py)\)", text)) <= known


def test_each_promise_of_the_threat_model_has_a_test():
    made = promises.promises(promises.PAGE.read_text())
    assert len(made) >= 20  # as many as there were at the beginning: a table was not overlooked
    assert [one.text for one in made if not one.tests or one.unknown] == []


@pytest.mark.parametrize("cell", ["reading the source", "`test_that_is_nowhere`", "`tests/no.py`"])
def test_a_promise_without_a_test_is_found(cell):
    (one,) = promises.promises(f"| promise | test |\n| --- | --- |\n| nothing leaves | {cell} |\n")
    assert one.text == "nothing leaves" and not one.tests


ROLES = ("author", "coordinator", "site-operator")


def test_the_words_of_the_glossary_are_in_order_and_in_use():
    page = (ROOT / "docs" / "glossary.md").read_text()
    words = re.findall(r"^\| \*\*(.+?)\*\* \|", page, re.MULTILINE)
    others = " ".join(path.read_text().lower() for path in PAGES if path.name != "glossary.md")
    assert len(words) > 20 and words == sorted(words, key=str.lower)
    flat = " ".join(others.split())
    assert [word for word in words if word.lower() not in flat] == []


@pytest.mark.parametrize("role", ROLES)
def test_each_role_s_page_begins_with_the_picture_of_the_glossary(role):
    pictures = [
        (ROOT / "docs" / f"{name}.md").read_text().partition("```\n")[2].partition("```")[0]
        for name in ("glossary", role)
    ]
    assert pictures[0] == pictures[1] and "worker" in pictures[0]


def test_the_threat_model_lists_each_table_that_may_leave():
    text = (ROOT / "docs" / "threat-model.md").read_text()
    rows = dict(re.findall(r"^\| (\w+) \| (.*) \|$", text, re.MULTILINE))
    for name in NAMES:
        told = {table.replace(".0", ".k") for table in Task(name, 1).forms}
        assert set(re.findall(r"`([\w.]+)`", rows[name])) == told


def listing() -> str:
    """Return every folder and module of the package with the first line of its docstring."""

    def lines(folder: Path, depth: int) -> list[str]:
        entries = sorted(folder.iterdir(), key=lambda path: (path.is_dir(), path.name))
        out = []
        for path in entries:
            indent = "  " * depth
            if path.is_dir() and (path / "__init__.py").exists():
                out += ["", f"{indent}{path.name}/: {_first(path / '__init__.py')}"]
                out += lines(path, depth + 1)
            elif path.suffix == ".py" and path.name != "__init__.py":
                out.append(f"{indent}{path.name}: {_first(path)}")
        return out

    return "\n".join(["federator/", *lines(ROOT / "federator", 1)])


def _first(path: Path) -> str:
    return (ast.get_docstring(ast.parse(path.read_text())) or "").partition("\n")[0]


def test_the_listing_is_that_of_the_package():
    assert f"```\n{listing()}\n```\n" in (ROOT / "docs" / "architecture.md").read_text()


if __name__ == "__main__":
    print(listing())
