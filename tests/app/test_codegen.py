"""From statements to the text of a module."""

import ast
import subprocess
import sys
from textwrap import dedent

import pytest

from federator.app import codegen
from federator.app.codegen import Value
from federator.errors import NotebookError
from federator.notebook.slicing.component import Component, Statement


def component(*sources: str) -> Component:
    """Make a component with a statement in each of the cells 1, 2, 3…"""
    statements = [Statement(dedent(text), cell, 1) for cell, text in enumerate(sources, 1)]
    return Component(statements=tuple(statements))


def text(*sources: str, **parameters: Value) -> str:
    return codegen.write(component(*sources), parameters, "tumour.ipynb").text


AUTHOR = (
    "import torch",
    "from torch import nn",
    "CHANNELS = 3",
    "CLASSES = 2",
    "if CLASSES > 2:\n    CHANNELS = 1",
    "# as in the paper\ndef train(net):\n    '''Train.\n\n    Long.'''\n    return net",
    "@torch.no_grad()\nclass Model(nn.Module):\n    pass",
    "SIZE = 32",
)


def test_statements_stand_apart_as_a_reader_expects() -> None:
    assert text(*AUTHOR) == dedent(
        """\
        import torch
        from torch import nn

        CHANNELS = 3
        CLASSES = 2

        if CLASSES > 2:
            CHANNELS = 1


        # as in the paper
        def train(net):
            '''Train.

            Long.'''
            return net


        @torch.no_grad()
        class Model(nn.Module):
            pass


        SIZE = 32"""
    )


def test_the_text_depends_on_the_statements_alone() -> None:
    moved = [Statement(source, 20 + 3 * cell, cell) for cell, source in enumerate(AUTHOR)]
    assert codegen.write(Component(tuple(moved), {}), {}, "tumour.ipynb").text == text(*AUTHOR)


def test_the_formatter_has_nothing_to_change() -> None:
    written = text(*(source.replace("'''", '"""') for source in AUTHOR), CHANNELS=3) + "\n"
    formatted = subprocess.run(
        [sys.executable, "-m", "ruff", "format", "--line-length=100", "-"],
        input=written,
        capture_output=True,
        text=True,
        check=True,
    )
    assert formatted.stdout.replace("Long.\n    ", "Long.") == written


@pytest.mark.parametrize(
    ("source", "value", "expected"),
    [
        ("width = 32", 32, 'width = parameter("width", 32)'),
        ("width: int = 32  # pixels", 32, 'width: int = parameter("width", 32)  # pixels'),
        ("width = -0.5", -0.5, 'width = parameter("width", -0.5)'),
        ("width = 1e-3", 0.001, 'width = parameter("width", 1e-3)'),
        ("width = True", True, 'width = parameter("width", True)'),
        ("width = 'é'; ", "é", "width = parameter(\"width\", 'é'); "),
        (
            "width = (\n    'a'\n    'b'\n)",
            "ab",
            "width = (\n    parameter(\"width\", 'a'\n    'b')\n)",
        ),
        ("# of the input\nwidth = 32", 32, '# of the input\nwidth = parameter("width", 32)'),
        ('width = """a\nb"""', "a\nb", 'width = parameter("width", """a\nb""")'),
        ("depth = 1; width = 32", 32, 'depth = 1; width = parameter("width", 32)'),
    ],
)
def test_a_parameter_can_be_set_by_a_run(source: str, value: Value, expected: str) -> None:
    written = codegen.write(component(source), {"width": value}, "tumour.ipynb")
    imported, _, code = written.text.partition("\n\n")
    assert imported == "from federator.runtime.app import parameter"
    assert code == expected.rstrip()
    assert written.parameters == {"width": value}


@pytest.mark.parametrize(
    "source",
    ["width = 33", "width = 32.0", "width = 16 * 2", "width += 32"],
)
def test_nothing_but_the_assignment_of_its_literal_is_a_parameter(source: str) -> None:
    written = codegen.write(component(source), {"width": 32}, "tumour.ipynb")
    assert written.text == source
    assert written.parameters == {}


def test_only_the_first_assignment_is_the_parameter() -> None:
    assert text("width = 1", "width = 1", width=1).endswith(
        'width = parameter("width", 1)\nwidth = 1'
    )


def test_imports_from_the_future_stand_first() -> None:
    written = text("# Types\nfrom __future__ import annotations", "width = 1", width=1)
    assert written.splitlines()[:4] == [
        "# Types",
        "from __future__ import annotations",
        "",
        "from federator.runtime.app import parameter",
    ]


def test_spans_lead_from_each_line_to_its_statement() -> None:
    written = codegen.write(component(*AUTHOR), {"CHANNELS": 3}, "tumour.ipynb")
    lines = written.text.splitlines()
    for span, source in zip(written.spans, AUTHOR, strict=True):
        found = lines[span.first - 1 : span.first - 1 + span.lines]
        assert "\n".join(found).replace('parameter("CHANNELS", 3)', "3") == source


def test_the_name_that_parameters_need_is_refused_to_the_author() -> None:
    taken = ("width = 1", "def parameter():\n    pass")
    with pytest.raises(NotebookError, match=r"tumour\.ipynb: cell 2, line 1: the name `parameter`"):
        text(*taken, width=1)
    assert "def parameter" in text(*taken)
    assert text("width = 1", "def train(net):\n    for parameter in net:\n        pass", width=1)


def test_it_is_known_what_a_module_defines() -> None:
    written = codegen.write(component("strategy = used", "def f():\n    hidden = 1"), {}, "a.ipynb")
    assert written.defines("strategy")
    assert written.defines("f")
    assert not written.defines("hidden")
    assert not written.defines("used")


def test_no_statements_make_an_empty_module() -> None:
    written = codegen.write(component(), {"width": 1}, "tumour.ipynb")
    assert (written.text, written.spans, dict(written.parameters)) == ("", (), {})
    ast.parse(written.text)
