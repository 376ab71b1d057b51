import json
from pathlib import Path

import pytest
from fixtures.paths import ROOT
from jsonschema import Draft7Validator
from ruamel.yaml import YAML

from federator.errors import FederationFileError
from federator.federation.parts import Deadlines, Site
from federator.federation.schema import Federation, read, schema
from federator.runtime.link.followed import LONGEST
from federator.runtime.weights.encoding import ENCODINGS

VALID = """\
notebook: notebook.ipynb
sites:
  - name: north
  - name: south
"""

FULL = """\
# yaml-language-server: $schema=../federation.schema.json
notebook: ../../notebooks/breast_cancer.ipynb
images: docker.io/acme
server: fl.example.org:8443
sites:
  - name: north
    data: ../../data/north
    accelerator: cuda
    min_cell_count: 10
    baselines: false
  - {name: south-2, data: /srv/south}
  - name: 2024-01-01
rounds: 10
local_epochs: 2
seed: 7
min_sites: 50%
deadlines:
  join: 90s
  round: 2h
baselines: true
initial_weights: central.safetensors
select: best
labels: [benign, malignant]
positive: benign
metrics: [dice]
parameters: {learning_rate: 0.001, size: 224, name: vgg16, augment: true}
requirements:
  monai: monai == 1.4.0
build: {base: "mirror.org:5000/python:3.11@sha256:0a", torch_index: }
publish: {model: true, sites: true}
"""

# Where YAML itself breaks: the file, the line, a part of the message, and of the hint.
BROKEN = [
    ("", 1, "is empty", "write at least notebook: and sites:"),
    ("# nothing yet\n", 1, "is empty", "write at least notebook: and sites:"),
    (VALID + "\trounds: 3\n", 5, "is not valid YAML", "indent with spaces, not with tabs"),
    (VALID + "rounds: 3: 4\n", 5, "mapping values are not allowed", "indent alike"),
    (VALID + "server: @host\n", 5, "found character '@'", "quote a text"),
    (VALID + "labels: [a, b\nrounds: 3\n", 6, "flow sequence", "brackets"),
    (VALID + "server: 'host\n", 6, "quoted scalar", "quotes"),
    (VALID + "  rounds: 3\n", 5, "is not valid YAML", "check indentation"),
    (VALID + "---\nrounds: 3\n", 5, "single document", "keep one document: remove the line ---"),
    (VALID + "server: *host\n", 5, "an alias (*) is no part of this file", ""),
    (VALID + "server: !host a\n", 5, "!host", "check"),
    (VALID + "labels: [\x00]\n", None, "unacceptable character", "check"),
    (VALID + "rounds: !!int x\n", None, "is not valid YAML", "check"),
    (VALID + "labels: &a [*a, b]\n", 5, "an anchor (&)", ""),
    ("[" * 500, 1, "nested deeper", ""),
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "compose" / "demo"
    folder.mkdir(parents=True)
    (folder / "notebook.ipynb").touch()
    return folder


def write(folder: Path, text: str) -> Path:
    file = folder / "federation.yaml"
    file.write_text(text, encoding="utf-8")
    return file


def cases(name: str) -> list[str]:
    return (ROOT / "tests" / "fixtures" / "federations" / name).read_text().split("\n---\n")


def expected(text: str) -> list[tuple[int, str, str]]:
    """Return line, message and hint of every mistake that is marked in the text."""
    marked = []
    for number, line in enumerate(text.splitlines(), start=1):
        for mark in line.split("#! ")[1:]:
            message, _, hint = mark.partition("=>")
            marked.append((number, message.strip(), hint.strip()))
    return marked


@pytest.mark.parametrize(
    "text",
    [VALID + mistake for mistake in cases("keys.yaml")] + cases("files.yaml"),
    ids=lambda text: text.strip().splitlines()[-1][:60],
)
def test_each_mistake_is_reported_in_its_line(folder: Path, text: str) -> None:
    write(folder, text)
    with pytest.raises(FederationFileError) as caught:
        read(folder)
    problems = caught.value.problems
    for problem, (line, message, hint) in zip(problems, expected(text), strict=True):
        assert str(problem).startswith(f"federation.yaml: line {line}: {message}")
        assert problem.hint
        assert problem.hint.startswith(hint)


@pytest.mark.parametrize(("text", "line", "message", "hint"), BROKEN, ids=lambda v: str(v)[-40:])
def test_broken_yaml_is_explained(
    folder: Path, text: str, line: int | None, message: str, hint: str
) -> None:
    write(folder, text)
    with pytest.raises(FederationFileError) as caught:
        read(folder)
    (problem,) = caught.value.problems
    place = f"federation.yaml: line {line}: " if line else "federation.yaml: "
    assert str(problem).startswith(place)
    assert message in problem.message
    assert hint in (problem.hint or "")
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    "value",
    [
        "",
        "3",
        "-1",
        "2.5",
        "true",
        "text",
        '"a\\0b"',
        "~nobody/x",
        "2024-13-45",
        ".nan",
        "a" * 5000,
        "|\n      a\n",
        "[]",
        "[[]]",
        "[1, {2: 3}]",
        "{}",
        "{1: 2}",
        "{a: {b: c}}",
    ],
)
def test_any_value_at_any_key_is_explained(folder: Path, value: str) -> None:
    keys = [f"{key}: {value}" for key in Federation.model_fields]
    site = [f"sites:\n  - name: {value}"] + [
        f"    {key}: {value}" for key in Site.model_fields if key != "name"
    ]
    deadlines = ["deadlines:", *(f"  {key}: {value}" for key in Deadlines.model_fields)]
    for lines in (keys, site + deadlines):
        write(folder, "\n".join(lines))
        with pytest.raises(FederationFileError) as caught:
            read(folder)
        assert all(problem.where and problem.where.line for problem in caught.value.problems)
        assert "is wrong" not in str(caught.value)  # the words for what nobody thought of


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


