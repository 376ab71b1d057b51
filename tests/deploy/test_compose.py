"""The compose files: what they promise, that they keep still, and what stands in them."""

import dataclasses
import hashlib
import json
import re

import nbformat
import pytest
from fakes.images import AUTHORITY, COORDINATOR, IMAGES, lay_out, write
from fixtures.paths import ROOT
from fixtures.small_notebook import MODEL, cells
from ruamel.yaml import YAML

from federator.errors import FederationFileError, FederatorError, InputError
from federator.federation import schema
from federator.images.model_size import model_bytes
from federator.runtime.flower import app_hash
from federator.runtime.protocol.signing.orders import Terms
from federator.runtime.review.site_file import SiteFile

TEMPLATES = ROOT / "component_templates" / "deploy"
CUDA = "  - {name: east, accelerator: cuda, min_cell_count: 9, baselines: false}\n"


def parsed(text):
    return YAML(typ="safe").load(text)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """The files of a federation with a GPU at one site."""
    made = lay_out(tmp_path_factory.mktemp("repository"))
    path = made.folder / "federation.yaml"
    text = path.read_text().replace("[{name: north}, {name: south}]", "\n  - name: north\n" + CUDA)
    text += 'metrics: [dice]\nlimits: {worker: 9g}\nlocal: ["*.bn*", "head.*"]\n'
    text += "strategy: own\nnotify: {webhook: true}\n"
    path.write_text(text)
    return write(schema.read(path))


SERVICES = [
    *(("north.yaml", name) for name in ("link", "worker", "join", "check", "review")),
    *(("server.yaml", name) for name in ("gateway", "superlink", "server", "init", "strategy")),
    ("server.yaml", "notify"),
]


@pytest.mark.parametrize(("file", "name"), SERVICES)
def test_every_container_is_confined(files, file, name):
    service = parsed(files[file])["services"][name]
    assert re.fullmatch(r".+@sha256:[0-9a-f]{64}", service["image"])
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert service["user"].endswith(("10001:10001", "10001:10001}", "10002:10001"))
    assert not {"privileged", "cap_add", "devices", "pid", "ipc"} & service.keys()
    assert "docker.sock" not in files[file]
    if name != "review":
        assert "mem_limit" in service and "pids_limit" in service and "healthcheck" in service
        assert service["logging"]["options"] == {"max-size": "10m", "max-file": "5"}
    called = name in ("join", "check", "review")  # by a person, once
    assert ("profiles" in service) == called and ("restart" in service) != called


def sources(service):
    return [one if isinstance(one, str) else one["source"] for one in service["volumes"]]


def test_data_and_network_never_meet(files):
    services = parsed(files["north.yaml"])["services"]
    reaching = {name for name, one in services.items() if one.get("network_mode") != "none"}
    seeing = {name for name, one in services.items() if "DATA_DIR" in str(one)}
    assert reaching == {"link", "join"} and seeing == {"worker", "check"}
    assert all("keys" not in str(services[name]) for name in seeing)
    for name in seeing:
        data = next(one for one in services[name]["volumes"] if "DATA_DIR" in str(one))
        assert data["read_only"] is True and data["bind"] == {"create_host_path": False}
    for name in reaching:
        own = ["keys:/keys", "handover:/handover", "records:/records"]
        assert sources(services[name])[:3] == own
    assert reaching == {name for name, one in services.items() if "records" in str(one)}
    assert not any("ports" in service for service in services.values())


def test_join_has_what_the_link_has_and_its_check_what_the_worker_has(files):
    for file in ("north.yaml", "east.yaml"):
        services = parsed(files[file])["services"]
        for one, other in (("join", "link"), ("check", "worker")):
            more, like = services[one], services[other]
            same = like.keys() - {"command", "volumes", "healthcheck", "restart"}
            assert {name: more[name] for name in same} == {name: like[name] for name in same}
            added = more.keys() - like.keys()
            assert added == {"profiles"} | (
                {"entrypoint", "depends_on"} if one == "join" else set()
            )
        *links, file_ = sources(services["join"])
        assert links == sources(services["link"]) and file_ == "./compose.yaml"
        kept = [one for one in sources(services["worker"]) if one != "personal:/personal"]
        assert sources(services["check"]) == ["handover:/handover:ro", *kept[1:]]


