"""The imports in a piece of Python, and whether it can do without them."""

import ast

import pytest

from federator.errors import Where
from federator.notebook.slicing.imports import Import, found


def imports(source: str) -> list[Import]:
    return list(found(ast.parse(source).body, lambda node: Where("x.py", None, node.lineno)))  # type: ignore[attr-defined]


def needs(source: str) -> dict[str, str]:
    return {one.module: one.need for one in imports(source)}


def test_imports_are_found_wherever_they_stand() -> None:
    source = """\
import a, b.c as d
def f():
    from e.f import g, h
    class K:
        import i
from .j import k
from . import m
importlib.import_module("n.o")
__import__("p")
importlib.import_module(name)
"""
    made = imports(source)
    assert [(str(one), one.where.line) for one in made] == [
        ("import a", 1),
        ("import b.c", 1),
        ("from e.f import g, h", 3),
        ("import i", 5),
        ("from .j import k", 6),
        ("from . import m", 7),
        ("import n.o", 8),
        ("import p", 9),
    ]
    assert made[2].paths == ("e.f.g", "e.f.h")
    assert made[1].paths == ("b.c",)
    assert made[1].top == "b"


@pytest.mark.parametrize(
    "source",
    [
        "try:\n    import a\nexcept ImportError:\n    a = None",
        "try:\n    import a\nexcept ModuleNotFoundError as e:\n    print(e)",
        "try:\n    import a\nexcept (ValueError, builtins.ImportError):\n    pass",
        "try:\n    import a\nexcept Exception:\n    pass",
        "try:\n    import a\nexcept:\n    pass",
        "def f():\n    try:\n        import a\n    except ImportError:\n        return None",
        "with contextlib.suppress(ImportError):\n    import a",
        "if importlib.util.find_spec('a') is not None:\n    import a",
        "if not find_spec('a'):\n    pass\nelse:\n    import a",
    ],
)
def test_an_import_whose_failure_is_caught_is_optional(source: str) -> None:
    assert needs(source)["a"] == "optional"


@pytest.mark.parametrize(
    "source",
    [
        "try:\n    import a\nexcept ValueError:\n    pass",
        "try:\n    import a\nexcept ImportError:\n    raise RuntimeError('pip install a')",
        "try:\n    import a\nexcept ImportError:\n    print('no')\n    sys.exit(1)",
        "try:\n    x = 1\nexcept ImportError:\n    pass\nelse:\n    import a",
        "try:\n    x = 1\nfinally:\n    import a",
        "if COLAB:\n    import a",
        "with open('x') as f:\n    import a",
    ],
)
def test_any_other_is_needed(source: str) -> None:
    assert needs(source)["a"] == "always"


@pytest.mark.parametrize(
    "source",
    [
        "if TYPE_CHECKING:\n    import a",
        "if typing.TYPE_CHECKING:\n    from a import B",
        "if not TYPE_CHECKING:\n    pass\nelse:\n    import a",
        "if TYPE_CHECKING:\n    try:\n        import a\n    except ImportError:\n        pass",
    ],
)
def test_what_only_type_checkers_import_is_known(source: str) -> None:
    assert needs(source)["a"] == "typing"


def test_what_is_imported_instead_says_instead_of_what() -> None:
    made = imports("try:\n    import a\nexcept ImportError:\n    import b\nimport c")
    assert [one.instead_of for one in made] == [(), ("a",), ()]
