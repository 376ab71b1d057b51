"""From imports to pinned requirement lines."""

from importlib.metadata import version
from pathlib import Path

import pytest
from fixtures.pinned import HERE, pin, pin_source

from federator.errors import RequirementError
from federator.notebook.dependencies import requirements
from federator.notebook.slicing.imports import Import


@pytest.mark.parametrize(
    ("module", "distribution"),
    [
        ("sklearn", "scikit-learn"),
        ("skimage", "scikit-image"),
        ("PIL", "pillow"),
        ("yaml", "pyyaml"),
        ("numpy", "numpy"),
    ],
)
def test_an_installed_module_gets_the_installed_version(module: str, distribution: str) -> None:
    assert pin(module) == (f"{distribution}=={version(distribution)}",)


def test_a_local_version_is_pinned_as_the_index_has_it() -> None:
    assert pin("torch") == (f"torch=={version('torch').partition('+')[0]}",)


def test_the_standard_library_and_the_runtime_need_nothing() -> None:
    assert pin("os", "dataclasses", "__future__", "flwr", "federator") == ()


def test_lines_are_sorted_and_each_distribution_stands_once() -> None:
    lines = pin("skimage", "numpy", "PIL", "mpl_toolkits.mplot3d", "matplotlib")
    names = [line.partition("==")[0] for line in lines]
    assert names == ["matplotlib", "numpy", "pillow", "scikit-image"]


@pytest.mark.parametrize(
    "chosen",
    [
        "numpy==1.26.4",
        "monai[nibabel]==1.4.0",
        "tools @ https://example.org/tools-1.0-py3-none-any.whl",
    ],
)
def test_the_federation_file_wins_over_the_environment(chosen: str) -> None:
    assert pin("numpy", numpy=chosen) == (chosen,)


def test_a_name_alone_takes_the_installed_version() -> None:
    assert pin("anything", anything="scikit-learn") == (f"scikit-learn=={version('scikit-learn')}",)


@pytest.mark.parametrize("chosen", ["monai", "monai>=1.3", "monai==1.*", "numpy>=2"])
def test_a_requirement_without_a_version_is_refused(chosen: str) -> None:
    with pytest.raises(RequirementError, match="leaves that open"):
        pin("monai", monai=chosen)


def test_every_unknown_module_is_named_with_its_place_and_what_to_do() -> None:
    with pytest.raises(RequirementError) as caught:
        pin("cv2", "monai", "numpy")
    assert [str(problem) for problem in caught.value.problems] == [
        "tumour.ipynb: cell 2, line 4: `import cv2` needs opencv-python-headless, but in which "
        "version is not known: it is not installed here\n    `pip install opencv-python-headless` "
        "here, or write into federation.yaml:  "
        'requirements: {cv2: "opencv-python-headless==VERSION"}',
        "tumour.ipynb: cell 2, line 4: `import monai` needs monai, but in which version is not "
        "known: it is not installed here\n    `pip install monai` here, or write into "
        'federation.yaml:  requirements: {monai: "monai==VERSION"}',
    ]


@pytest.mark.parametrize("module", ["helpers", "apex", "cfg", "my_utils"])
def test_a_package_is_never_guessed_from_the_name_of_a_module(module: str) -> None:
    with pytest.raises(RequirementError) as caught:
        pin_source(f"from {module} import accuracy, seed")
    (problem,) = caught.value.problems
    assert problem.where == HERE
    assert f"there is no {module}.py beside the notebook" in problem.message
    assert "put it beside the notebook" in str(problem.hint)
    assert f"{module}==" not in str(problem)
    assert f"pip install {module}" not in str(problem)


# Modules in a folder that several packages share.


def test_the_distribution_is_that_of_the_imported_submodule(site_packages: Path) -> None:
    record(site_packages, "proto", "6.0", "shared/proto/__init__.py", "shared/_upb.abi3.so")
    record(site_packages, "shared-cloud-store", "3.1", "shared/cloud/store/__init__.py")
    record(site_packages, "shared-cloud-query", "3.2", "shared/cloud/query/client.py")
    assert pin_source("from shared.cloud import store").lines == ("shared-cloud-store==3.1",)
    assert pin("shared.cloud.store.blobs") == ("shared-cloud-store==3.1",)
    assert pin_source("from shared.cloud.query.client import Client").lines == (
        "shared-cloud-query==3.2",
    )
    assert pin_source("from shared import proto, _upb").lines == ("proto==6.0",)


@pytest.mark.parametrize(
    ("source", "named"),
    [
        ("from shared.cloud import vision", "shared.cloud.vision"),
        ("import shared.cloud.vision", "shared.cloud.vision"),
        ("import shared", "shared"),
    ],
)
def test_another_part_of_the_folder_is_no_distribution_of_it(
    site_packages: Path, source: str, named: str
) -> None:
    record(site_packages, "proto", "6.0", "shared/proto/__init__.py")
    with pytest.raises(RequirementError) as caught:
        pin_source(source)
    (problem,) = caught.value.problems
    assert f"`import {named}` needs a package, but which one and in which version is" in str(
        problem
    )
    assert "proto" not in str(problem)
    assert f'{{{named}: "PACKAGE==VERSION"}}' in str(problem.hint)
    assert requirements.pin(
        [Import("shared.cloud.vision", HERE)], {"shared.cloud": "shared-vision==1.0"}
    ).lines == ("shared-vision==1.0",)