def test_what_stays_at_a_site_is_on_a_volume_of_the_worker_s_alone(files, tmp_path):
    site = parsed(files["north.yaml"])
    mounted = {name: sources(one) for name, one in site["services"].items()}
    assert [name for name, volumes in mounted.items() if "personal:/personal" in volumes] == [
        "worker"
    ]
    assert "personal" in site["volumes"]
    assert site["services"]["worker"]["environment"]["FEDERATOR_PERSONAL"] == "/personal"
    assert site["services"]["link"]["environment"]["FEDERATOR_LOCAL"] == "*.bn* head.*"
    without = write(lay_out(tmp_path))["north.yaml"]
    assert "personal" not in without.partition("x-app:")[0]
    assert parsed(without)["services"]["link"]["environment"]["FEDERATOR_LOCAL"] == ""
    dockerfile = (TEMPLATES.parent / "images" / "link.Dockerfile.j2").read_text()
    assert "--group 10001 --mode 2770 /initial /personal" in dockerfile, "the group, any user"


def test_only_gateway_and_server_see_weights_on_their_way(files):
    services = parsed(files["server.yaml"])["services"]
    assert [name for name, one in services.items() if "store:/store" in one.get("volumes", ())] == [
        "gateway",
        "server",
    ]


def test_the_author_s_strategy_has_no_network_and_nothing_to_write_to(files):
    strategy = parsed(files["server.yaml"])["services"]["strategy"]
    assert strategy["network_mode"] == "none" and "networks" not in strategy
    assert strategy["volumes"] == ["strategy:/strategy:ro"]
    assert strategy["environment"].keys() == {"FEDERATOR_APP", "FEDERATOR_SOCKET"}
    assert strategy["mem_limit"] == "${STRATEGY_MEMORY:-4g}"
    assert "STRATEGY_MEMORY" in files["server.env.example"]


def test_without_one_there_is_no_container_for_it(tmp_path):
    made = write(lay_out(tmp_path))
    server = parsed(made["server.yaml"])
    assert "strategy" not in server["services"].keys() | server["volumes"].keys()
    assert not any("strategy" in one for one in server["services"]["server"]["volumes"])
    assert "STRATEGY_MEMORY" not in made["server.env.example"]


def test_who_tells_people_has_the_internet_and_neither_results_nor_keys(files):
    server = parsed(files["server.yaml"])
    notify = server["services"]["notify"]
    assert notify["networks"] == ["outside"] and notify["volumes"][0] == "notices:/notices"
    assert [one["target"] for one in notify["volumes"][1:]] == [
        "/run/federator/webhook",
        "/run/federator/mail.password",
    ]
    assert notify["environment"].keys() == {"FEDERATOR_NOTIFY", "HTTPS_PROXY"}
    assert server["services"]["server"]["networks"] == ["inside"]
    assert "notices:/notices" in server["services"]["server"]["volumes"]
    assert "#WEBHOOK=/dev/null" in files["server.env.example"]
    assert "WEBHOOK" not in files["north.env.example"]


def test_without_anybody_to_tell_there_is_no_container_for_it(tmp_path):
    made = write(lay_out(tmp_path))
    server = parsed(made["server.yaml"])
    assert "notify" not in server["services"] and "notices" not in server["volumes"]
    assert "notices:/notices" not in server["services"]["server"]["volumes"]
    assert "WEBHOOK" not in made["server.env.example"]


def test_each_site_is_told_whose_strategy_it_is(files, tmp_path):
    plain = write(lay_out(tmp_path))
    for made, whose in ((files, "own"), (plain, "plain")):
        link = parsed(made["north.yaml"])["services"]["link"]
        assert link["environment"]["FEDERATOR_STRATEGY"] == whose


