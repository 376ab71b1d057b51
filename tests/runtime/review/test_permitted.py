"""What no site's file may have: whatever is not in each that ``federator compose`` writes."""

from dataclasses import replace

import pytest
from fakes.images import IMAGES, lay_out, lay_out_cohort, write
from fixtures.compose_trees import changed, optional, places, present

from federator.errors import InputError
from federator.federation import schema
from federator.runtime.review import yaml_tree
from federator.runtime.review.command import main
from federator.runtime.review.conformity import departures
from federator.runtime.review.permitted import FILE
from federator.runtime.review.site_file import SiteFile
from federator.runtime.review.yaml_tree import Tree

CUDA = """
  - {name: north, min_cell_count: 0, baselines: false, survey: false}
  - {name: east, accelerator: cuda}
"""
EVERYTHING = 'metrics: [dice]\nlimits: {worker: 9g, link: 700m}\nlocal: ["*.bn*", "head.*"]\n'


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """One site's file of each kind that there is."""
    root = tmp_path_factory.mktemp("repository")
    made = lay_out(root / "plain")
    plain = write(made)["north.yaml"]
    (made.folder / "public" / "ca.crt").unlink()
    public = write(made)["north.yaml"]
    made = lay_out(root / "all", EVERYTHING)
    path = made.folder / "federation.yaml"
    path.write_text(path.read_text().replace("[{name: north}, {name: south}]", CUDA))
    several = write(schema.read(path))
    summed = lay_out_cohort(root / "sums")
    return {
        "plain": plain,
        "secure aggregation": write(summed)["north.yaml"],
        "public authority": public,
        "local tensors": several["north.yaml"],
        "a GPU": several["east.yaml"],
    }


KINDS = ("plain", "secure aggregation", "public authority", "local tensors", "a GPU")


def problems(text):
    return list(SiteFile.parse("new.yaml", text.encode()).problems)


@pytest.mark.parametrize("kind", KINDS)
def test_all_that_compose_writes_is_permitted(files, kind):
    assert problems(files[kind]) == []


def test_all_that_is_permitted_is_written(files):
    written = set()
    for text in files.values():
        written |= set(present(SiteFile.parse("a.yaml", text.encode()).tree))
    assert set(optional(FILE)) - written == set()


@pytest.mark.parametrize("kind", KINDS)
def test_a_key_more_or_less_anywhere_is_refused(files, kind):
    tree = SiteFile.parse("a.yaml", files[kind].encode()).tree
    absent = set(optional(FILE))
    tried = 0
    for path, one in places(tree):
        name = ".".join(map(str, path))
        if isinstance(one.value, dict):
            more = changed(tree, (*path, "privileged"), Tree(7, "true"))
            assert list(departures(more)), name
            tried += 1
        if path and isinstance(path[-1], str) and name not in absent:
            less = changed(tree, path, None)
            assert list(departures(less)), name
            tried += 1
    assert tried > 100


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "value",
    [
        Tree(7, "host"),
        Tree(7, "${ANYTHING}"),
        Tree(7, []),
        Tree(7, {}),
        Tree(7, [Tree(7, "/:/host")]),
        Tree(7, {"source": Tree(7, "/")}),
    ],
    ids=["text", "setting", "no items", "no keys", "items", "keys"],
)
def test_another_value_is_refused_unless_it_is_a_text_without_power(files, kind, value):
    """These are the values that vary freely: the link reads them, Compose only passes them on."""
    free = {
        "name",
        *("FEDERATOR_SITE", "FEDERATOR_COORDINATOR_KEY", "FEDERATOR_TASK", "FEDERATOR_METRICS"),
        *("FEDERATOR_LOCAL", "FEDERATOR_CA"),
    }
    tree = SiteFile.parse("a.yaml", files[kind].encode()).tree
    for path, _ in places(tree):
        if path and not (path[-1] in free and value.value == "host"):
            assert list(departures(changed(tree, path, value))), path


@pytest.mark.parametrize("kind", KINDS)
def test_an_item_more_in_any_list_is_refused(files, kind):
    tree = SiteFile.parse("a.yaml", files[kind].encode()).tree
    lists = [(path, one) for path, one in places(tree) if isinstance(one.value, list)]
    assert len(lists) > 10
    for path, one in lists:
        for item in (Tree(7, "/:/host"), one.value[0]):
            longer = replace(one, value=[*one.value, item])
            assert list(departures(changed(tree, path, longer))), path


