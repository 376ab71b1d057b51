"""Three hospitals in containers, each on a network of its own, as the documents set them up.

Nothing here is a stand-in: images from a registry with a login, TLS, keys, gateway, SuperLink.
"""

import json
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
from fixtures.deployed import (
    DOCS,
    Deployed,
    Desk,
    Gate,
    Rounds,
    commands,
    repository,
    to_ourselves,
    wait_for,
)
from fixtures.rehearsals import events

from federator.deploy.certificates import issue
from federator.deploy.local.superlink import free_port
from federator.runtime.files import fingerprint

# Images are built first, and on a slow machine all takes its time: a limit is only a stop.
pytestmark = [pytest.mark.docker, pytest.mark.timeout(2400)]

NAME = "breast-cancer"
SITES = ("hospital-a", "hospital-b", "hospital-c")
SETTINGS = DOCS.joinpath("coordinator.md").read_text().split("```yaml\n")[1].split("```")[0]
QUORUM = 2
JOIN = "docker compose run --rm join"
TAKEN_OVER = Path(__file__).parent / "taken_over"


@pytest.fixture(scope="module")
def deployed(engine, registry_with_login, build_settings, tmp_path_factory):
    """The documents, done up to the first rounds and their results."""
    root = tmp_path_factory.mktemp("federation")
    data, host, port = root / "data" / NAME, registry_with_login.host, free_port()
    subnet = engine("network", "inspect", "bridge", "--format={{(index .IPAM.Config 0).Subnet}}")
    names = {
        "docker.io --username acme": f"{host} --username {registry_with_login.user}",
        "docker.io/acme": f"{host}/acme",
        # This machine, as containers see it.
        "fl.example.org": f"{subnet.rpartition('.')[0]}.1:{port}",
    }
    assert tuple(repository(root, data)) == SITES
    file = root / "compose" / NAME / "federation.yaml"
    text = file.read_text().replace("rounds: 10", "rounds: 3") + SETTINGS + build_settings
    text = text.replace("baselines: true", "baselines: false")
    for name, ours in names.items():
        text = text.replace(name, ours)
    file.write_text(text)
    server = Desk(root, names)
    made = Deployed(server, {}, NAME)
    with to_ourselves(engine, NAME, SITES), pytest.MonkeyPatch.context() as patch:
        patch.setenv("DOCKER_CONFIG", str(tmp_path_factory.mktemp("docker-config")))
        (root / "token.txt").write_text(registry_with_login.password)
        (file.parent / ".env").write_text(f"PORT={port}\nWATCH_PORT={free_port()}\n")
        login, serve = commands("coordinator.md")["2"]
        server.run(login)
        server.run(f"federator build compose/{NAME} --push")
        ours = f"--filter=reference={host}/acme/*"
        engine("rmi", "--force", *set(engine("images", "--quiet", ours).split()))
        assert engine("images", "--quiet", ours) == ""  # from here on each is pulled by its digest
        try:
            asked = server.run(serve, status=2)  # nobody is there to be asked
            assert asked == "" or "server: up" not in asked
            server.run(f"{serve} --have-read")
            invite, admit, *commit = commands("coordinator.md")["5"][:4]
            server.run(invite)
            for site in SITES:
                made.sites[site] = set_up(root, data, site, server, admit)
            for command in commit:
                server.run(command)
            wait_for(lambda: made.compose("logs server").count("is admitted with") == len(SITES))
            for site, desk in made.sites.items():
                for command in commands("site-operator.md")["5"][:-1]:
                    desk.run(command)
                wait_for_worker(made, site)
            server.follow("coordinator.md", "6")
            for site, desk in made.sites.items():
                made.logs[site] = desk.run("docker compose logs link")
            yield made
            for command in commands("coordinator.md")["7"]:
                server.run(command)
            for desk in made.sites.values():
                desk.run(commands("site-operator.md")["5"][-1])
            for site, desk in made.sites.items():
                leave(engine, desk, site)
        finally:
            print(made.compose("logs --tail=40 2>&1"))


@pytest.fixture
def gates(deployed):
    """Each site's gate, where its training waits when it is closed; open again after the test."""
    data = deployed.server.folder / "data" / NAME
    made = {site: Gate(data / site) for site in deployed.sites}
    yield made
    for gate in made.values():
        gate.open()


@pytest.fixture
def begin(deployed, gates):
    """Begin rounds, which end with the test, however that ends."""
    del gates  # they open after these have ended
    begun = []

    def begin(*arguments):
        begun.append(Rounds(deployed, *arguments))
        return begun[-1]

    yield begin
    for rounds in begun:
        rounds.abandon()


