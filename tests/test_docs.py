"""What the documents name is there: modules, tests, and every file in the listing of the house."""

import re

import pytest
from fixtures.paths import ROOT

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
