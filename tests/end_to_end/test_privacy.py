"""Three sites train with differential privacy on this machine, by ``federator run``."""

from contextlib import suppress

from fixtures.rehearsals import events, lay_out, lay_out_site, rehearse

from federator.errors import RunError
from federator.runtime.weights.format import load

STRATEGY = "from flwr.serverapp.strategy import FedAvg\nstrategy = FedAvg()"
PRIVACY = "privacy: {epsilon: 12, delta: 0.001, clip: 1.0, noise: 1.5}\nseed: 7\nrounds: 2\n"
TRAIN = """\
def train(net, trainloader, valloader, epochs, privacy=None):
    optimizer = torch.optim.SGD(net.parameters(), lr=RATE)
    if privacy:
        net, optimizer, trainloader = privacy(net, optimizer, trainloader)
    for _ in range(epochs):
        for x, y in trainloader:
            optimizer.zero_grad()
            nn.functional.cross_entropy(net(x), y).backward()
            optimizer.step()"""
AROUND = TRAIN.replace("net, optimizer, trainloader = privacy", "net, _, trainloader = privacy")


def sites(tmp_path):
    return {
        name: lay_out_site(tmp_path / "data" / name, seed)
        for seed, name in enumerate(("north", "south", "west"))
    }


def test_three_sites_train_with_noise_that_no_seed_gives_again(tmp_path):
    read = lay_out(tmp_path, sites(tmp_path), PRIVACY, train=TRAIN)
    models = []
    for _ in range(2):
        run = rehearse(read)
        list(run.events())
        rounds = events(run.folder, "round")
        assert [sorted(one["sites"]) for one in rounds] == [["north", "south", "west"]] * 2
        assert events(run.folder, "end")[-1]["state"] == "finished"
        assert events(run.folder, "survey") == []
        models.append(load(run.folder / "model.safetensors"))
    first, second = models
    assert all((first[name] != second[name]).any() for name in first)


def test_updates_with_noise_are_masked_too(tmp_path):
    """With secure aggregation; each site accounts for its training as without."""
    settings = PRIVACY.replace("rounds: 2", "rounds: 1") + "secure_aggregation: true\n"
    run = rehearse(lay_out(tmp_path, sites(tmp_path), settings, train=TRAIN, strategy=STRATEGY))
    list(run.events())
    (told,) = events(run.folder, "round")
    assert told["masked"]["sites"] == ["north", "south", "west"]
    assert not any("update" in part for part in told["sites"].values()), "no norm is known"
    spent = {one["site"]: one["training"] for one in events(run.folder, "privacy")}
    assert sorted(spent) == told["masked"]["sites"] and all(spent.values())
    models = [load(run.folder / f"round-00{number}.safetensors") for number in (0, 1)]
    assert all((models[0][name] != models[1][name]).any() for name in models[0])


def test_a_train_that_gets_around_it_is_told_with_its_cell(tmp_path):
    read = lay_out(tmp_path, sites(tmp_path), PRIVACY, train=AROUND)
    run = rehearse(read)
    with suppress(RunError):
        list(run.events())
    (told,) = events(run.folder, "round")
    for part in told["sites"].values():
        assert "make steps with the optimizer that privacy returned" in part["reason"]
        assert "(tumour.ipynb: cell 7, line 1)" in part["reason"]