def set_up(root, data, site, server, admit):
    """Do what a site's operator and the coordinator do until the site is let in."""
    folder = root / "sites" / site
    folder.mkdir(parents=True)
    shutil.copy(root / "dist" / f"{NAME}-{site}-invitation.tar", folder)
    shutil.copy(root / "token.txt", folder)
    folder.chmod(0o755)
    desk = Desk(folder, {**server.names, "hospital-a": site, "/srv/data": str(data / site)})
    desk.follow("site-operator.md", "1")
    with (folder / ".env").open("a") as settings:
        settings.write("WORKER_CPUS=0.6\n")  # three sites share this machine
    desk.follow("site-operator.md", "2")
    login, join = commands("site-operator.md")["3"]
    desk.run(login)
    with desk.begin(join) as walk:
        said = []
        for line in walk.stdout:
            said.append(line)
            if line.startswith("ecdsa"):
                (root / f"{site}.pub").write_text(line)
            elif line.startswith("wait  "):
                server.run(admit.replace("hospital-a", site))
    desk.said.append((join, "".join(said)))
    assert walk.returncode == 0, desk.said[-1][1]
    desk.follow("site-operator.md", "4")
    return desk


def leave(engine, desk, site):
    """Do what an operator does to leave for good."""
    export, remove = commands("site-operator.md")["8"][:2]
    desk.run(export)
    assert (desk.folder / "record.jsonl").read_text()
    desk.run(remove)
    ours = f"--filter=label=com.docker.compose.project={NAME}-{site}"
    assert engine("volume", "ls", "--quiet", ours) == ""
    assert engine("container", "ls", "--all", "--quiet", ours) == ""


def test_what_people_compare_is_the_same_on_both_sides(deployed):
    for desk in deployed.sites.values():
        told = fingerprint((desk.folder / "compose.yaml").read_bytes())
        assert any(command.startswith("sed ") and told in said for command, said in desk.said)
        show = f"federator invite compose/{NAME}"
        assert any(command == show and told in said for command, said in deployed.server.said)


def test_join_waits_for_the_coordinator_and_finds_nothing_in_the_way(deployed):
    for site, desk in deployed.sites.items():
        said = dict(desk.said)[JOIN]
        assert fingerprint((desk.folder / "compose.yaml").read_bytes()) in said, site
        waited, _, after = said.partition("wait  for the coordinator to admit this site's key")
        assert "4. The data" not in waited and "the server lets this site's key in" in after
        assert "train set" in after and "malignant" in after and "FAIL" not in said
        assert "the data folder is mounted read-only" in after


def test_a_site_that_takes_part_can_join_again_and_stops_at_what_is_missing(deployed):
    desk = deployed.sites["hospital-a"]
    key = next(line for line in dict(desk.said)[JOIN].splitlines() if line.startswith("ecdsa"))
    assert key in desk.run(JOIN) and "wait  " not in desk.said[-1][1]
    empty = desk.folder / "empty"
    empty.mkdir()
    empty.chmod(0o755)
    desk.run(f"DATA_DIR={empty} {JOIN}", status=1)
    assert "FAIL  /data is empty" in desk.said[-1][1] and "up -d" not in desk.said[-1][1]


def test_three_rounds_give_what_the_rehearsal_gives(deployed):
    start, _, check = commands("coordinator.md")["6"]
    assert "is as it was written" in dict(deployed.server.said)[check]
    said = dict(deployed.server.said)[start]
    assert "after round   3, validation" in said and "model:  /results/" in said
    rehearse = f"federator run compose/{NAME}"
    file = deployed.server.folder / "compose" / NAME / "federation.yaml"
    deployed.server.run(rehearse)
    text = file.read_text()
    name = "- name: hospital-a\n"
    assert name in text
    file.write_text(text.replace(name, f"{name}    transport: messages\n"))
    deployed.server.run(rehearse)
    file.write_text(text)
    (ours,) = (deployed.server.folder / "results").glob("2*")
    rehearsed, other_way = sorted((deployed.server.folder / "results" / NAME).glob("2*"))
    models = [(run / "model.safetensors").read_bytes() for run in (rehearsed, other_way)]
    assert models[0] == models[1], "weights as files and in messages"
    assert {"model.safetensors", "manifest.json", "report.html"} <= {p.name for p in ours.iterdir()}
    for kind in ("validation", "test"):
        counts = [
            [{site: told["tables"] for site, told in e["sites"].items()} for e in events(run, kind)]
            for run in (ours, rehearsed)
        ]
        assert counts[0] == counts[1] != []


