"""From imports to pinned requirement lines."""

from importlib.metadata import version
from pathlib import Path

import pytest

from federator import requirements
from federator.errors import RequirementError, Where

HERE = Where("tumour.ipynb", 2, 4)


def pin(*modules: str, **chosen: str) -> tuple[str, ...]:
    pins = requirements.pin(dict.fromkeys(modules, HERE), chosen)
    return requirements.lines(pins, modules)


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
    lines = pin("skimage", "numpy", "PIL", "mpl_toolkits", "matplotlib")
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


def test_every_unknown_module_is_named_with_its_place_and_what_to_write() -> None:
    with pytest.raises(RequirementError) as caught:
        pin("cv2", "monai", "numpy")
    assert [str(problem) for problem in caught.value.problems] == [
        "tumour.ipynb: cell 2, line 4: `import cv2` needs opencv-python-headless, but in which "
        "version is not known: it is not installed here\n    write into federation.yaml:  "
        'requirements: {cv2: "opencv-python-headless==VERSION"}',
        "tumour.ipynb: cell 2, line 4: `import monai` needs monai, but in which version is not "
        "known: it is not installed here\n    write into federation.yaml:  "
        'requirements: {monai: "monai==VERSION"}',
    ]


def test_a_module_beside_the_notebook_is_named_as_such(tmp_path: Path) -> None:
    (tmp_path / "my_models.py").touch()
    with pytest.raises(RequirementError, match="my_models is a file beside the notebook"):
        requirements.pin({"my_models": HERE}, {}, tmp_path)


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
    with pytest.raises(RequirementError, match="`import google`"):
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
