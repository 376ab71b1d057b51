import json
import os
import subprocess
import sys

import pytest
from fakes import run_journal
from fixtures.small_notebook import TRAIN, cells, federate
from packaging.requirements import Requirement

from federator.app.convert import convert
from federator.errors import FederationFileError
from federator.images import image_spec, wheel

IMAGES = "images: docker.io/acme\n"


def written(root, settings=IMAGES, **changed):
    """The specifications of the small notebook's images, by name, and its build folder."""
    federation = federate(root, settings, cells(**changed))
    components = convert(federation, federation.root / "build")
    return {one.name: one for one in image_spec.write(federation, components)}, components.folder


def tags(made):
    return {name: (one.dependencies.tag, one.image.tag) for name, one in made.items()}


def test_names(tmp_path):
    made, _ = written(tmp_path)
    assert [one.repository for one in made.values()] == [
        "docker.io/acme/federator-link",
        "docker.io/acme/tumours-client",
        "docker.io/acme/tumours-server",
    ]
    assert str(made["link"].image).startswith("docker.io/acme/federator-link:0.1.0-")
    assert str(made["client"].dependencies).startswith(
        "docker.io/acme/tumours-client:dependencies-"
    )


def test_the_namespace_is_needed(tmp_path):
    with pytest.raises(FederationFileError, match="images is missing"):
        written(tmp_path, "")


def test_tags_are_those_of_the_content(tmp_path):
    before, _ = written(tmp_path / "a")
    assert tags(written(tmp_path / "b", IMAGES.replace("docker.io", "ghcr.io"))[0]) == tags(before)
    for changed in ({"plot": "plt.plot([1])"}, {"another": "1 + 1"}):
        assert tags(written(tmp_path / "c", **changed)[0]) == tags(before)


def test_a_changed_notebook_changes_the_upper_part_alone(tmp_path):
    before, after = (
        tags(written(tmp_path, train=train)[0]) for train in (TRAIN, f"{TRAIN}\n    return 1")
    )
    assert after["link"] == before["link"]
    for name in ("client", "server"):
        assert after[name][0] == before[name][0]
        assert after[name][1] != before[name][1]


@pytest.mark.parametrize(
    ("settings", "changed"),
    [
        ("build: {base: 'python:3.12-slim-bookworm'}", {"link", "client", "server"}),
        ("build: {torch_index: }", {"client"}),
        ("build: {index: 'https://mirror.org/simple'}", set()),
        ("requirements: {tqdm: tqdm==4.67.1}", {"client"}),
        ("local_epochs: 3", set()),
    ],
)
def test_settings_change_what_they_concern(tmp_path, settings, changed):
    before = tags(written(tmp_path)[0])
    after = tags(written(tmp_path, f"{IMAGES}{settings}\n")[0])
    assert {name for name in after if after[name][0] != before[name][0]} == changed


def test_only_the_author_s_code_is_on_top(tmp_path):
    made, folder = written(tmp_path)
    app = {f"app/{path.name}" for path in (folder / "app").iterdir()}
    at_sites, whole = (f"wheels/{write([]).name}" for write in (wheel.for_site, wheel.for_server))
    assert set(made["link"].upper) == {at_sites}
    assert set(made["client"].upper) == app | {at_sites}
    assert set(made["server"].upper) == app | {whole}
    assert not any("tumour" in str(data) for data in made["link"].lower.values())


def test_torch_comes_from_one_index_and_first(tmp_path):
    settings = f"{IMAGES}build: {{torch_index: 'https://mirror.org/cpu'}}\n"
    settings += "requirements: {torchvision: torchvision==0.28.0}\n"
    made, _ = written(tmp_path, settings)
    dockerfile = made["client"].lower["Dockerfile"].decode()
    assert "ARG TORCH_INDEX=https://mirror.org/cpu\n" in dockerfile
    assert "--no-deps" in dockerfile
    assert dockerfile.index("torch.txt") < dockerfile.index("install.txt")
    first = made["client"].lower["requirements/torch.txt"].decode().split()
    assert [line.partition("==")[0] for line in first] == ["torch", "torchvision"]
    for name in ("link", "server"):
        assert made[name].lower["requirements/torch.txt"] == b""
        assert b"torch.txt" not in made[name].lower["Dockerfile"]


@pytest.mark.parametrize(
    "line",
    [
        'torch==2.9.0; platform_machine == "x86_64"',
        'torch==2.9.0; os_name != "; id > /tmp/x" and python_version > "3"',
        'torch[opt-einsum,optree]==2.9.0; python_version < "4" or sys_platform == "linux&&id"',
        "torch===2.9.0",
        "torch@ https://mirror.org/torch-2.9.0-py3-none-any.whl",
    ],
)
def test_a_requirement_meets_no_shell(tmp_path, line):
    made, _ = written(tmp_path, f"{IMAGES}requirements:\n  torch: '{line}'\n")
    files = {name: text.decode() for name, text in made["client"].lower.items()}
    usual = str(Requirement(line))
    assert usual in files["requirements/install.txt"].splitlines()
    assert files["requirements/torch.txt"].splitlines() == [usual]
    assert not any(word in files["Dockerfile"] for word in ("2.9.0", "linux", "id >", "optree"))