def test_weights_travel_through_the_gateway_as_files(deployed, begin):
    begin(3).finish()
    calls = deployed.compose("logs gateway")
    for what in ("down/*/model 206", "up/*/0000.1 201"):
        assert calls.count(f"/v1/weights/{what}") >= 9  # three sites, three rounds
    assert deployed.compose("exec", "-T", "server", "find /store -type f") == ""


def test_what_leaves_is_in_the_links_log(deployed):
    for log in deployed.logs.values():
        assert "train, round 3, model federation" in log and "tensors of" in log
        assert "num-examples" in log


def test_the_record_of_what_left_a_site_is_whole_and_is_that_of_the_journal(deployed, tmp_path):
    told = [one for one in commands("site-operator.md")["8"] if " record " in one]
    _, check, as_csv, as_markdown = told
    records = []
    for site, desk in deployed.sites.items():
        assert "the record is whole" in desk.run(check)
        said = desk.run("docker compose exec link federator status")
        assert "the record is whole" in said and "policy: " in said
        desk.run(as_csv)
        assert (desk.folder / "record.csv").read_text().startswith("number,time,run,round")
        assert "set sizes; val: loss, confusion" in desk.run(as_markdown)
        lines = desk.run("docker compose run --rm -T link record export --format lines")
        (tmp_path / f"{site}.jsonl").write_text(lines)
        records.append(f"--record {site}={tmp_path / f'{site}.jsonl'}")
    # Other tests may have run more rounds since the results were copied.
    file = f"compose/{NAME}/server.yaml"
    deployed.server.run(f"docker compose -f {file} cp server:/results/{NAME} {tmp_path}/now")
    run = max((tmp_path / "now").glob("2*"))
    keys = f"--keys compose/{NAME}"
    said = deployed.server.run(f"federator verify {run} {keys} {' '.join(records)}")
    assert "is as it was written" in said


OUTSIDE = """
import socket, sys
for address in (("1.1.1.1", 443), ("superlink", 8000)):
    try:
        socket.create_connection(address, 5)
    except OSError:
        continue
    sys.exit(f"{address} is reached")
"""


def test_the_live_page_is_served_at_the_server_to_whoever_has_the_token(deployed):
    start, tell = [one for one in commands("coordinator.md")["7"] if "watch" in one]
    deployed.server.run(start)
    token = deployed.server.run(tell).strip().partition("?token=")[2]
    port = deployed.compose("port", "watch", "8712").strip()
    assert port.startswith("127.0.0.1:")

    def answer(path):
        try:
            return urllib.request.urlopen(f"http://{port}{path}", timeout=30).read().decode()
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:  # it has not started yet
            return None

    page = wait_for(lambda: answer(f"/?token={token}"))
    assert NAME in page and "Learning curves" in page
    assert "federator_rounds_done" in answer(f"/metrics?token={token}")
    assert answer("/") == answer("/metrics") == 403
    (deployed.server.folder / "outside.py").write_text(OUTSIDE)
    deployed.compose("exec", "-T", "watch", "python - < outside.py")
    assert token not in deployed.compose("logs", "watch", "2>&1")


LOOK_AROUND = """
import json, os, ssl, sys, urllib.request, urllib.error
server = os.environ["FEDERATOR_SERVER"]
trusted = ssl.create_default_context(cadata=os.environ["FEDERATOR_CA"])
found = {}
for path in sys.argv[1:]:
    scheme, _, rest = path.partition(":")
    try:
        body = b"" if "v1" in rest else None
        request = urllib.request.Request(f"{scheme}://{server}{rest}", body)
        found[path] = urllib.request.urlopen(request, context=trusted).status
    except urllib.error.HTTPError as error:
        found[path] = error.code
    except OSError as error:
        found[path] = type(error).__name__
print(json.dumps(found))
"""


def ask_from(desk, *paths):
    """Ask the server, from within a site's link."""
    (desk.folder / "look.py").write_text(LOOK_AROUND)
    said = desk.run(f"docker compose exec -T link python - {' '.join(paths)} < look.py")
    return json.loads(said)


def test_a_site_reaches_nothing_of_the_server_but_what_its_link_needs(deployed):
    closed = [
        *("https:/v1/control/start-run", "https:/v1/control/list-nodes", "https:/v1/control/"),
        *("https:/v1/runtime/acquire-task", "https:/v1/fleet/get-fab", "https:/"),
        *("https:/v1/fleet/register-node", "https:/v1/fleet/../control/list-nodes"),
    ]
    for desk in deployed.sites.values():
        found = ask_from(desk, "https:/health", "http:/health", *closed)
        assert found.pop("https:/health") == 200
        assert found.pop("http:/health") == 400  # plain HTTP
        assert set(found.values()) == {404}, found


