"""Secure aggregation in a whole run: the plain run's model, and no plain update anywhere."""

from contextlib import suppress

import numpy as np
from fixtures.rehearsals import in_messages, lay_out, lay_out_site, rehearse
from fixtures.stores import copied

from federator.results import history
from federator.runtime.masking.fixed_point import DEFAULT_BOUND, Grid
from federator.runtime.weights.format import WeightsError, load

NAMES = ("east", "north", "west")
MASKED = "secure_aggregation: true\n"
STRATEGY = "from flwr.serverapp.strategy import FedAvg\nstrategy = FedAvg()"
# Number by number, since a matrix product's last digit may depend on where in memory it lies.
TRAIN = """\
def train(net, trainloader, valloader, epochs):
    for x, _ in trainloader:
        for weights in net.parameters():
            weights.data -= RATE * float(x[0, 0]) * (weights.data + 0.1)"""


def _federation(root, settings):
    sites = {name: lay_out_site(root / name, n) for n, name in enumerate(NAMES)}
    return lay_out(root, sites, settings, train=TRAIN, strategy=STRATEGY)


def test_the_sum_is_the_plain_run_s_mean_within_the_quantum(tmp_path):
    """One site by messages, two by files."""
    models, runs = {}, {}
    for kind, settings in {"plain": "", "masked": MASKED}.items():
        (tmp_path / kind).mkdir()
        federation = in_messages(_federation(tmp_path / kind, f"rounds: 1\n{settings}"), "north")
        runs[kind] = run = rehearse(federation)
        with copied(run.folder / ".store", tmp_path / kind / "copies"):
            list(run.events())
        models[kind] = load(run.folder / "round-001.safetensors")
    quantum = Grid.finest(DEFAULT_BOUND, 3).quantum
    for name, plain in models["plain"].items():
        rounding = np.spacing(np.abs(plain).max())
        assert np.abs(plain - models["masked"][name]).max() <= 1.5 * quantum + rounding
    (done,) = history.read(runs["masked"].folder).trained()
    assert done.masked.sites == list(NAMES) and done.masked.attempts == 1
    assert done.masked.quantum == quantum and not done.masked.saturated
    _require_no_plain_update(tmp_path, runs)


def _require_no_plain_update(root, runs):
    """No tensor of a plain update is in what the masked run's server had: store, run, journal.

    A site trains in the first round as it does without masks, to the bit.
    """
    first = load(runs["plain"].folder / "round-000.safetensors")
    plain = set()
    for path in (root / "plain" / "copies").iterdir():
        with suppress(WeightsError):
            plain |= {a.tobytes() for n, a in load(path).items() if not np.array_equal(a, first[n])}
    final = load(runs["plain"].folder / "round-001.safetensors")
    plain -= {array.tobytes() for array in final.values()}
    assert len(plain) == len(NAMES) * len(first), "of each site each tensor"
    copies = list((root / "masked" / "copies").iterdir())
    run = runs["masked"].folder
    had = copies + [path for path in run.rglob("*") if path.is_file()]
    masked = []
    for path in had:
        content = path.read_bytes()
        assert not any(secret in content for secret in plain), path
        with suppress(WeightsError):
            found = load(path) if path in copies else {}
            masked += [a for a in found.values() if a.dtype == np.uint32]
    assert len(masked) == len(plain), "each site's masked update was there"
    assert all(
        secret in b"".join(p.read_bytes() for p in (root / "plain" / "copies").iterdir())
        for secret in plain
    ), "and would have been found"