def test_only_the_gateway_faces_the_network(files):
    services = parsed(files["server.yaml"])["services"]
    ports = {name: one["ports"] for name, one in services.items() if "ports" in one}
    assert ports.pop("watch")[0].startswith("127.0.0.1:"), "on this machine alone"
    assert list(ports) == ["gateway"]
    assert services["superlink"]["networks"] == services["server"]["networks"] == ["inside"]
    assert parsed(files["server.yaml"])["networks"]["inside"] == {"internal": True}


def test_the_signer_alone_has_the_key_and_the_server_gives_no_order(files):
    services = parsed(files["server.yaml"])["services"]
    assert [name for name, one in services.items() if "coordinator.key" in str(one)] == ["signer"]
    places = {name: one.get("volumes", []) for name, one in services.items()}
    having = {volume: [name for name, at in places.items() if f"{volume}:/{volume}" in at]
              for volume in ("signer", "signing")}  # fmt: skip
    assert having == {"signer": ["signer"], "signing": ["signer"]}
    assert "signer:/signer:ro" in places["order"], "it connects to a socket there"
    assert "signing:/signing:ro" in places["server"]
    assert [name for name, at in places.items() if "signing:/signing:ro" in at] == ["server"]
    for name in ("signer", "order"):
        assert services[name]["network_mode"] == "none"
        assert services[name]["image"] == str(IMAGES.link), "which has none of the author's code"
    assert "${RESULTS_DIR:-results}:/results:ro" in places["order"]
    assert services["order"]["profiles"] == ["order"], "started by hand only"
    terms = Terms.read(services["order"]["environment"]["FEDERATOR_TERMS"])
    assert (terms.federation, terms.sites) == ("tumours", ("north", "east"))
    dockerfile = (TEMPLATES.parent / "images" / "link.Dockerfile.j2").read_text()
    assert "--mode 0770 /signer /signing" in dockerfile


def test_what_a_site_is_told(files, tmp_path):
    services = parsed(files["north.yaml"])["services"]
    link, worker = (services[name]["environment"] for name in ("link", "worker"))
    assert link["FEDERATOR_SERVER"] == "fl.example.org:443"
    assert link["FEDERATOR_CA"] == AUTHORITY
    assert link["FEDERATOR_COORDINATOR_KEY"] == COORDINATOR
    assert link["FEDERATOR_METRICS"] == "dice" and link["FEDERATOR_LABELS"] == "2"
    assert link["FEDERATOR_TASK"] == "classification"
    assert link["FEDERATOR_MIN_CELL_COUNT"] == "${MIN_CELL_COUNT:-5}"
    assert link["FEDERATOR_SITE"] == worker["FEDERATOR_SITE"] == "north"
    (tmp_path / "north.yaml").write_text(files["north.yaml"])
    shown = SiteFile.read(tmp_path / "north.yaml")
    assert list(shown.problems) == []
    assert shown.app.keys() >= {"task.py", "client_app.py"} and len(shown.app) == 5
    assert link["FEDERATOR_DATA_USER"] == "${DATA_USER:-}", "for its doctor"


def test_a_site_with_a_gpu(files):
    north, east = (parsed(files[f"{name}.yaml"])["services"] for name in ("north", "east"))
    assert "deploy" not in north["worker"]
    devices = east["worker"]["deploy"]["resources"]["reservations"]["devices"]
    assert devices == [{"driver": "nvidia", "count": "${GPUS:-all}", "capabilities": ["gpu"]}]
    assert east["worker"]["image"] == str(IMAGES.client_cuda)
    assert north["worker"]["image"] == str(IMAGES.client)
    assert east["link"]["environment"]["FEDERATOR_BASELINES"] == "${BASELINES:-false}"
    assert east["link"]["environment"]["FEDERATOR_MIN_CELL_COUNT"] == "${MIN_CELL_COUNT:-9}"
    assert east["link"]["environment"]["FEDERATOR_SURVEY"] == "${SURVEY:-true}"
    for name in ("MIN_CELL_COUNT", "SURVEY", "POLICY"):  # for the worker's doctor
        told = [east[service]["environment"][f"FEDERATOR_{name}"] for service in ("link", "worker")]
        assert told[0] == told[1]
    assert "#GPUS=all" in files["east.env.example"]
    assert "GPUS" not in files["north.env.example"] + files["north.yaml"]


