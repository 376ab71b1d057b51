"""What a push is to build: all of it checked before anything is built."""

import pytest
from fixtures.small_notebook import cells, federate

from federator.errors import InputError
from federator.pipeline import plan

IMAGES = "images: docker.io/acme\n"


def test_what_is_to_be_built_is_converted(tmp_path):
    federate(tmp_path, IMAGES)
    made = plan.make(tmp_path, "")
    assert (made.build, made.rehearsed, made.left) == (("tumours",), (), ())
    assert (tmp_path / "build/tumours/app/task.py").exists()
    assert "matplotlib inline" in made.warnings[0].message


def test_a_federation_without_a_registry_is_checked_alone(tmp_path):
    federate(tmp_path)
    made = plan.make(tmp_path, "")
    assert (made.build, made.rehearsed) == ((), ("tumours",))


def test_all_mistakes_are_told_at_once_each_with_its_place(tmp_path):
    federate(tmp_path, IMAGES, cells(train="def train(net):\n    return nett"))
    other = tmp_path / "compose" / "lungs"
    other.mkdir()
    (other / "federation.yaml").write_text("notebook: ../../notebooks/tumour.ipynb\nsits: []\n")
    with pytest.raises(InputError) as raised:
        plan.make(tmp_path, "")
    told = [str(problem.where) for problem in raised.value.problems]
    assert "compose/lungs/federation.yaml: line 2" in told
    assert any(where.startswith("tumour.ipynb: cell 7") for where in told)


@pytest.mark.parametrize("name", ["$(touch x)", "a b", "Tumours", "x'; touch x; '", "a\nb"])
def test_a_folder_of_a_hostile_name_is_refused(tmp_path, name):
    made = federate(tmp_path, IMAGES)
    made.folder.rename(made.folder.with_name(name))
    with pytest.raises(InputError, match="the name of its folder must be"):
        plan.make(tmp_path, "")


def test_an_empty_repository_has_nothing_to_build(tmp_path):
    assert plan.make(tmp_path, "") == plan.Plan((), (), (), ())
