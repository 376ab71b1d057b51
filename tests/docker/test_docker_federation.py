"""Three hospitals in containers, each on a network of its own, as the documents set them up."""

import shutil
import time

import pytest
from deployed import DOCS, Deployed, Desk, commands, repository

from federator.local import free_port

pytestmark = pytest.mark.docker

NAME = "breast-cancer"
SETTINGS = DOCS.joinpath("coordinator.md").read_text().split("```yaml\n")[1].split("```")[0]
ROUND_DEADLINE = 40


def wait_for(look, seconds=90):
    """Look again and again until there is something to see; return it."""
    deadline = time.monotonic() + seconds
    while not (seen := look()):
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.3)
    return seen


@pytest.fixture(scope="module")
def deployed(engine, registry_with_login, build_settings, tmp_path_factory):
    """The documents, done: what was said is asked for in the tests."""
    root = tmp_path_factory.mktemp("federation")
    data, host, port = root / "data" / NAME, registry_with_login.host, free_port()
    outside = engine("network", "inspect", "bridge", "--format={{(index .IPAM.Config 0).Subnet}}")
    address = f"{outside.rpartition('.')[0]}.1:{port}"  # this machine, as containers see it
    names = {
        "docker.io --username acme": f"{host} --username {registry_with_login.user}",
        "docker.io/acme": f"{host}/acme",
        "fl.example.org": address,
        "{join: 10m, round: 2h}": f"{{join: 60, round: {ROUND_DEADLINE}}}",
    }
    sites = list(repository(root, data))
    path = root / "compose" / NAME / "federation.yaml"
    text = path.read_text().replace("rounds: 10", "rounds: 3").replace("s: true", "s: false")
    for name, ours in names.items():
        text += SETTINGS.replace(name, ours) if name == "docker.io/acme" else ""
        text = text.replace(name, ours)
    path.write_text(text + build_settings)
    server = Desk(root, names)
    made = Deployed(server, {}, NAME)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DOCKER_CONFIG", str(tmp_path_factory.mktemp("docker-config")))
        (root / "token.txt").write_text(registry_with_login.password)
        server.follow("coordinator.md", "2", "3")
        ours = f"--filter=reference={host}/acme/*"
        engine("rmi", "--force", *set(engine("images", "--quiet", ours).split()))
        try:
            for command in commands("coordinator.md")["4"]:
                server.run(command)
                if command.startswith("cp "):
                    with (path.parent / ".env").open("a") as settings:
                        settings.write(f"PORT={port}\n")
            for site in sites:
                made.sites[site] = set_up_site(root, data, site, server)
            wait_for(lambda: made.compose("logs", "server").count("is admitted") == len(sites))
            for desk in made.sites.values():
                desk.follow("site-operator.md", "4", "5"[:0])
                desk.run("docker compose up -d")
            yield made
        finally:
            print(made.compose("logs", "--tail=40", "2>&1"))
            made.down()
            engine("rmi", "--force", *set(engine("images", "--quiet", ours).split()))


def set_up_site(root, data, site, server):
    """Do what a site's operator and the coordinator do until the site is let in."""
    folder = root / "sites" / site
    folder.mkdir(parents=True)
    for kind in ("yaml", "env.example"):
        shutil.copy(root / "compose" / NAME / f"{site}.{kind}", folder)
    shutil.copy(root / "token.txt", folder)
    folder.chmod(0o755)
    named = {**server.names, "hospital-a": site, "/srv/data": str(data / site)}
    desk = Desk(folder, named)
    desk.follow("site-operator.md", "1", "2", "3")
    line = desk.said[-1][1].splitlines()
    (root / f"{site}.pub").write_text(next(x for x in line if x.startswith("ecdsa")) + "\n")
    bundle = "federator bundle"
    for command in commands("coordinator.md")["5"]:
        if not command.startswith(bundle):  # test_docker_bundle.py makes one
            server.run(command.replace("hospital-a", site))
    return desk


def test_smoke(deployed):
    print(deployed.compose("ps"))
    print(deployed.server.run(commands("coordinator.md")["6"][0]))
    print([e["event"] for e in deployed.events()])