def inspected(engine, deployed, service, site="server"):
    container = deployed.container(service, site)
    return json.loads(engine("inspect", container))[0]


def test_one_port_of_the_server_is_open(engine, deployed):
    for service in ("gateway", "superlink", "server"):
        ports = inspected(engine, deployed, service)["NetworkSettings"]["Ports"]
        opened = [port for port, bound in ports.items() if bound]
        assert opened == (["8443/tcp"] if service == "gateway" else [])
    networks = inspected(engine, deployed, "superlink")["NetworkSettings"]["Networks"]
    (inner,) = (network["IPAddress"] for network in networks.values())
    reach = f"import socket; socket.create_connection(('{inner}', 8000), 3)"
    for desk in deployed.sites.values():
        desk.run(f'docker compose exec -T link python -c "{reach}"', status=1)


def test_a_server_that_another_authority_vouches_for_is_refused(deployed, monkeypatch):
    desk = deployed.sites["hospital-a"]
    monkeypatch.setenv("FEDERATOR_CA", issue((), 30).certificate.decode())
    said = desk.run("docker compose run --rm -e FEDERATOR_CA link doctor", status=1)
    assert "FAIL" in said and "is not trusted" in said


def test_a_key_that_nobody_let_in_is_refused(deployed):
    desk = deployed.sites["hospital-a"]
    make = "python -m federator.runtime keygen --key /tmp/other.key"
    look = "python -m federator.runtime doctor --key /tmp/other.key"
    command = f'docker compose run --rm --entrypoint sh link -c "{make} && {look}"'
    said = desk.run(command, status=1)
    assert "not registered at the server" in said


def test_no_container_has_more_rights_than_it_needs(engine, deployed):
    parts = [("server", service) for service in ("gateway", "superlink", "server")]
    parts += [(site, x) for site in deployed.sites for x in ("link", "worker", "check")]
    for site, service in parts:
        found = inspected(engine, deployed, service, site)
        host = found["HostConfig"]
        assert "@sha256:" in found["Config"]["Image"], (site, service)
        assert found["Config"]["User"].split(":")[0] not in ("", "0", "root")
        assert host["ReadonlyRootfs"] and host["CapDrop"] == ["ALL"] and not host["CapAdd"]
        assert "no-new-privileges:true" in host["SecurityOpt"] and not host["Privileged"]
        assert host["Memory"] > 0 and host["PidsLimit"] > 0
        assert host["LogConfig"]["Config"]["max-size"] == "10m"
        mounts = {mount["Destination"]: mount["RW"] for mount in found["Mounts"]}
        assert ("/data" in mounts) == (service in ("worker", "check"))
        assert mounts.get("/data") in (None, False)
        if service == "check":
            assert host["NetworkMode"] == "none" and not any(mounts.values())
        if service == "worker":
            assert host["NetworkMode"] == "none"
            desk = deployed.sites[site]
            assert desk.run("docker compose exec -T worker ls /sys/class/net") == "lo\n"
            desk.run("docker compose exec -T worker touch /data/new", status=1)
        if service == "link":
            deployed.sites[site].run("docker compose exec -T link ls /data", status=2)


OTHER_APP = """
import pathlib, shutil
from dataclasses import replace
from federator.runtime.control import schedule
from federator.runtime.control.server_paths import server_paths
place = server_paths()
app = pathlib.Path(shutil.copytree(place.app, "/tmp/app", dirs_exist_ok=True))
with (app / "task.py").open("a") as task:
    task.write("# one line more\\n")
place = replace(place, app=app)
list(schedule.ordered(place).events())
"""
OTHER_SETTING = """
from federator.runtime.control import schedule
from federator.runtime.control.server_paths import server_paths
schedule.ScheduledRounds._overrides = lambda *_: {"rounds": 1, "select": "best"}
place = server_paths()
list(schedule.ordered(place).events())
"""