def test_what_requirements_bring_along_is_pinned(tmp_path):
    made, _ = written(tmp_path)
    link = made["link"].lower["requirements/versions.txt"].decode().splitlines()
    assert {line.partition("==")[0] for line in link} >= {"grpcio", "cryptography", "uvloop"}
    assert made["link"].lower["requirements/install.txt"].startswith(b"flwr==1.42.0\nnumpy==")
    client = made["client"].lower["requirements/versions.txt"].decode().splitlines()
    assert {line.partition("==")[0] for line in client} >= {"sympy", "filelock"}
    assert all("==" in line for line in link + client)


def test_a_site_with_a_gpu_gets_an_image_of_its_own(tmp_path):
    federate(tmp_path, IMAGES)
    file = tmp_path / "compose" / "tumours" / "federation.yaml"
    text = file.read_text().replace("{name: south}", "{name: south, accelerator: cuda}")
    from federator.federation import schema

    file.write_text(text)
    read = schema.read(file)
    made = image_spec.write(read, convert(read, tmp_path / "build"))
    assert [one.name for one in made] == ["link", "client", "client-cuda", "server"]
    cuda = made[2]
    assert cuda.repository == "docker.io/acme/tumours-client-cuda"
    assert b"ARG TORCH_INDEX=\n" in cuda.lower["Dockerfile"]


def test_the_bake_file(tmp_path):
    settings = f"{IMAGES}build: {{index: 'https://mirror.org/simple'}}\n"
    made, folder = written(tmp_path, settings)
    targets = json.loads((folder / "docker-bake.json").read_text())["target"]
    assert list(targets) == [
        *("link-dependencies", "link"),
        *("client-dependencies", "client"),
        *("server-dependencies", "server"),
    ]
    for name, target in targets.items():
        assert (folder / target["context"] / "Dockerfile").is_file()
        assert target["args"]["PIP_INDEX_URL"] == "https://mirror.org/simple"
        assert target["secret"] == [f"id=pip,env={image_spec.SECRET}"]
        if not name.startswith("link"):
            assert target["args"]["LINK"] == str(made["link"].dependencies)
    assert targets["client"]["tags"] == [str(made["client"].image)]


def test_labels_tell_the_origin_and_no_secret(tmp_path):
    def git(*arguments):
        identity = ("-c", "user.name=a", "-c", "user.email=a@b.c")
        subprocess.run(["git", "-C", tmp_path, *identity, *arguments], check=True)

    git("init", "--quiet")
    git("remote", "add", "origin", "https://ada:secret@git.org/acme/tumours.git")
    git("commit", "--quiet", "--allow-empty", "--message=first")
    made, folder = written(tmp_path)
    labels = made["client"].labels
    assert labels["org.opencontainers.image.source"] == "https://git.org/acme/tumours.git"
    assert len(labels["org.opencontainers.image.revision"].removesuffix("-dirty")) == 40
    assert labels["federator.flwr.version"] == "1.42.0"
    assert len(labels["federator.notebook.sha256"]) == 64
    assert "federator.notebook.sha256" not in made["link"].labels
    assert "secret@" not in (folder / "docker-bake.json").read_text()


def test_another_user_can_read_what_goes_in(tmp_path):
    _, folder = written(tmp_path)
    for path in (folder / "images").rglob("*"):
        assert path.stat().st_mode & 0o777 == (0o755 if path.is_dir() else 0o644)


# What the server's image does not have; and a beginning of code that has it neither.
ABSENT = ("ruamel.yaml", "nbformat", "nbconvert", "pyflakes", "torch")
WITHOUT = f"import sys; sys.modules.update(dict.fromkeys({ABSENT!r}))\n"


def test_what_the_servers_image_runs_needs_no_more_than_it_has():
    code = (
        f"{WITHOUT}"
        "import federator.cli, federator.results.terminal, federator.results.publication\n"
        "import federator.results.report, federator.runtime.control.schedule\n"
        "import federator.runtime.control.process, federator.runtime.server.server_app\n"
        "from federator.common.templates import Templates; Templates().read('report/report.css')"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_status_and_live_page_need_no_more_than_the_servers_image_has(tmp_path):
    run_journal.write(tmp_path / "made-up" / "1", rounds=2)
    settings = {"federation": "made-up", "sites": ["alder", "birch"]}
    code = (
        f"{WITHOUT}import federator.results.watch.service\n"
        "from federator.results.progress import place\n"
        "assert not place.shows_sites(None)\n"
        "from federator.cli import main; sys.argv[1:] = ['status']; main()"
    )
    told = subprocess.run(
        [sys.executable, "-c", code],
        env={
            "PATH": os.environ["PATH"],
            "FEDERATOR_FEDERATION": json.dumps(settings, indent=2),
            "FEDERATOR_RESULTS": str(tmp_path),
        },
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert told.startswith("made-up 1: finished, round 2 of 2")
