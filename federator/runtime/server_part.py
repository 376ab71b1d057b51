"""What of an app the server's own process runs: the two statements of ``server_app.py``.

Flower imports that file with the app's folder before all others on Python's path. So what stands
there is compared, and a module beside the notebook may not be called as one that Python, Flower or
this library would then import in its place.
"""

import ast
import importlib.util
import sys
import sysconfig
import tomllib
from pathlib import Path

from federator.errors import InputError, Problem, Where
from federator.runtime.app_files import ASSETS

SERVER_APP = "server_app.py"
_STATEMENTS = ast.dump(
    ast.parse("from federator.runtime.app import server_app\napp = server_app('aggregation')")
)
_COMPONENT = "server_app:app"
# What the converter writes, and what Python writes beside modules that it has imported.
_GENERATED = frozenset({"task", "aggregation", "client_app", "server_app", "__pycache__"})
_INSTALLED = tuple(sysconfig.get_path(name) for name in ("stdlib", "platlib", "purelib"))


def require_ours(app: Path) -> None:
    """See that starting an app at the server runs none of its author's code.

    Raises:
        InputError: if its ``server_app.py`` is another, or one of its modules would be imported
            in place of an installed one.
    """
    hint = "a template of the repository's own may have changed it: see `federator convert`"
    try:
        project = tomllib.loads((app / "pyproject.toml").read_text(encoding="utf-8"))
        component = project["tool"]["flwr"]["app"]["components"]["serverapp"]
        module = ast.parse((app / SERVER_APP).read_text(encoding="utf-8"))
    except (OSError, ValueError, KeyError, TypeError, SyntaxError, RecursionError) as error:
        raise InputError(Problem(f"{app} is no app that can be started: {error}")) from None
    if component != _COMPONENT:
        what = f"it starts {component} at the server, not {_COMPONENT}"
        raise InputError(Problem(what, Where("pyproject.toml"), hint))
    if ast.get_docstring(module) is not None:
        module.body.pop(0)
    if ast.dump(module) != _STATEMENTS:
        what = "it runs something else at the server than Notebook Federator"
        raise InputError(Problem(what, Where(SERVER_APP), hint))
    modules = {path.stem for path in app.iterdir() if path.suffix == ".py" or path.is_dir()}
    for name in sorted(modules - _GENERATED - {ASSETS}):
        if name.isidentifier() and _is_installed(name):
            what = f"{name} beside the notebook has the name of an installed module"
            raise InputError(Problem(what, hint="rename it: the server could run it in its place"))


def _is_installed(name: str) -> bool:
    """Tell whether Python, or a package that is installed beside it, has a module of this name."""
    if name in sys.stdlib_module_names or name in ("federator", "sitecustomize", "usercustomize"):
        return True
    try:
        found = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return False
    places = (
        [] if found is None else [found.origin or "", *(found.submodule_search_locations or ())]
    )
    return any(place.startswith(_INSTALLED) for place in places)