def test_a_package_that_only_opens_its_folder_to_others_does_not_own_it(
    site_packages: Path,
) -> None:
    opening = "__path__ = __import__('pkgutil').extend_path(__path__, __name__)\n"
    for part in ("core", "more"):
        record(site_packages, f"old-{part}", "1.0", "old/__init__.py", f"old/{part}/__init__.py")
    (site_packages / "old").mkdir()
    (site_packages / "old" / "__init__.py").write_text(opening)
    assert pin("old.more") == ("old-more==1.0",)
    with pytest.raises(RequirementError, match="other parts of old"):
        pin("old.third")


@pytest.mark.parametrize(
    ("source", "place"),
    [
        ("from google.colab import files", "Colab"),
        ("import google.colab.drive", "Colab"),
        ("from kaggle_secrets import UserSecretsClient", "Kaggle"),
        ("from pyspark.dbutils import DBUtils", "Databricks"),
    ],
)
def test_what_one_service_alone_has_is_told(source: str, place: str) -> None:
    with pytest.raises(RequirementError, match=f"`{source}` exists in {place} only"):
        pin_source(source)
    guarded = f"try:\n    {source}\nexcept ImportError:\n    pass"
    (warning,) = pin_source(guarded).warnings
    assert f"exists in {place} only" in warning.message


def test_what_nothing_provides_can_be_told_without_a_federation() -> None:
    found = requirements.missing([Import("numpy", HERE), Import("helpers", HERE)])
    assert [one.where for one in found] == [HERE]
    assert "`import helpers` needs a package" in found[0].message
    assert requirements.missing([Import("numpy", HERE)]) == ()


@pytest.fixture
def site_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which tests install distributions."""
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def install(site_packages: Path, name: str, number: str, *modules: str, needs: str = "") -> None:
    """Lay out what pip leaves behind of a distribution."""
    information = site_packages / f"{name.replace('-', '_')}-{number}.dist-info"
    information.mkdir()
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {number}\n"
    (information / "METADATA").write_text(metadata + (f"Requires-Dist: {needs}\n" if needs else ""))
    (information / "top_level.txt").write_text("\n".join(modules))


def record(site_packages: Path, name: str, number: str, *files: str) -> None:
    """The same with the list of a distribution's files that pip writes."""
    install(site_packages, name, number)
    information = site_packages / f"{name.replace('-', '_')}-{number}.dist-info"
    (information / "top_level.txt").unlink()
    (information / "RECORD").write_text("".join(f"{file},sha256=x,1\n" for file in files))


@pytest.mark.parametrize(
    ("direct", "origin"),
    [
        ('{"url": "file:///home/ada/tools", "dir_info": {"editable": true}}', "/home/ada/tools"),
        ('{"url": "file:///home/ada/tools", "dir_info": {}}', "/home/ada/tools"),
        ('{"url": "https://e.org/t.git", "vcs_info": {"vcs": "git"}}', "https://e.org/t.git"),
    ],
)
def test_what_comes_from_no_index_cannot_be_pinned(
    site_packages: Path, direct: str, origin: str
) -> None:
    install(site_packages, "tools", "0.3", "tools")
    information = site_packages / "tools-0.3.dist-info"
    (information / "direct_url.json").write_text(direct)
    with pytest.raises(RequirementError) as caught:
        pin("tools")
    assert f"has tools 0.3 of {origin}, which cannot be pinned" in str(caught.value)
    assert pin("tools", tools="tools @ https://e.org/t.whl") == ("tools @ https://e.org/t.whl",)
    # Conda's own packages tell the folder in which they were built.
    (information / "INSTALLER").write_text("conda\n")
    assert pin("tools") == ("tools==0.3",)


@pytest.mark.parametrize(
    ("installed", "line"),
    [
        ("opencv-python", "opencv-python-headless==4.10.0.84"),
        ("opencv-contrib-python", "opencv-contrib-python-headless==4.10.0.84"),
        ("opencv-python-headless", "opencv-python-headless==4.10.0.84"),
    ],
)
def test_opencv_is_installed_without_its_windows(
    site_packages: Path, installed: str, line: str
) -> None:
    install(site_packages, installed, "4.10.0.84", "cv2")
    assert pin("cv2") == (line,)


def test_of_several_distributions_of_a_module_the_usual_one_is_taken(site_packages: Path) -> None:
    install(site_packages, "opencv-python", "4.8.0.1", "cv2")
    install(site_packages, "opencv-python-headless", "4.10.0.84", "cv2")
    assert pin("cv2") == ("opencv-python-headless==4.10.0.84",)


def test_a_module_of_several_unknown_distributions_is_asked_for(site_packages: Path) -> None:
    install(site_packages, "google-auth", "2.0", "google")
    install(site_packages, "google-storage", "3.0", "google")
    with pytest.raises(
        RequirementError, match=r"one of several packages.*google-auth, google-storage"
    ):
        pin("google")
    assert pin("google", google="google-storage") == ("google-storage==3.0",)


def test_torch_is_needed_where_a_dependency_needs_it(site_packages: Path) -> None:
    install(site_packages, "monai", "1.4.0", "monai", needs="torch>=2")
    install(site_packages, "plain", "1.0", "plain", needs='torch>=2; extra == "gpu"')
    install(site_packages, "circle", "1.0", "circle", needs="circle[all]")
    install(site_packages, "torch", "2.13.0", "torch")
    assert "torch==2.13.0" in requirements.versions(["absent==2.0", "monai==1.4.0"])
    without = requirements.versions(["plain==1.0", "circle==1.0", "absent==1.0"])
    assert not any(line.startswith("torch") for line in without)
    assert requirements.versions([]) == ()


def test_a_module_may_come_from_a_distribution_of_any_name(site_packages: Path) -> None:
    install(site_packages, "hospital-tools", "0.3", "pathology")
    assert pin("pathology") == ("hospital-tools==0.3",)