def test_a_site_with_a_gpu_needs_its_image(tmp_path):
    made = lay_out(tmp_path)
    path = made.folder / "federation.yaml"
    path.write_text(path.read_text().replace("{name: south}", "{name: south, accelerator: cuda}"))
    with pytest.raises(InputError, match="no image for site south"):
        write(schema.read(path), dataclasses.replace(IMAGES, client_cuda=None))


def test_the_memory_limits(files):
    services = parsed(files["north.yaml"])["services"]
    assert services["link"]["mem_limit"] == "${LINK_MEMORY:-1536m}"
    assert services["worker"]["mem_limit"] == "${WORKER_MEMORY:-9g}"
    assert services["worker"]["tmpfs"] == ["/tmp:size=${WORKER_SCRATCH:-1792m},mode=1777"]
    assert "#WORKER_MEMORY=9g\n" in files["north.env.example"]
    assert "#WORKER_SCRATCH=1792m\n" in files["north.env.example"]
    server = parsed(files["server.yaml"])["services"]["server"]
    assert f"#SERVER_MEMORY={server['mem_limit'][17:-1]}\n" in files["server.env.example"]


def test_a_new_configuration_of_the_gateway_is_noticed(files):
    gateway = parsed(files["server.yaml"])["services"]["gateway"]
    assert "./nginx.conf:/etc/federator/nginx.conf:ro" in gateway["volumes"]
    digest = hashlib.sha256(files["nginx.conf"].encode()).hexdigest()
    assert gateway["labels"] == {"federator.nginx.conf": digest}
    mounted = {volume.split(":")[1] for volume in gateway["volumes"]}
    assert set(re.findall("/run/federator/[^;]+", files["nginx.conf"])) <= mounted


@pytest.mark.parametrize("name", ["site", "server"])
def test_every_comment_and_every_setting_is_there(files, name):
    text = files["north.yaml" if name == "site" else "server.yaml"]
    template = (TEMPLATES / f"{name}.yaml").read_text()
    comments = re.findall(r"^ *#.*$", template, re.MULTILINE)
    assert [one for one in comments if one not in text.splitlines()] == []
    example = files["north.env.example" if name == "site" else "server.env.example"]
    settings = set(re.findall(r"\$\{(\w+)", text.partition("x-app:")[0]))
    assert settings == set(re.findall(r"^#?([A-Z_]+)=", example, re.MULTILINE))
    assert max(map(len, comments)) <= 100


def test_the_shell_command_in_the_header_is_that_of_the_fingerprint(files):
    from federator.runtime.files import COMMAND

    assert f"#   {COMMAND.format('compose.yaml')}\n" in files["north.yaml"]


def test_the_same_input_gives_the_same_bytes(tmp_path):
    one, two = (lay_out(tmp_path / name) for name in ("here", "elsewhere"))
    assert write(one) == write(two) == write(one)


def test_a_new_site_changes_no_other_site(tmp_path):
    before = write(lay_out(tmp_path))
    path = tmp_path / "compose" / "tumours" / "federation.yaml"
    path.write_text(path.read_text().replace("{name: south}]", "{name: south}, {name: west}]"))
    after = write(schema.read(path))
    assert {name for name in before if after[name] != before[name]} == {"server.yaml"}
    assert after.keys() - before.keys() == {"west.yaml", "west.env.example"}


