"""What no server's file may have: whatever is not in each that ``federator compose`` writes."""

import hashlib
from dataclasses import replace

import pytest
from fakes.images import IMAGES, lay_out, write
from fixtures.command_line import call
from fixtures.compose_trees import changed, optional, places, present
from fixtures.paths import ROOT

from federator.deploy.server_file.permitted import FILE, SAME
from federator.errors import InputError
from federator.federation import schema
from federator.runtime.review import yaml_tree
from federator.runtime.review.conformity import compared
from federator.runtime.review.yaml_tree import Tree

NOTIFY = """\
notify:
  webhook: true
  mail: {server: smtp.example.org, sender: fl@example.org, to: [ward@example.org], user: fl}
"""
SETTINGS = {
    "plain": "",
    "weights of the repository": "initial_weights: ../../models/first.pt\n",
    "weights of another federation": "initial_weights: ../other/first.pt\n",
    "weights beside it, own, notify": f"initial_weights: first.pt\nstrategy: own\n{NOTIFY}",
}


def laid_out(root, settings=""):
    for folder in (root / "models", root / "compose" / "other", root / "compose" / "tumours"):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "first.pt").touch()
    lay_out(root)  # a federation file that names a file is read when that is there
    made = lay_out(root, settings)
    (made.folder / "keys").mkdir(exist_ok=True)
    return made


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """One server's file of each kind that there is."""
    root = tmp_path_factory.mktemp("repositories")
    return {
        kind: write(laid_out(root / kind.replace(" ", "-"), settings))["server.yaml"]
        for kind, settings in SETTINGS.items()
    }


def tree_of(text):
    return yaml_tree.parse("server.yaml", text.encode())


def problems(tree):
    return list(compared(tree, FILE, SAME, "server"))


@pytest.mark.parametrize("kind", SETTINGS)
def test_all_that_compose_writes_for_a_server_is_permitted(files, kind):
    assert problems(tree_of(files[kind])) == []


def test_all_that_a_server_may_have_is_written(files):
    written = {one for text in files.values() for one in present(tree_of(text))}
    assert set(optional(FILE)) - written == set()


@pytest.mark.parametrize("kind", SETTINGS)
def test_a_key_more_or_less_anywhere_in_a_server_s_file_is_refused(files, kind):
    tree, tried = tree_of(files[kind]), 0
    absent = set(optional(FILE))
    for path, one in places(tree):
        name = ".".join(map(str, path))
        if isinstance(one.value, dict):
            assert problems(changed(tree, (*path, "privileged"), Tree(7, "true"))), name
            tried += 1
        if path and isinstance(path[-1], str) and name not in absent:
            assert problems(changed(tree, path, None)), name
            tried += 1
    assert tried > 150


VALUES = {
    "a text": Tree(7, "host"),
    "a setting": Tree(7, "${ANYTHING}"),
    "no items": Tree(7, []),
    "no keys": Tree(7, {}),
    "items": Tree(7, [Tree(7, "/:/host")]),
    "keys": Tree(7, {"source": Tree(7, "/")}),
}
_TOLD = ("TERMS", "FEDERATION", "COORDINATOR_KEY", "NOTIFY")
FREE = {"name", *(f"FEDERATOR_{one}" for one in _TOLD)}


@pytest.mark.parametrize("kind", SETTINGS)
@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES.keys())
def test_another_value_in_a_server_s_file_is_refused(files, kind, value):
    tree = tree_of(files[kind])
    for path, _ in places(tree):
        if path and not (path[-1] in FREE and value.value == "host"):
            assert problems(changed(tree, path, value)), path


@pytest.mark.parametrize("kind", SETTINGS)
def test_an_item_more_in_any_list_of_a_server_s_file_is_refused(files, kind):
    tree = tree_of(files[kind])
    lists = [(path, one) for path, one in places(tree) if isinstance(one.value, list)]
    assert len(lists) > 30
    for path, one in lists:
        for item in (Tree(7, "/:/host"), one.value[0]):
            longer = replace(one, value=[*one.value, item])
            assert problems(changed(tree, path, longer)), path


def mounts(tree, name):
    """The mounts of a service, by their place in its container, and whether they can be written."""
    found = {}
    for one in tree.get("services", name, "volumes").value:
        if isinstance(one.value, dict):
            found[one.get("target").value] = one.get("read_only").value != "true"
        else:
            place, _, mode = one.value.rpartition(":/")[2].partition(":")
            found[f"/{place}"] = mode != "ro"
    return found


def test_each_service_writes_where_it_must_and_nowhere_else(files):
    tree = tree_of(files["weights beside it, own, notify"])
    writable = {
        name: {place for place, writes in mounts(tree, name).items() if writes}
        for name in tree.get("services").value
    }
    assert writable == {
        "gateway": {"/store"},
        "superlink": {"/state"},
        "signer": {"/signer", "/signing"},
        "order": set(),
        "server": {"/results", "/store", "/strategy", "/notices"},
        "init": {"/initial"},
        "notify": {"/notices"},
        "strategy": set(),
        "watch": set(),
    }
    read = {name: set(mounts(tree, name)) - places for name, places in writable.items()}
    assert read["init"] == {"/run/federator/first.pt"}, "the author's code, with the Internet"
    assert read["strategy"] == {"/strategy"}, "the author's code"
    assert read["watch"] == {"/results", "/run/federator/watch.token"}
    having = {
        (path[1], one.value.partition(":")[0])
        for path, one in places(tree)
        if isinstance(one.value, str) and one.value.startswith("./keys/")
    }
    assert having == {
        *(("gateway", f"./keys/{name}") for name in ("server.crt", "server.key", "superlink.crt")),
        *(("superlink", f"./keys/superlink.{end}") for end in ("crt", "key")),
        *((name, "./keys/superexec.secret") for name in ("superlink", "server")),
        ("server", "./keys/superlink.crt"),
        ("signer", "./keys/coordinator.key"),
        ("watch", "./keys/watch.token"),
    }