@pytest.mark.parametrize(
    ("script", "state", "said"),
    [
        (OTHER_APP, "outdated", "takes part in another version of the app"),
        (OTHER_SETTING, "refused", "changes settings this site does not allow: ['select']"),
    ],
    ids=["app", "setting"],
)
def test_a_run_that_the_sites_did_not_take_is_refused_on_both_sides(deployed, script, state, said):
    (deployed.server.folder / "script.py").write_text(script)
    deployed.compose("run --rm order --rounds 1")
    command = f"docker compose -f compose/{NAME}/server.yaml exec -T server python - < script.py"
    deployed.server.run(command, status=1)
    told = deployed.server.said[-1][1]
    assert "0 of 3 sites joined (none), 2 needed" in told
    assert all(f"{site}: the site" in told for site in deployed.sites) and said in told
    states = {e["site"]: e["state"] for e in deployed.events("site")[-3:]}
    assert states == dict.fromkeys(deployed.sites, state)
    for desk in deployed.sites.values():
        assert said in desk.run("docker compose logs --tail=5 link")


@contextmanager
def taken_over(desk, file, service, is_up, **environment):
    """Start a service anew with what it does when it was taken over, and at last honestly again."""
    code = desk.folder / "sitecustomize.py"
    shutil.copy(TAKEN_OVER / f"{service}.py", code)
    more = {
        "volumes": [f"{code}:/taken-over/sitecustomize.py:ro"],
        "environment": {"PYTHONPATH": "/taken-over", **environment},
    }
    (desk.folder / "more.yaml").write_text(json.dumps({"services": {service: more}}))
    try:
        desk.run(f"docker compose -f {file} -f more.yaml up -d {service}")
        is_up()
        yield
    finally:
        desk.run(f"docker compose -f {file} up -d {service}")
        is_up()


@pytest.mark.parametrize(
    ("what", "said"),
    [("unsigned", "has not signed this instruction"), ("replayed", "was followed before")],
)
def test_an_instruction_of_a_server_that_was_taken_over_is_refused(deployed, what, said):
    file = f"compose/{NAME}/server.yaml"
    is_up = partial(wait_for_server, deployed)
    with taken_over(deployed.server, file, "server", is_up, TAKEN_OVER=what):
        deployed.compose("run --rm order --rounds 1 --epochs 1")
        deployed.server.run(f"docker compose -f {file} exec -T server federator rounds", status=1)
        assert deployed.server.said[-1][1].count(said) >= len(deployed.sites)
        for desk in deployed.sites.values():
            assert said in desk.run("docker compose logs --tail=20 link")


# Run in the server's container, by whoever has taken that over.
GREEDY = """
import os, pathlib, time
from federator.errors import RunError
from federator.runtime.protocol.instructions import Instruction
from federator.runtime.protocol.signing.connection import SignerClient
from federator.runtime.protocol.signing.requests import SigningRequest

for folder, _, names in os.walk("/", onerror=lambda _: None):
    if folder.startswith(("/proc", "/sys")):
        continue
    for name in names:
        path = pathlib.Path(folder, name)
        try:
            found = path.is_file() and b"PRIVATE KEY-----" in path.read_bytes()[:100]
        except OSError:
            continue
        if found and "site-packages" not in folder:
            print("key", path)
for name in ("new", "socket"):
    try:
        pathlib.Path("/signing", name).write_bytes(b"")
        print("wrote", name)
    except OSError as error:
        print(name, error.strerror)
print("sockets", sorted(p.name for p in pathlib.Path("/signer").iterdir()))
signer = SignerClient(pathlib.Path("/signing/socket"))
order = signer.order()

def ask(kind, number, **more):
    expires = time.time() + 60
    text = Instruction(kind, number, expires, run=order.run, seed=order.terms.seed, **more).write()
    return [SigningRequest(1, 2, text, "", "a" * 64)]

for what, asked in {
    "order": lambda: signer.give(order),
    "orders": lambda: signer.orders(),
    "test": lambda: signer.sign(ask("evaluate", order.last_round, sets=("test",))),
    "later": lambda: signer.sign(ask("train", order.last_round + 1, epochs=1)),
    "sets": lambda: signer.sign(ask("evaluate", order.first_round, sets=("train",))),
    "once": lambda: signer.sign(ask("train", order.first_round, epochs=1)),
}.items():
    try:
        asked()
        print("signed", what)
    except RunError as error:
        print("refused", what)
"""


def test_a_server_that_was_taken_over_finds_no_key_and_can_order_nothing(deployed):
    said = deployed.compose("run --rm order --rounds 2 --epochs 1")
    try:
        assert said.startswith("order ") and ": rounds " in said
        (deployed.server.folder / "greedy.py").write_text(GREEDY)
        found = deployed.compose("exec -T server python - < greedy.py").splitlines()
        assert found == [
            "new Read-only file system",
            "socket No such device or address",  # a socket cannot be opened as a file
            "sockets []",
            *(f"refused {what}" for what in ("order", "orders", "test", "later", "sets")),
            "signed once",
        ]
        assert deployed.compose("exec -T signer ls /sys/class/net") == "lo\n"
        mounted = deployed.compose("exec -T server cat /proc/mounts")
        assert "coordinator.key" not in mounted and " /signing " in mounted
    finally:
        assert deployed.compose("run --rm order --stop").startswith("stopped order ")