# What would undo a promise, each with the words that the operator reads.
ATTACKS = {
    "a privileged worker": (
        "    network_mode: none\n    volumes:\n      - handover",
        "    privileged: true\n    network_mode: none\n    volumes:\n      - handover",
        "services.worker.privileged is no setting of a site's file",
    ),
    "a worker with a network": (
        "    network_mode: none\n    volumes:\n      - handover",
        "    volumes:\n      - handover",
        "services.worker.network_mode is missing",
    ),
    "the machine's network": (
        "network_mode: none\n    volumes:\n      - handover",
        "network_mode: host\n    volumes:\n      - handover",
        "services.worker.network_mode is “host”, not “none”",
    ),
    "the network of the link": (
        "network_mode: none\n    volumes:\n      - handover",
        "network_mode: service:link\n    volumes:\n      - handover",
        "services.worker.network_mode is “service:link”, not “none”",
    ),
    "data that can be written to": (
        "target: /data\n        read_only: true",
        "target: /data\n        read_only: false",
        "services.worker.volumes.read_only is “false”, not “true”",
    ),
    "data of the link": (
        "      - keys:/keys\n",
        "      - keys:/keys\n      - ${DATA_DIR}:/data\n",
        "services.link.volumes has “${DATA_DIR}:/data”",
    ),
    "the engine's socket": (
        "      - keys:/keys\n",
        "      - keys:/keys\n      - /var/run/docker.sock:/var/run/docker.sock\n",
        "services.link.volumes has “/var/run/docker.sock:/var/run/docker.sock”",
    ),
    "a port": (
        "    command: [link]\n",
        "    command: [link]\n    ports: ['0.0.0.0:80:80']\n",
        "services.link.ports is no setting of a site's file",
    ),
    "a capability": ("cap_drop: [ALL]", "cap_add: [SYS_ADMIN]", "cap_add is no setting"),
    "the machine's processes": (
        "    command: [link]\n",
        "    command: [link]\n    pid: host\n",
        "services.link.pid is no setting",
    ),
    "rights that grow": ("no-new-privileges:true", "seccomp=unconfined", "seccomp=unconfined"),
    "an image by its name": (
        f"image: {IMAGES.client}",
        "image: docker.io/acme/tumours-client:latest",
        "not an image by its digest",
    ),
    "another program": ("command: [worker]", "command: [sh, -c, id]", "services.worker.command"),
    "another service": (
        "  # Compares two versions",
        "  spy: {image: alpine}\n  # Compares two versions",
        "services.spy is no setting",
    ),
    "a volume elsewhere": (
        "  keys:  #",
        "  keys: {driver_opts: {type: nfs, o: addr=192.0.2.1, device: ':/'}}  #",
        "volumes.keys is keys: driver_opts, not empty",
    ),
    "data of join": (
        "        source: ./compose.yaml\n        target: /run/federator/compose.yaml",
        "        source: ${DATA_DIR}\n        target: /data",
        "services.join.volumes has keys: type, source, target",
    ),
    "all of the folder for join": (
        "source: ./compose.yaml",
        "source: .",
        "services.join.volumes.source is “.”, not “./compose.yaml”",
    ),
    "another image of join": (
        f"image: {IMAGES.link}\n    profiles: [join]",
        f"image: {IMAGES.client}\n    profiles: [join]",
        "services.join.image is not that of link",
    ),
    "another program of join": (
        "[python, -m, federator.runtime, join]",
        "[python, -c, 'import this']",
        "services.join.entrypoint",
    ),
    "a join that starts with the link": (
        "    profiles: [join]\n    entrypoint",
        "    entrypoint",
        "services.join.profiles is missing",
    ),
    "a join that brings others along": (
        "depends_on: [check]",
        "depends_on: [check, review]",
        "services.join.depends_on has “review”",
    ),
    "another image beside the data": (
        f"image: {IMAGES.client}\n    profiles: [join]",
        f"image: {IMAGES.link}\n    profiles: [join]",
        "services.check.image is not that of worker",
    ),
    "a check with a network": (
        "environment: *worker\n    network_mode: none\n",
        "environment: *worker\n",
        "services.check.network_mode is missing",
    ),
    "a check with the network of join": (
        "environment: *worker\n    network_mode: none\n",
        "environment: *worker\n    network_mode: service:join\n",
        "services.check.network_mode is “service:join”, not “none”",
    ),
    "a check with the keys": (
        "      - handover:/handover:ro",
        "      - keys:/keys\n      - handover:/handover:ro",
        "services.check.volumes has “keys:/keys”",
    ),
    "a check that leaves files for the link": (
        "handover:/handover:ro",
        "handover:/handover",
        "services.check.volumes has “handover:/handover”",
    ),
    "another program of the check": ("command: [check]", "command: [sh]", "services.check.command"),
    "another file": ("name: tumours-north", "name: a\ninclude: [/etc/b.yaml]", "include is no"),
    "a setting of the machine": (
        "FEDERATOR_SERVER: fl.example.org:443",
        "FEDERATOR_SERVER: ${HOME}:443",
        "FEDERATOR_SERVER is “${HOME}:443”, not host:port",
    ),
    "another app beside the data": ("FEDERATOR_SITE: north", "FEDERATOR_SITE: south", "SITE"),
    "an override that Compose reads": (
        "name: tumours-north",
        "name: a\n<<: {privileged: true}",
        "<<",
    ),
}