def test_the_live_page_is_on_loopback_in_a_network_of_its_own_when_it_is_asked_for(
    files,
):
    tree = tree_of(files["plain"])
    (port,) = tree.get("services", "watch", "ports").value
    assert port.value.startswith("127.0.0.1:")
    for name in tree.get("services").value:
        networks = tree.get("services", name, "networks")
        there = [one.value for one in networks.value] if networks is not None else []
        assert (there == ["watch"]) == (name == "watch") == ("watch" in there)
    assert [one.value for one in tree.get("services", "watch", "profiles").value] == ["watch"]


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("      - initial:/initial\n", "      - /:/host\n", "services.init.volumes has “/:/host”"),
        (
            "      - initial:/initial\n",
            "      - initial:/initial\n      - ./keys/coordinator.key:/run/federator/x:ro\n",
            "services.init.volumes has “./keys/coordinator.key",
        ),
        (
            "      - initial:/initial\n",
            "      - initial:/initial\n      - ../../../../etc/shadow:/run/federator/x:ro\n",
            "services.init.volumes has “../../../../etc/shadow",
        ),
        (
            "      - initial:/initial\n",
            "      - initial:/initial\n      - ../../.git/config:/run/federator/x:ro\n",
            "services.init.volumes has “../../.git/config",
        ),
        (
            "    command: [serve]\n",
            "    command: [serve]\n    privileged: true\n",
            "services.server.privileged is no setting of a server's file",
        ),
        ("command: [signer]", "command: [sh, -c, id]", "services.signer.command has “sh”"),
        (f"image: {IMAGES.client}", "image: docker.io/acme/client:latest", "by its digest"),
        (
            "command: [signer]\n    environment:\n      FEDERATOR_SIGNING_KEY",
            "command: [signer]\n    environment:\n      PYTHONPATH: /signer\n"
            "      FEDERATOR_SIGNING_KEY",
            "services.signer.environment.PYTHONPATH is no setting",
        ),
        ('"127.0.0.1:${WATCH_PORT', '"${WATCH_PORT', "services.watch.ports has “${WATCH_PORT"),
        ("internal: true", "internal: false", "networks.inside.internal is “false”"),
        ("  results:\n", "  results: {external: true}\n", "volumes.results is keys: external"),
        ("name: tumours-server", "name: a\ninclude: [b.yaml]", "include is no setting"),
        ("    networks: [inside]\n", "    networks: [inside, outside]\n", "“outside”, which no"),
    ],
)
def test_what_no_server_may_have_is_refused_with_its_line(tmp_path, old, new, words):
    made = laid_out(tmp_path)
    write(made)
    path = made.folder / "server.yaml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    said = call("approve", made.folder)
    assert said.exit_code == 2
    assert words in said.stderr and "server.yaml: line " in said.stderr
    assert not (made.folder / "keys" / "started").exists()


def test_a_template_of_the_repository_gives_no_server_more(tmp_path):
    made = laid_out(tmp_path)
    own = tmp_path / "component_templates" / "deploy"
    own.mkdir(parents=True)
    shipped = ROOT / "component_templates" / "deploy"
    text = (shipped / "server.yaml").read_text()
    (own / "server.yaml").write_text(text.replace("- initial:/initial\n", "- /:/host\n"))
    with pytest.raises(InputError, match=r"(?s)services\.init\.volumes has “/:/host”.*template"):
        write(made)
    (own / "server.yaml").unlink()
    text = (shipped / "nginx.conf.j2").read_text()
    served = "alias /run/federator/server.key;"
    (own / "nginx.conf.j2").write_text(text.replace("return 404;", served, 1))
    with pytest.raises(InputError, match=r"nginx\.conf: is not what this version"):
        write(made)
    assert not (made.folder / "server.yaml").exists()


def test_what_is_approved_is_what_the_workflow_compares(tmp_path):
    made = laid_out(tmp_path)
    texts = write(made)
    assert call("approve", made.folder).exit_code == 0
    noted = (made.folder / "keys" / "started").read_text()
    assert noted == "".join(
        f"{hashlib.sha256(texts[name].encode()).hexdigest()}  {name}\n"
        for name in ("server.yaml", "nginx.conf")
    )
    (made.folder / "nginx.conf").write_text(texts["nginx.conf"] + "# more\n")
    said = call("approve", made.folder)
    assert said.exit_code == 2 and "nginx.conf: is not what this version" in said.stderr
    assert (made.folder / "keys" / "started").read_text() == noted


@pytest.mark.parametrize("name", ["keys/coordinator.key", "../../.git/config", "/etc/hostname"])
def test_the_author_names_no_secret_as_weights(tmp_path, name):
    made = laid_out(tmp_path)
    path = made.folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        path.touch()
    file = made.folder / "federation.yaml"
    file.write_text(f"{file.read_text()}initial_weights: {name}\n")
    with pytest.raises(InputError, match="may not be mounted at the server"):
        write(schema.read(file))
    (made.folder / "link.pt").symlink_to(path)
    file.write_text(file.read_text().replace(name, "link.pt"))
    with pytest.raises(InputError, match="may not be mounted at the server"):
        write(schema.read(file))