def test_a_signer_that_is_started_again_goes_on_with_the_order(deployed, begin):
    rounds = begin(3)
    rounds.wait_until_trained("hospital-a", 1)
    deployed.compose("restart signer")
    rounds.finish()
    assert rounds.told().keys() == {1, 2, 3}


def test_what_a_worker_that_was_taken_over_smuggles_stays_at_its_site(deployed, begin):
    site, desk = "hospital-a", deployed.sites["hospital-a"]
    with taken_over(desk, "compose.yaml", "worker", partial(wait_for_worker, deployed, site)):
        rounds = begin(5)
        said = rounds.finish()
        told = [rounds.told()[number][site] for number in range(1, 6)]
        metrics, head, exception, changed, cut_off = told
        withheld = "may not leave the site (weights)"
        assert metrics["ok"] and cut_off["ok"]
        assert head["reason"].endswith(withheld)
        # The link may have looked before the change or after it.
        assert changed["ok"] or changed["reason"].endswith(withheld)
        assert exception["reason"].startswith("an exception of the author's own")
        worker = desk.run("docker compose logs worker")
        assert "what was handed over cannot be cut off" in worker
        link = desk.run("docker compose logs link")
    journal = json.dumps(deployed.events())
    for left in (said, link, journal, deployed.compose("logs")):
        assert not any(mark in left for mark in ("Jane", "MRN", "4711.0", "line 4711"))


def test_an_instruction_that_another_site_wrote_is_refused(deployed, begin, gates):
    """Flower delivers what one site writes to another; only the coordinator's signature counts."""
    thief, victim = (deployed.sites[name] for name in ("hospital-a", "hospital-b"))
    execute = "docker compose exec -T link python"
    public = thief.run(f"{execute} -m federator.runtime keygen --key /tmp/thief.key")
    key = deployed.server.folder / "compose" / NAME / "sites" / "thief.pub"
    key.write_text(next(x for x in public.splitlines() if x.startswith("ecdsa")) + "\n")
    wait_for(lambda: "site thief is admitted" in deployed.compose("logs server"))
    gates["hospital-c"].close()  # the round goes on until the victim has refused
    rounds = begin(1)
    rounds.wait_until_trained("hospital-b", 1)
    node = victim.run("docker compose exec -T link cat /keys/site.node").strip()
    going = "from federator.runtime.control import server_paths as s; "
    going += "print(*s.server_paths().control().going())"
    run = deployed.compose("exec", "-T", "server", "python", "-c", f"'{going}'").strip()
    shutil.copy(TAKEN_OVER / "site.py", thief.folder)
    thief.run(f"{execute} - /tmp/thief.key {run} {node} < site.py")
    said = "refused: the coordinator has not signed this instruction"
    wait_for(lambda: said in victim.run("docker compose logs --tail=20 link"))
    gates["hospital-c"].open()
    told = "site hospital-b: warned (it refused 1 instruction(s) that you had not signed)"
    assert told in rounds.finish()
    assert all(one["ok"] for one in rounds.told()[1].values())
    key.unlink()
    wait_for(lambda: "site thief is locked out" in deployed.compose("logs server"))


def said_since_start(deployed, service, site="server"):
    """Return what a container has said since it was started last."""
    container = deployed.container(service, site)
    began = deployed.server.run(f"docker inspect --format '{{{{.State.StartedAt}}}}' {container}")
    return deployed.server.run(f"docker logs --since {began.strip()} {container} 2>&1")


def wait_for_server(deployed):
    """Wait until the server is up that was started last."""
    wait_for(lambda: "the server is up" in said_since_start(deployed, "server"))


def wait_for_worker(deployed, site):
    """Wait until a site's worker that was started last can be given something to do."""
    wait_for(lambda: "connected to the link" in said_since_start(deployed, "worker", site))


@contextmanager
def killed(deployed, site):
    for service in ("link", "worker"):
        subprocess.run(["docker", "kill", deployed.container(service, site)], check=True)
    try:
        yield
    finally:
        deployed.sites[site].run("docker compose up -d")