def test_an_image_changes_nothing_but_its_line(tmp_path):
    made = lay_out(tmp_path)
    before = write(made)
    after = write(made, dataclasses.replace(IMAGES, client=IMAGES.server))
    changed = [
        pair
        for pair in zip(
            before["north.yaml"].splitlines(), after["north.yaml"].splitlines(), strict=True
        )
        if pair[0] != pair[1]
    ]
    assert changed == 2 * [(f"    image: {IMAGES.client}", f"    image: {IMAGES.server}")]


ODD = {
    "dollars": 'COST = "$5 $HOME ${HOME:?} $$"',
    "spaces at an end of line": 'TEXT = """a  \n \n"""',
    "other letters": 'TEXT = "größe 肿瘤 😀"',
    "what YAML has not": 'TEXT = """\x0c\x85\u2028\u202e"""',
    "a document's end": 'TEXT = """\n---\n...\n# no comment\n"""',
}


@pytest.mark.parametrize("code", ODD.values(), ids=ODD.keys())
def test_the_code_comes_back_to_the_letter(tmp_path, code):
    name = code.partition(" ")[0]
    model = MODEL.replace("super().__init__()", f"super().__init__()\n        print({name})")
    made = lay_out(tmp_path, content=cells(model=f"{code}\n\n{model}"))
    write(made)
    app = tmp_path / "build" / "tumours" / "app"
    shown = SiteFile.read(made.folder / "north.yaml")
    assert shown.app["task.py"] == (app / "task.py").read_text()
    assert list(shown.problems) == []
    assert app_hash(app) in (made.folder / "north.yaml").read_text()


def test_the_layout_of_the_data_travels_with_the_file(tmp_path):
    told = nbformat.v4.new_markdown_cell("- `train.csv`: costs $5\n- \u202ebackwards")
    told.metadata.tags = ["data"]
    made = lay_out(tmp_path, content=[*cells(), told])
    texts = write(made)
    shown = SiteFile.read(made.folder / "north.yaml")
    assert shown.app["data.md"] == "- `train.csv`: costs $5\n- \u202ebackwards\n"
    assert list(shown.problems) == []
    assert "#   - `train.csv`: costs $5\n#   - \\u202ebackwards\n" in texts["north.env.example"]
    assert "author's words" not in write(lay_out(tmp_path / "without"))["north.env.example"]


@pytest.mark.parametrize(("server", "port"), [("fl.example.org", 443), ("192.0.2.1:8443", 8443)])
def test_the_server_s_port_is_opened_unless_the_machine_says_otherwise(tmp_path, server, port):
    made = lay_out(tmp_path)
    path = made.folder / "federation.yaml"
    path.write_text(path.read_text().replace("server: fl.example.org", f"server: {server}"))
    texts = write(schema.read(path))
    assert f'ports: ["${{PORT:-{port}}}:8443"]' in texts["server.yaml"]
    assert f"#PORT={port}\n" in texts["server.env.example"]


def test_a_public_authority(tmp_path):
    made = lay_out(tmp_path)
    (made.folder / "public" / "ca.crt").unlink()
    link = parsed(write(made)["north.yaml"])["services"]["link"]
    assert link["environment"]["FEDERATOR_CA"] == ""


def test_weights_of_the_authors_own(tmp_path):
    lay_out(tmp_path)
    weights = tmp_path / "weights.safetensors"
    weights.touch()
    made = lay_out(tmp_path, "initial_weights: ../../weights.safetensors\n")
    init = parsed(write(made)["server.yaml"])["services"]["init"]
    assert init["command"][-1] == "--from=/run/federator/weights.safetensors"
    mount = "../../weights.safetensors:/run/federator/weights.safetensors:ro"
    assert init["volumes"][-1] == mount


def test_the_live_page_is_told_whose_figures_it_may_show_and_no_more(tmp_path):
    for settings, allowed in (("", False), ("publish: {sites: true}\n", True)):
        watch = parsed(write(lay_out(tmp_path, settings))["server.yaml"])["services"]["watch"]
        read = json.loads(watch["environment"]["FEDERATOR_FEDERATION"])
        assert read.keys() == {"federation", "sites", "publish_sites"}
        assert read["publish_sites"] is allowed


