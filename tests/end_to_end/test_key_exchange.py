"""The coordinator's key is exchanged while three sites run: none misses a round.

SuperLink, gateway, server, links and workers are the real ones, each a process.
"""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from fixtures.deployment import deploy

from federator.deploy.key_files import KeyFiles
from federator.deploy.signing_keys import PUBLISHED, SigningKeys, published

SITES = ["north", "south", "west"]


@pytest.fixture(scope="module")
def deployment(tmp_path_factory):
    with deploy(tmp_path_factory.mktemp("deployment"), SITES) as deployed:
        for name in SITES:
            deployed.start_link(name)
            deployed.start_worker(name)
        yield deployed


def train(deployment, rounds=1):
    """Run rounds; return by site how each of them went."""
    before = len(deployment.events("round")) if list(deployment.paths.runs.glob("2*")) else 0
    command = deployment.begin_rounds("--rounds", str(rounds), "--epochs", "1")
    said = command.communicate()[0]
    assert command.returncode == 0, said
    told = deployment.events("round")[before:]
    assert len(told) == rounds
    return [{site: part["ok"] for site, part in one["sites"].items()} for one in told]


ALL = dict.fromkeys(SITES, True)


def take_over(deployment, sites):
    """Have sites take over their newest files, and wait until they are back."""
    for name in sites:
        log = deployment.processes.log(f"{name}.link")
        before = log.read_text().count("is connected")
        deployment.take_over(name)
        deployment.wait_for(f"{name}.link", "is connected", times=before + 1)


def test_no_site_misses_a_round_while_a_key_is_exchanged(deployment):
    keys = SigningKeys.of(deployment.federation)
    assert train(deployment) == [ALL]
    keys.add()
    take_over(deployment, SITES[:1])  # it has both keys, the others the first one alone
    assert train(deployment) == [ALL]
    take_over(deployment, SITES[1:])
    keys.retire()
    deployment.start_signer_again()
    assert train(deployment) == [ALL]
    take_over(deployment, SITES[:1])  # it has the second key alone, the others both
    assert train(deployment) == [ALL]
    states = {event["state"] for event in deployment.events("site")}
    assert states == {"joined"}, "no instruction was refused"


def test_who_is_warned_before_a_key_ends(deployment):
    """The key is dated: it ends in 20 days."""
    (known,) = published(deployment.federation)
    soon = replace(known, last_day=datetime.now(UTC).date() + timedelta(days=20))
    public = deployment.federation.folder / "public"
    KeyFiles(deployment.keys, public).publish(PUBLISHED, soon.write().encode())
    deployment.take_over("north")
    told = f"key {known.name} ends in 20 days"
    assert "ask the coordinator for a file" in deployment.wait_for("north.link", told)
    deployment.env |= {"FEDERATOR_COORDINATOR_KEY": soon.write()}
    command = deployment.begin_rounds("--rounds", "1", "--epochs", "1")
    assert f"your {told}" in command.communicate()[0]
    assert f"your {told}" in deployment.events("start")[-1]["warnings"][0]
