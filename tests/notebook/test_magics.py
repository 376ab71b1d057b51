import inspect
import tokenize
import typing

import pytest

from federator.notebook.magics import to_plain


@pytest.mark.parametrize(
    ("written", "plain"),
    [
        ("%matplotlib inline\nx = 1", "\nx = 1"),
        ("x = 1\n!pip install monai\ny = 2", "x = 1\n\ny = 2"),
        ("!!ls", ""),
        ("!pip install a \\\n    b\nx = 1", "\n\nx = 1"),
        ("pip install monai\nx = 1", "\nx = 1"),
        ("frame?", ""),
        ("?frame", ""),
        ("frame.mean??\nx = 1", "\nx = 1"),
        ("%time x = f()", "x = f()"),
        ("%timeit x = 1", "x = 1"),
        ("%timeit -n 10 -r3 f(x)", "f(x)"),
        ("y = %time f(x)", "y = f(x)"),
        ("%time y = f(\n    1,\n)\n%matplotlib", "y = f(\n    1,\n)\n"),
        ("%%time\nx = 1", "\nx = 1"),
        ("\n%%capture out\n%%timeit\nx = 1", "\n\n\nx = 1"),
        ("def f():\n    !pip install monai\n    return 1", "def f():\n    pass\n    return 1"),
        ("if x:\n    %cd data\n    y = 1", "if x:\n    pass\n    y = 1"),
        ("files = !ls", "files = ..."),
        ("    files, more = %sx ls", "    files, more = ..."),
        ("t = %timeit -o f()", "t = ..."),
    ],
)
def test_ipythons_syntax_becomes_python_of_as_many_lines(written, plain):
    assert to_plain(written).source == plain
    assert plain.count("\n") == written.count("\n")


@pytest.mark.parametrize(
    "python",
    [
        's = """\n%matplotlib inline\n!ls\nwhat?\n"""',
        "s = '''it's\n%time'''",
        "s = 'a \\\n%b'",
        "x = (7\n    % 3)",
        "x = 7 \\\n    % 3",
        "x = [\n    a\n    % b,  # why?\n]",
        "x %= 3",
        "x != 3",
        'print("100 %")',
        'd["a = !"] = "= %ls"',
        "# %matplotlib inline\n# what?",
        "x = 'a'  # it's\n@decorated\ndef f(): return not x",
        "s = r'\\'  # a quote after a backslash does not end it'\nx = 1",
    ],
)
def test_python_is_left_alone(python):
    assert to_plain(python).source == python
    assert not to_plain(python).foreign


@pytest.mark.parametrize("module", [inspect, tokenize, typing], ids=lambda module: module.__name__)
def test_the_standard_library_is_left_alone(module):
    source = inspect.getsource(module)
    assert to_plain(source).source == source


def test_every_line_that_is_taken_out_is_told():
    plain = to_plain("%matplotlib inline\nx = !ls\n%time y = 2\nz?")
    assert plain.foreign == {1: "%matplotlib inline", 2: "x = !ls", 4: "z?"}


@pytest.mark.parametrize("magic", ["%%bash", "%%html", "%%writefile task.py", "%%R -i x", "%%sql"])
def test_other_cell_magics_make_a_cell_something_else(magic):
    plain = to_plain(f"{magic}\nls -l")
    assert plain.language == magic.split()[0]
    assert plain.source == f"{magic}\nls -l"


def test_a_cell_magic_below_code_is_not_one():
    assert to_plain("x = 1\n%%time\ny = 2").source == "x = 1\n%%time\ny = 2"