def test_the_server_is_told_what_may_be_published(tmp_path):
    for settings, told in (("", [False, False]), ("publish: {model: true}\n", [True, False])):
        server = parsed(write(lay_out(tmp_path, settings))["server.yaml"])["services"]["server"]
        read = json.loads(server["environment"]["FEDERATOR_FEDERATION"])
        assert [read["publish_model"], read["publish_sites"]] == told


def test_the_repositorys_own_template_wins(tmp_path):
    made = lay_out(tmp_path)
    own = tmp_path / "component_templates" / "deploy" / "site.yaml"
    own.parent.mkdir(parents=True)
    shipped = (TEMPLATES / "site.yaml").read_text()
    own.write_text(shipped.replace("restart: unless-stopped", "restart: always"))
    assert "restart: always" in write(made)["north.yaml"]
    own.write_text(shipped.replace("    network_mode: none\n", "    privileged: true\n"))
    with pytest.raises(
        InputError, match=r"(?s)north\.yaml: line .*worker\.privileged is no setting"
    ):
        write(made)
    own.write_text("services: [")
    with pytest.raises(InputError, match=r"component_templates/deploy/site\.yaml"):
        write(made)


def test_before_the_server_has_keys(tmp_path):
    made = lay_out(tmp_path)
    (made.folder / "public" / "coordinator.pub").unlink()
    with pytest.raises(InputError, match="federator provision"):
        write(made)
    assert not list(made.folder.glob("*.yaml.part")) and not (made.folder / "server.yaml").exists()


def test_without_a_server(tmp_path):
    made = lay_out(tmp_path)
    path = made.folder / "federation.yaml"
    path.write_text(path.read_text().replace("server: fl.example.org\n", ""))
    with pytest.raises(FederationFileError, match="server is missing"):
        write(schema.read(path))


def test_where_nothing_can_be_written(tmp_path):
    made = lay_out(tmp_path)
    (made.folder / ".south.yaml.part").mkdir()
    with pytest.raises(FederatorError, match="cannot be written"):
        write(made)
    assert not (made.folder / "server.yaml").exists()


def stand_in(tmp_path, monkeypatch, script):
    """Puts a program in the place of docker."""
    docker = tmp_path / "bin" / "docker"
    docker.parent.mkdir(exist_ok=True)
    docker.write_text(f"#!/bin/sh\n{script}\n")
    docker.chmod(0o755)
    monkeypatch.setenv("PATH", str(docker.parent), prepend=":")


@pytest.mark.parametrize(
    ("script", "words"),
    [
        (
            """echo downloading; echo '{"reason": "exception", "type": "OSError"}'; exit 1""",
            "the model's size is unknown: .*OSError.*\n    it is built in the client image "
            "without a network",
        ),
        ("echo 'docker: no such image' >&2; exit 125", "docker run failed: docker: no such image"),
    ],
)
def test_a_model_that_cannot_be_built_there_is_told(tmp_path, monkeypatch, script, words):
    stand_in(tmp_path, monkeypatch, script)
    with pytest.raises(FederatorError, match=words):
        model_bytes(lay_out(tmp_path).folder / "server.yaml", IMAGES)


def test_the_models_size_is_known_as_long_as_the_image_is_the_same(tmp_path, monkeypatch):
    made = lay_out(tmp_path)
    write(made)
    asked = tmp_path / "asked"
    stand_in(tmp_path, monkeypatch, f'echo "a word of the model"; echo "$@" > {asked}; echo 123')
    assert model_bytes(made.folder / "server.yaml", IMAGES) == 100_000_000
    other = dataclasses.replace(IMAGES, client=IMAGES.server)
    assert model_bytes(made.folder / "server.yaml", other) == 123
    assert "--network=none" in asked.read_text(), "it is the author's code"
    (made.folder / "server.yaml").write_text("services: {}\n")
    assert model_bytes(made.folder / "server.yaml", IMAGES) == 123