@contextmanager
def paused(deployed, site):
    link = deployed.container("link", site)
    subprocess.run(["docker", "pause", link], check=True)
    try:
        yield
    finally:
        subprocess.run(["docker", "unpause", link], check=True)


@contextmanager
def cut_off(deployed, site):
    network = (f"{NAME}-{site}_default", deployed.container("link", site))
    subprocess.run(["docker", "network", "disconnect", *network], check=True)
    try:
        yield
    finally:
        subprocess.run(["docker", "network", "connect", *network], check=True)


@pytest.mark.parametrize(
    ("fault", "site"), [(killed, "hospital-a"), (paused, "hospital-b"), (cut_off, "hospital-c")]
)
def test_a_site_that_falls_out_in_a_round_is_back_in_the_next(deployed, begin, gates, fault, site):
    """In the next that begins after it has joined: the second does not end before that."""
    other = next(name for name in SITES if name != site)
    gates[site].close()
    rounds = begin(3)
    rounds.wait_until_training(site, 1)
    rounds.wait_until_trained(other, 1)
    gates[other].close()
    with fault(deployed, site):
        if fault is not killed:  # which is told as soon as the site is back
            wait_for(lambda: 1 in rounds.told())
    gates[site].open()
    wait_for(lambda: rounds.joined(site) == 2)
    gates[other].open()
    said, told = rounds.finish(), rounds.told()
    assert not told[1][site]["ok"], told
    others = [one for name, one in told[1].items() if name != site]
    assert len(others) == QUORUM and all(one["ok"] for one in others)
    assert told[3][site]["ok"], told
    assert f"site {site}: failed ({told[1][site]['reason']})" in said
    report = deployed.compose(
        f"exec -T server sh -c 'cat $(ls -d /results/{NAME}/2*/ | tail -1)report.html'"
    )
    assert told[1][site]["reason"] in report


def test_a_server_that_is_killed_goes_on_from_its_checkpoint(deployed, begin, gates):
    """It is killed in the second round, which one site cannot end."""
    gates["hospital-a"].close()
    rounds = begin(3)
    rounds.wait_until_trained("hospital-b", 1)
    gates["hospital-b"].close()
    gates["hospital-a"].open()
    rounds.wait_until_training("hospital-b", 2)
    subprocess.run(["docker", "kill", deployed.container("server")], check=True)
    assert rounds.process.wait() != 0
    deployed.server.run(f"docker compose -f compose/{NAME}/server.yaml up -d")
    wait_for_server(deployed)
    gates["hospital-b"].open()
    last = rounds.before + 3
    wait_for(lambda: any(e.get("round") == last for e in deployed.events("end")))
    assert sorted(rounds.told()) == [1, 2, 3]
    assert all(one["ok"] for one in rounds.told()[3].values())
    assert deployed.events("start")[-1]["first_round"] == rounds.before + 2


def test_an_order_is_finished_although_two_of_three_links_stop_for_two_minutes(
    deployed, begin, gates
):
    away = ["hospital-b", "hospital-c"]
    for site in away:
        gates[site].close()
    rounds = begin(3)
    for site in away:
        rounds.wait_until_training(site, 1)
    for site in away:
        deployed.sites[site].run("docker compose stop link")
    wait_for(lambda: rounds.events("paused"))
    time.sleep(120)
    assert not rounds.events("resumed")
    for site in away:
        gates[site].open()
        deployed.sites[site].run("docker compose start link")
    said = rounds.finish()
    assert "): waiting for 1 of hospital-b, hospital-c until " in said
    assert ") after a pause of 2 min" in said or ") after a pause of 3 min" in said
    (resumed,) = rounds.events("resumed")
    assert resumed["seconds"] > 110
    assert sorted(rounds.told()) == [1, 2, 3]
    assert all(sum(part["ok"] for part in sites.values()) >= 2 for sites in rounds.told().values())


def test_rounds_are_stopped_from_elsewhere_and_only_one_at_a_time_started(deployed, begin, gates):
    command = f"docker compose -f compose/{NAME}/server.yaml exec -T server federator rounds"
    gates["hospital-a"].close()
    rounds = begin(3)
    rounds.wait_until_training("hospital-a", 1)
    deployed.server.run(command, status=1)
    assert "rounds are running" in deployed.server.said[-1][1]
    rounds.stop()
    assert deployed.events("end")[-1]["state"] == "stopped"