@pytest.mark.parametrize(("old", "new", "words"), ATTACKS.values(), ids=ATTACKS.keys())
def test_what_no_site_may_have_is_refused_with_its_line(files, old, new, words, tmp_path, capsys):
    assert old in files["plain"]
    path = tmp_path / "new.yaml"
    path.write_text(files["plain"].replace(old, new, 1))
    assert main([str(path)]) == 1
    said = capsys.readouterr().err
    assert words in said and "Do not accept new.yaml: line " in said


@pytest.mark.parametrize(("one", "other"), [("join", "link"), ("check", "worker")])
def test_join_and_its_check_are_told_nothing_else_than_link_and_worker(files, one, other):
    tree = SiteFile.parse("a.yaml", files["plain"].encode()).tree
    told = tree.get("services", other, "environment")
    same = replace(told, line=7)  # written out, it is the same
    assert list(departures(changed(tree, ("services", one, "environment"), same))) == []
    for name, value in {"FEDERATOR_SITE": "south", "FEDERATOR_APP_HASH": "f" * 64}.items():
        another = replace(told, value={**told.value, name: Tree(7, value)})
        found = list(departures(changed(tree, ("services", one, "environment"), another)))
        assert found == [f"line 7: services.{one}.environment is not that of {other}"]


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("network_mode: none", "network_mode: !reset none", "tag !reset"),
        ("volumes:", "volumes: !override", "tag !override"),
        ("command: [link]", "command: [link]\n    command: [worker]", "is there twice"),
        ("# Written", "# \u2028privileged: true\n# Written", "ends a line"),
        ("# Written", "# \x85privileged: true\n# Written", "ends a line"),
        ("# Written", "# \rprivileged: true\n# Written", "ends a line"),
        ("name: tumours-north", "name: a\n? [b]\n: c", "no text"),
    ],
)
def test_what_compose_could_read_otherwise_is_refused(files, old, new, words):
    with pytest.raises(InputError, match=rf"new\.yaml, line \d+: .*{words}"):
        problems(files["plain"].replace(old, new, 1))


def test_two_documents_are_refused(files):
    with pytest.raises(InputError, match="not YAML"):
        problems(files["plain"] + "---\nservices: {}\n")


def test_a_site_that_saves_its_file_on_windows_may(files):
    assert problems(files["plain"].replace("\n", "\r\n").partition("x-app:")[0]) == [
        "it does not show the code that runs beside the data"
    ]


def test_a_tree_has_its_lines(files):
    tree = yaml_tree.parse("a.yaml", files["plain"].encode())
    found = tree.get("services", "worker", "network_mode")
    assert files["plain"].splitlines()[found.line - 1].strip() == "network_mode: none"
    assert tree.get("services", "none", "at", "all") is None