def test_other_encodings_are_refused(folder: Path) -> None:
    (folder / "federation.yaml").write_bytes(VALID.encode() + "# Köln\n".encode("latin-1"))
    with pytest.raises(FederationFileError, match="line 5: is not UTF-8 text"):
        read(folder)


def test_the_folder_name_is_checked_with_everything_else(tmp_path: Path) -> None:
    folder = tmp_path / "My_Federation"
    folder.mkdir()
    write(folder, "sites: [name: north]\n")
    with pytest.raises(FederationFileError) as caught:
        read(folder)
    name, notebook = caught.value.problems
    assert str(name).startswith(
        "federation.yaml: the name of its folder must be a lower-case letter"
    )
    assert notebook.message == "notebook is missing"


def test_a_missing_file_is_named(folder: Path) -> None:
    write(folder, VALID)
    with pytest.raises(FederationFileError, match="did you mean demo\\?"):
        read(folder.parent / "demmo")
    with pytest.raises(FederationFileError, match=f"cannot read {folder.parent}/federation.yaml"):
        read(folder.parent)


@pytest.mark.parametrize("value", ["73h", "999999h", str(72 * 3600 + 1)])
def test_a_deadline_is_shorter_than_an_instruction_that_a_site_takes(value: str, tmp_path) -> None:
    text = f"notebook: a.ipynb\nsites: [{{name: a}}]\ndeadlines: {{round: {value}}}\n"
    (tmp_path / "federation.yaml").write_text(text)
    with pytest.raises(FederationFileError, match=r"deadlines\.round must be at most 72h"):
        read(tmp_path)
    assert LONGEST > 2 * 72 * 3600


def test_the_committed_schema_is_that_of_the_model() -> None:
    """Otherwise: ``python -m federator.federation.schema > compose/federation.schema.json``."""
    committed = (ROOT / "compose" / "federation.schema.json").read_text()
    assert committed == schema()


def test_the_encodings_are_those_of_the_runtime() -> None:
    assert json.loads(schema())["properties"]["encoding"]["enum"] == list(ENCODINGS)


def test_the_schema_tells_an_editor_what_the_model_knows() -> None:
    validator = Draft7Validator(json.loads(schema()))
    validator.check_schema(validator.schema)

    def accepts(text: str) -> bool:
        return validator.is_valid(YAML(typ="safe", pure=True).load(text))

    assert accepts(VALID)
    assert accepts(FULL.replace("2024-01-01", "dated"))
    for key in (
        "roundz: 3",
        "rounds: 0",
        "min_sites: 120%",
        "labels: [0, 1]",
        "select: first",
        "labels: []",
        "deadlines: {join: 5 min}",
        "images: Acme",
    ):
        assert not accepts(f"{VALID}{key}\n"), key


def test_every_key_is_described() -> None:
    described = json.loads(schema())
    definitions = described["$defs"]
    assert isinstance(definitions, dict)
    for part in (described, *definitions.values()):
        for key, field in part["properties"].items():
            assert field.get("description") or "$ref" in field, key
