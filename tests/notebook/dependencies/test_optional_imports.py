"""Imports that the code can do without, and those for type checkers only."""

from importlib.metadata import version

import pytest
from fixtures.pinned import HERE, pin, pin_source

from federator.errors import RequirementError
from federator.notebook.dependencies import requirements

# Imports that the code can do without.


def test_an_optional_import_is_left_out_where_it_is_not_installed() -> None:
    made = pin_source("try:\n    import apex\nexcept ImportError:\n    apex = None\nimport numpy")
    assert made.lines == (f"numpy=={version('numpy')}",)
    (warning,) = made.warnings
    assert warning.where == HERE
    assert "`import apex` is optional, and not installed here: no image has it" in str(warning)
    assert 'requirements: {apex: ""}' in str(warning)


def test_an_optional_import_that_is_installed_is_pinned() -> None:
    made = pin_source("try:\n    import numpy\nexcept ImportError:\n    numpy = None")
    assert made == requirements.Pins((f"numpy=={version('numpy')}",))


def test_what_is_imported_instead_is_needed_where_the_first_is_missing() -> None:
    source = "try:\n    import {0} as x\nexcept ImportError:\n    import {1} as x"
    numpy = (f"numpy=={version('numpy')}",)
    assert pin_source(source.format("cupy", "numpy")).lines == numpy
    assert pin_source(source.format("numpy", "cupy")).lines == numpy
    assert pin_source(source.format("tomllib", "tomlish")).lines == ()
    with pytest.raises(RequirementError, match="tomlish"):
        pin_source(source.format("cupy", "tomlish"))


def test_what_only_type_checkers_import_is_never_required() -> None:
    assert pin_source("if TYPE_CHECKING:\n    import numpy") == requirements.Pins(())
    made = pin_source("if TYPE_CHECKING:\n    import monai")
    assert made.lines == ()
    assert "`import monai` is for type checkers only, and not installed here" in str(
        made.warnings[0]
    )


def test_an_empty_requirement_leaves_a_module_out() -> None:
    assert pin_source("import apex", apex=None) == requirements.Pins(())
    assert pin("numpy", numpy=None) == ()
