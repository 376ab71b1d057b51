"""What a federation file says: its keys, their defaults, and what follows from them."""

import json
from pathlib import Path

import pytest
from fixtures.federation_file import FULL, VALID, write

from federator.errors import FederationFileError
from federator.federation.schema import read, schema
from federator.runtime.link.followed import LONGEST
from federator.runtime.weights.encoding import ENCODINGS, MASKED


def test_absent_keys_have_defaults(folder: Path) -> None:
    write(folder, VALID)
    federation = read(folder)
    assert federation.notebook == folder / "notebook.ipynb"
    assert [site.name for site in federation.sites] == ["north", "south"]
    north = federation.sites[0]
    assert (north.data, north.accelerator, north.min_cell_count) == (None, "cpu", 5)
    assert north.baselines
    assert (federation.images, federation.server, federation.rounds) == (None, None, None)
    assert (federation.local_epochs, federation.seed, federation.quorum) == (1, 0, 2)
    assert (federation.deadlines.join, federation.deadlines.round) == (300, 3600)
    assert not federation.baselines
    assert (federation.initial_weights, federation.select) == (None, "last")
    assert (federation.labels, federation.positive) == (["negative", "positive"], "positive")
    assert (federation.metrics, federation.parameters, federation.requirements) == ({}, {}, {})
    assert federation.build.base == "python:3.11-slim-bookworm"
    assert federation.build.torch_index == "https://download.pytorch.org/whl/cpu"
    assert (federation.publish.model, federation.publish.sites) == (False, False)


def test_every_key_is_read(folder: Path) -> None:
    root = folder.parent.parent
    (root / "notebooks").mkdir()
    (root / "notebooks" / "breast_cancer.ipynb").touch()
    (folder / "central.safetensors").touch()
    write(folder, FULL)
    federation = read(folder)
    assert federation.notebook == root / "notebooks" / "breast_cancer.ipynb"
    assert (federation.images, federation.server) == ("docker.io/acme", "fl.example.org:8443")
    north, south, dated = federation.sites
    assert north.data == root / "data" / "north"  # which does not exist: that is for the run
    assert (north.accelerator, north.min_cell_count, north.baselines) == ("cuda", 10, False)
    assert (south.name, south.data) == ("south-2", Path("/srv/south"))
    assert dated.name == "2024-01-01"
    assert (federation.rounds, federation.local_epochs, federation.seed) == (10, 2, 7)
    assert federation.quorum == 2
    assert (federation.deadlines.join, federation.deadlines.round) == (90, 7200)
    assert federation.baselines
    assert federation.initial_weights == folder / "central.safetensors"
    assert federation.select == "best"
    assert (federation.labels, federation.positive) == (["benign", "malignant"], "benign")
    assert federation.metrics == {"dice": "mean"}
    assert federation.parameters == {
        "learning_rate": 0.001,
        "size": 224,
        "name": "vgg16",
        "augment": True,
    }
    assert type(federation.parameters["size"]) is int
    assert federation.requirements == {"monai": "monai==1.4.0"}
    assert federation.build.base == "mirror.org:5000/python:3.11@sha256:0a"
    assert (federation.build.index, federation.build.torch_index) == (None, None)
    assert (federation.publish.model, federation.publish.sites) == (True, True)


def test_name_and_root_come_from_the_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write(folder, VALID)
    monkeypatch.chdir(folder)
    for path in (folder, file, Path(), Path("federation.yaml")):
        federation = read(path)
        assert (federation.name, federation.folder) == ("demo", folder)
        assert federation.root == folder.parent.parent


def test_outside_compose_the_folder_is_the_root(tmp_path: Path) -> None:
    (tmp_path / "alone").mkdir()
    (tmp_path / "alone" / "notebook.ipynb").touch()
    write(tmp_path / "alone", VALID)
    assert read(tmp_path / "alone").root == tmp_path / "alone"


@pytest.mark.parametrize(
    ("sites", "min_sites", "quorum"),
    [
        (3, "100%", 3),
        (3, "1%", 1),
        (3, "67%", 3),
        (3, "66%", 2),
        (4, "50%", 2),
        (50, "58%", 29),
        (3, "2", 2),
        (1, "50%", 1),
    ],
)
def test_quorum_rounds_up(folder: Path, sites: int, min_sites: str, quorum: int) -> None:
    names = ", ".join(f"name: s{number}" for number in range(sites))
    write(folder, f"notebook: notebook.ipynb\nsites: [{names}]\nmin_sites: {min_sites}\n")
    assert read(folder).quorum == quorum


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("fl.example.org", "fl.example.org:443"),
        ("10.0.0.5:8443", "10.0.0.5:8443"),
        ("localhost", "localhost:443"),
        ('"[::1]"', "[::1]:443"),
        ('"[::1]:80"', "[::1]:80"),
    ],
)
def test_server_has_its_port(folder: Path, text: str, address: str) -> None:
    write(folder, f"{VALID}server: {text}\n")
    assert read(folder).server == address


@pytest.mark.parametrize(
    "images", ["docker.io/acme", "ghcr.io/a/b-c_d", "localhost:5000/x", "registry.org:443/a.b"]
)
def test_image_namespaces(folder: Path, images: str) -> None:
    write(folder, f"{VALID}images: {images}\n")
    assert read(folder).images == images


def test_yes_and_no_are_texts(folder: Path) -> None:
    write(folder, f"{VALID}labels: [no, yes]\n")
    assert read(folder).labels == ["no", "yes"]
    assert read(folder).positive == "yes"


def test_more_than_two_labels_have_no_positive_one(folder: Path) -> None:
    write(folder, f"{VALID}labels: [a, b, c]\n")
    assert read(folder).positive is None


def test_marks_of_other_editors_are_read(folder: Path) -> None:
    (folder / "federation.yaml").write_bytes(b"\xef\xbb\xbf" + VALID.replace("\n", "\r\n").encode())
    assert len(read(folder).sites) == 2


@pytest.mark.parametrize("value", ["73h", "999999h", str(72 * 3600 + 1)])
def test_a_deadline_is_shorter_than_an_instruction_that_a_site_takes(value: str, tmp_path) -> None:
    text = f"notebook: a.ipynb\nsites: [{{name: a}}]\ndeadlines: {{round: {value}}}\n"
    (tmp_path / "federation.yaml").write_text(text)
    with pytest.raises(FederationFileError, match=r"deadlines\.round must be at most 72h"):
        read(tmp_path)
    assert LONGEST > 2 * 72 * 3600


def test_the_encodings_are_those_of_the_runtime() -> None:
    assert json.loads(schema())["properties"]["encoding"]["enum"] == [
        one
        for one in ENCODINGS
        if one != MASKED  # which secure_aggregation chooses
    ]


def test_steps_take_the_place_of_epochs(folder: Path) -> None:
    write(folder, f"{VALID}\nlocal_steps: 50\n")
    assert read(folder).local_steps == 50
    write(folder, f"{VALID}\nlocal_epochs: 2\nlocal_steps: 50\n")
    with pytest.raises(FederationFileError, match="local_steps must be absent where there are"):
        read(folder)
