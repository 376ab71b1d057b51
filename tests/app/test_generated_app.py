"""What a generated app imports of this library, and the hash by which the sites know it."""

import ast
from pathlib import Path

from fixtures import small_notebook
from fixtures.paths import ROOT

from federator.app.convert import convert
from federator.federation import schema
from federator.runtime.flower import app_hash

# Flower's hash of the app of notebooks/breast_cancer.ipynb with compose/breast-cancer.
#
# Every site approves an app by its hash. If this one changes and you changed neither that notebook
# nor that federation file, then every federation's app changes with the next release, and each
# site must approve a new file: undo it, unless that is worth it. If it changes on purpose
# (the notebook, the federation file, the app's templates, Flower's rules for an app's files),
# put the new hash here, and say in the commit message why the sites must approve new files.
DEMO = "47ce607910aff4e5a81b53038d03923a06ffb1d67bffacf1d914022fafeeb35f"


def imported_from_federator(app: Path) -> set[str]:
    """Return the modules of this library that an app's files import."""
    modules = set[str]()
    for path in app.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom):
                modules.add(node.module or "")
            elif isinstance(node, ast.Import):
                modules |= {alias.name for alias in node.names}
    return {name for name in modules if name.partition(".")[0] == "federator"}


def test_an_app_imports_the_facade_and_nothing_else_of_this_library(tmp_path: Path) -> None:
    app = convert(small_notebook.federate(tmp_path), tmp_path / "build").app
    assert imported_from_federator(app) == {"federator.runtime.app"}


def test_the_demo_s_app_keeps_its_hash(tmp_path: Path) -> None:
    federation = schema.read(ROOT / "compose" / "breast-cancer" / "federation.yaml")
    app = convert(federation, tmp_path / "build").app
    assert imported_from_federator(app) == {"federator.runtime.app"}
    assert app_hash(app) == DEMO
