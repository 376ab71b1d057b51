"""What an app would have the server's own process run."""

import re

import pytest
from fixtures.rehearsals import lay_out

from federator.app.convert import convert
from federator.errors import InputError
from federator.runtime.control.control_api import Control
from federator.runtime.server_part import require_ours


@pytest.fixture
def app(tmp_path):
    """A converted app."""
    return convert(lay_out(tmp_path, {"north": tmp_path}), tmp_path / "build").app


def test_a_generated_app_runs_nothing_of_its_author_at_the_server(app):
    for folder in ("assets", "__pycache__"):  # Python writes the second into each folder
        (app / folder).mkdir(exist_ok=True)
    (app / "losses.py").write_text("")
    require_ours(app)


@pytest.mark.parametrize(
    "text",
    [
        'import os\nfrom federator.runtime.app import server_app\napp = server_app("aggregation")',
        'from federator.runtime.app import server_app\napp = server_app("task")',
        'from federator.runtime.app import server_app\napp = server_app("aggregation")\nprint()',
        "app = (",
        "",
    ],
)
def test_another_server_app_is_not_started(app, text):
    (app / "server_app.py").write_text(text)
    with pytest.raises(InputError):
        Control("127.0.0.1:1", None).start(app, {})


def test_another_component_is_not_started(app):
    project = app / "pyproject.toml"
    project.write_text(project.read_text().replace("server_app:app", "task:app"))
    with pytest.raises(InputError, match="it starts task:app at the server"):
        require_ours(app)


@pytest.mark.parametrize("name", ["tomllib", "flwr", "federator", "numpy", "sitecustomize"])
@pytest.mark.parametrize("folder", [True, False])
def test_no_module_of_the_author_s_takes_an_installed_one_s_place(app, name, folder):
    if folder:
        (app / name).mkdir()
        (app / name / "__init__.py").write_text("")
    else:
        (app / f"{name}.py").write_text("")
    with pytest.raises(InputError, match=re.escape(f"{name} beside the notebook has the name")):
        require_ours(app)
