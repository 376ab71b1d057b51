"""The templates of what is generated."""

import tomllib
from pathlib import Path

import pytest
from fixtures import small_notebook

from federator.app.convert import convert
from federator.app.render import App, render_app
from federator.common.templates import Templates, docstring, shipped, toml
from federator.errors import InputError, Where
from federator.notebook import contract, reader


def own_template(repository: Path, text: str) -> App:
    """Render the small notebook in a repository that has a task.py.j2 of its own."""
    own = repository / "component_templates" / "app"
    own.mkdir(parents=True)
    (own / "task.py.j2").write_text(text)
    federation = small_notebook.federate(repository)
    parts = contract.take_apart(reader.read(federation.notebook))
    return render_app("tumour.ipynb", parts, federation)


def test_a_template_of_the_repository_wins(tmp_path: Path) -> None:
    text = '"""Ours."""\n\nimport os  # {{ notebook }}\n\n{{ module.text }}\n'
    rendered = own_template(tmp_path, text)
    lines = rendered.files["task.py"].splitlines()
    assert lines[:3] == ['"""Ours."""', "", "import os  # tumour.ipynb"]
    found = rendered.source_map.locate("task.py", 1 + lines.index("import torch"))
    assert found == Where("tumour.ipynb", 2, 2)
    assert "the server combines" in rendered.files["aggregation.py"]


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{{ module.text", "task.py.j2: line 1: "),
        ("{{ module.text }}\n{{ modul }}", "'modul' is undefined"),
        ("pass", "leaves the author's code out"),
        ("{{ module.text | indent }}", "leaves the author's code out, or changes it"),
    ],
)
def test_a_wrong_template_is_explained(tmp_path: Path, template: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        own_template(tmp_path, template)
    assert "component_templates/app/task.py.j2" in str(caught.value)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "expression",
    [
        "{{ module.__class__.__mro__ }}",
        "{{ cycler.__init__.__globals__.os.popen('touch ' ~ marker) }}",
        "{{ ''.__class__ }}",
        "{% set _ = module.parameters.update({'x': 1}) %}",
        "{{ module.defines.__func__.__globals__ }}",
        "{{ notebook.format.__self__.__class__ }}",
    ],
)
def test_a_template_runs_nothing(tmp_path: Path, expression: str) -> None:
    marker = tmp_path / "ran"
    with pytest.raises(InputError, match=r"component_templates/app/task\.py\.j2"):
        own_template(
            tmp_path, expression.replace("marker", repr(str(marker))) + "\n{{ module.text }}\n"
        )
    assert not marker.exists()


def test_it_is_said_which_templates_are_the_repositorys_own(tmp_path: Path) -> None:
    federation = small_notebook.federate(tmp_path)
    own = tmp_path / "component_templates"
    for folder in ("app", "deploy"):
        (own / folder).mkdir(parents=True)
    same = (shipped() / "app" / "client_app.py.j2").read_bytes()
    (own / "app" / "client_app.py.j2").write_bytes(same)
    (own / "notes.txt").touch()
    assert Templates(tmp_path).own() == ()
    changed = (shipped() / "deploy" / "site.yaml").read_text() + "# Ours.\n"
    (own / "deploy" / "site.yaml").write_text(changed)
    assert Templates(tmp_path).own() == ("deploy/site.yaml",)
    warnings = convert(federation, tmp_path / "build").warnings
    warning = "component_templates/deploy/site.yaml: this template is the repository's own"
    assert any(str(one).startswith(warning) for one in warnings)
    assert Templates().own() == ()


@pytest.mark.parametrize("task", ["classification", "segmentation"])
def test_the_files_that_flower_loads_are_python(task: str) -> None:
    for name in ("client_app.py", "server_app.py"):
        compile(Templates().fill(f"app/{name}", task=task), name, "exec")


@pytest.mark.parametrize(
    "value",
    ["plain", 'quo"ted', "back\\slash", "two\nlines", "Tumör \x7f", True, 3, -1.5e-7, 1e22, 10**18],
)
def test_a_value_survives_toml(value: object) -> None:
    assert tomllib.loads(f"value = {toml(value)}") == {"value": value}
    assert tomllib.loads(toml({"größe": value})) == {"größe": value}


@pytest.mark.parametrize("name", ["a.ipynb", '"""', "\\", 'end"', "\\N"])
def test_a_name_survives_a_docstring(name: str) -> None:
    assert eval(f'"""From {docstring(name)}."""') == f"From {name}."


WRONG_PLACE = "this template replaces none: it is in the wrong place"
CANNOT = "this template cannot be replaced"


@pytest.mark.parametrize(
    ("name", "message", "hint"),
    [
        ("task.py.j2", WRONG_PLACE, "move it to component_templates/app/task.py.j2"),
        ("app/task.py", WRONG_PLACE, "move it to component_templates/app/task.py.j2"),
        ("server/site.yaml", WRONG_PLACE, "move it to component_templates/deploy/site.yaml"),
        ("report/report.css", CANNOT, "remove it; those in app, images, deploy can be replaced"),
    ],
)
def test_a_template_that_would_replace_nothing_is_refused(tmp_path, name, message, hint):
    file = tmp_path / "component_templates" / name
    file.parent.mkdir(parents=True)
    file.write_text("ours")
    with pytest.raises(InputError) as caught:
        Templates(tmp_path)
    (problem,) = caught.value.problems
    where = Where(f"component_templates/{name}")
    assert (problem.message, problem.where, problem.hint) == (message, where, hint)