def test_a_new_version_is_reviewed_and_taken(deployed):
    desk = deployed.sites["hospital-a"]
    new = desk.folder / "hospital-a.yaml"
    text = (desk.folder / "compose.yaml").read_text()
    new.write_text(text.replace("BASELINES:-true", "BASELINES:-false"))
    review, take, start = commands("site-operator.md")["7"]
    said = desk.run(review)
    assert "BASELINES:-false" in said and "Images: nothing changes" in said
    new.write_text(text)
    desk.run(take)
    desk.run(start)


@pytest.fixture
def notified(deployed):
    """Have the server tell of ends by a webhook; return the secret in its address."""
    settings = deployed.server.folder / "compose" / NAME / ".env"
    before, secret = settings.read_text(), "T0/B1/notices-secret"
    kept = deployed.server.folder / "webhook"
    kept.write_text(f"https://127.0.0.1:9/{secret}\n")
    kept.chmod(0o644)  # for the user of the container
    settings.write_text(f"{before}WEBHOOK={kept}\n")
    yield secret
    settings.write_text(before)


def test_with_secure_aggregation_the_server_gets_no_update_of_a_site(deployed, notified):
    """All sites take new files over, and train one round from the first model, as they did.

    Of the end a notice is sent: nobody answers, but that it was tried shows its way.
    """
    more = "min_sites: 3\nsecure_aggregation: true\nnotify: {webhook: true, events: [end]}"
    with changed(deployed, "min_sites: 2", more):
        said = deployed.sites["hospital-a"].run("docker compose run --rm link doctor")
        assert "sums of 3 sites at least, of these: hospital-a, hospital-b, hospital-c" in said
        run_rounds(deployed, "--rounds 1 --fresh")
        done = deployed.events("round")[-1]
        assert done["masked"]["sites"] == list(SITES) and done["masked"]["attempts"] == 1
        assert all(part["ok"] and part["bytes_up"] for part in done["sites"].values())
        assert deployed.events("start")[-1]["encoding"] == "masked"
        tried = partial(deployed.compose, "logs notify")
        wait_for(lambda: "webhook: it does not answer" in tried())
        assert "notices are sent by: webhook" in tried() and notified not in tried()
        seen = deployed.compose(f"exec -T notify ls /run/federator /results/{NAME} 2>&1 || true")
        assert "webhook" in seen and f"'/results/{NAME}': No such file" in seen


@contextmanager
def changed(deployed, text, other):
    """Change the federation file, and have all take the new files in use; and back again."""
    file = deployed.server.folder / "compose" / NAME / "federation.yaml"
    plain = file.read_text()
    file.write_text(plain.replace(text, other))
    try:
        take_in_use(deployed)
        yield
    finally:
        file.write_text(plain)
        take_in_use(deployed)


def run_rounds(deployed, order):
    """Order rounds at the server, and wait until they have been run."""
    deployed.compose(f"run --rm order {order}")
    file = f"compose/{NAME}/server.yaml"
    deployed.server.run(f"docker compose -f {file} exec -T server federator rounds")


def take_in_use(deployed):
    """Build and write the files of a changed federation file, and start all anew with them."""
    deployed.server.run(f"federator build compose/{NAME} --push")
    deployed.server.run(f"federator compose compose/{NAME}")
    deployed.server.run(f"docker compose -f compose/{NAME}/server.yaml up -d")
    wait_for_server(deployed)
    for site, desk in deployed.sites.items():
        shutil.copy(deployed.server.folder / "compose" / NAME / f"{site}.yaml", desk.folder)
        desk.run(f"cp {site}.yaml compose.yaml")
        desk.run("docker compose up -d")
        wait_for_worker(deployed, site)


def test_a_site_sets_a_policy_of_its_own(deployed):
    desk = deployed.sites["hospital-b"]
    named, look, start = commands("site-operator.md")["6"]
    (desk.folder / "policy.yaml").write_text("round_per_app: 500\n")
    desk.run(named)
    desk.run(look, status=1)
    assert "policy.yaml: line 1: round_per_app is not a key of this file" in desk.said[-1][1]
    (desk.folder / "policy.yaml").write_text("rounds_in_all: 5000\n")
    assert "of 5000 rounds" in desk.run(look)
    desk.run(start)


def test_no_secret_is_in_a_log(deployed):
    secrets = [
        (deployed.server.folder / "token.txt").read_text(),
        (deployed.server.folder / "compose" / NAME / "keys" / "superexec.secret").read_text(),
    ]
    logs = deployed.compose("logs 2>&1")
    for desk in deployed.sites.values():
        logs += desk.run("docker compose logs 2>&1")
    assert "PRIVATE KEY" not in logs and not any(secret in logs for secret in secrets)
