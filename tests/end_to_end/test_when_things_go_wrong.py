"""docs/when-things-go-wrong.md: each of its steps is run, and does what the page says."""

import re
import shutil
from pathlib import Path

import pytest
from fixtures.deployment import deploy
from fixtures.incidents import Incident, sections

from federator.deploy.signing_keys import published
from federator.runtime.weights.format import load

SITES = ["north", "south"]
ALL = dict.fromkeys(SITES, True)


@pytest.fixture(scope="module")
def incident(tmp_path_factory):
    with deploy(tmp_path_factory.mktemp("deployment"), SITES, "min_sites: 1\n") as deployed:
        yield Incident(deployed)


def train(incident, *options):
    """Order one round, and run it; return which sites took part."""
    incident.ordered = ["--rounds", "1", "--epochs", "1", *options]
    incident.train()
    return took_part(incident)


def newest(incident):
    """Return the folder of the newest run."""
    return max(path.parent for path in incident.deployment.paths.runs.glob("*/rounds.jsonl"))


def took_part(incident):
    """Return by site whether it took part in the newest round."""
    lines = (newest(incident) / "rounds.jsonl").read_text().splitlines()
    last = [line for line in lines if line.startswith('{"event": "round"')][-1]
    return {site: f'"{site}": {{"ok": true' in last for site in SITES}


def log(incident, part):
    return (incident.deployment.processes.logs / f"{part}.log").read_text()


def test_every_section_is_run():
    run = re.findall(r'incident\.run\("(\d)"', Path(__file__).read_text())
    assert sorted(set(run)) == sorted(sections())


def test_the_server_s_disk_is_lost_and_the_copies_are_put_back(incident):
    """No site does anything, and the rounds go on from the model that was there."""
    assert train(incident) == ALL
    incident.run("1", "server")
    run = newest(incident)
    incident.names["2026-11-28-001"] = run.name
    before = load(run / "model.safetensors")
    deployment, known = incident.deployment, published(incident.deployment.federation)
    for part in ("server", "signer", "gateway", "superlink"):
        deployment.end(part)
    (incident.root / "state.db").unlink()
    lost = (deployment.keys, deployment.paths.results, deployment.paths.store)
    for folder in (*lost, incident.root / "signer"):
        shutil.rmtree(folder)

    incident.run("5", "server", "server", "server")

    assert published(deployment.federation) == known
    for part in ("server", "north.link", "south.link"):
        text = "is admitted" if part == "server" else "is connected"
        deployment.wait_for(part, text, times=4 if part == "server" else 2)
    assert train(incident) == ALL
    first = load(newest(incident) / "round-000.safetensors")
    assert all((first[name] == before[name]).all() for name in before)


def test_a_key_is_exchanged_before_its_last_day(incident):
    """With three sites, and which of them knows what: test_key_exchange.py."""

    def both_keys_are_known():
        incident.take_over(*SITES)
        assert len(published(incident.deployment.federation)) == 2
        assert train(incident) == ALL

    (old,) = published(incident.deployment.federation)
    incident.run("2", "server", both_keys_are_known, "server")
    (new,) = published(incident.deployment.federation)
    assert old != new
    assert train(incident) == ALL


def test_a_leaked_key_is_followed_by_no_site_again(incident):
    leaked = (incident.deployment.keys / "coordinator.key").read_bytes()
    incident.run("3", "server", "north", "server", lambda: incident.send("north"), "north")
    assert (incident.deployment.keys / "coordinator.key").read_bytes() != leaked
    assert "FEDERATOR_COORDINATOR_KEY" in incident.reviewed
    assert train(incident) == ALL | {"south": False}, "south has not taken its new file over"
    refused = "refused: the coordinator has not signed this instruction"
    assert refused in log(incident, "south.link")
    incident.take_over("south")
    assert train(incident) == ALL


def test_a_lost_key_is_replaced_without_it(incident):
    (incident.deployment.keys / "coordinator.key").unlink()
    incident.run("4", "server")
    incident.take_over(*SITES)
    assert train(incident) == ALL


def test_a_site_has_another_key(incident):
    incident.run("7", "north", "server")
    incident.deployment.wait_for("server", "site north is locked out: its key was removed")
    incident.deployment.wait_for("north.link", "registered")
    assert train(incident) == ALL


def test_wrong_data_are_in_no_model_that_follows(incident):
    """The second round had them: the new run begins with the model after the first one."""
    train(incident, "--fresh")
    train(incident)
    run = newest(incident)
    incident.names["2026-11-28-001"] = run.name
    before = load(run / "round-001.safetensors")
    incident.run("9", "server", "server", "server")
    assert not run.exists()
    first = load(newest(incident) / "round-000.safetensors")
    assert all((first[name] == before[name]).all() for name in before)
    assert took_part(incident) == ALL


def test_after_the_server_was_taken_over_all_its_keys_are_new(incident):
    deployment = incident.deployment
    before = {path.name: path.read_bytes() for path in deployment.keys.iterdir()}
    sites = {site: (incident.root / site / "site.key").read_bytes() for site in SITES}

    def another_machine():
        for part in ("server", "signer", "gateway", "superlink"):
            deployment.end(part)

    incident.run("6", another_machine, "server")
    after = {path.name: path.read_bytes() for path in deployment.keys.iterdir()}
    assert before.keys() == after.keys()
    assert {name for name in before if before[name] == after[name]} == {".gitignore"}
    deployment.wait_for("north.link", "is not trusted")
    incident.take_over(*SITES)
    assert train(incident) == ALL
    assert sites == {site: (incident.root / site / "site.key").read_bytes() for site in SITES}


def test_a_site_leaves_and_the_last_one_too(incident):
    # Before: a server that begins again has registered nobody for a moment.
    text, deployment = "this site's key is no longer registered", incident.deployment
    before = {site: log(incident, f"{site}.link").count(text) for site in SITES}
    incident.run("8", "server")
    deployment.wait_for("north.link", text, times=before["north"] + 1)
    assert log(incident, "south.link").count(text) == before["south"]
    incident.names["hospital-a"] = "south"
    incident.run("8", "server")
    deployment.wait_for("south.link", text, times=before["south"] + 1)
    incident._shell("git ls-files", incident.root)
    assert "compose/tumours/sites/nobody" in incident.said
