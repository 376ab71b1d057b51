"""Site-level privacy: what it costs, the noise and the clipping as they are, what is refused."""

import math

import numpy as np
import pytest
from fakes.site_grid import SiteGrid, serve
from fixtures.rehearsals import events
from fixtures.strategy_sites import BUFFERS, EXAMPLES, MODEL, site
from flwr.serverapp import strategy as flower
from scipy import integrate, stats

from federator.errors import RunError
from federator.runtime.protocol.privacy.gaussian import delta_of, epsilon_of
from federator.runtime.server.aggregation.blockwise import aggregate
from federator.runtime.server.aggregation.geometry import measure
from federator.runtime.server.aggregation.site_privacy import SitePrivacy
from federator.runtime.server.journal import Start, append, now
from federator.runtime.server.storage.checkpoints import Checkpoint, RunFolder
from federator.runtime.weights.block_file import WeightFile
from federator.runtime.weights.format import save

pytestmark = pytest.mark.usefixtures("in_a_run")

SIZE = 200_000
ASKED = {"clip": 2.0, "noise": 4.0, "delta": 1e-5}
# Made with Google's dp-accounting 0.6.0: GaussianDpEvent, composed, by its PLD accountant.
KNOWN = [(1.0, 3, 8.39), (2.4, 20, 9.17), (4.0, 20, 4.98)]


@pytest.mark.parametrize(("noise", "rounds", "epsilon"), KNOWN)
def test_epsilon_is_that_of_another_library(noise, rounds, epsilon):
    assert epsilon_of(1e-5, noise, rounds) == pytest.approx(epsilon, abs=0.01)
    assert SitePrivacy(1.0, noise, 1e-5, 5).epsilon(rounds) == epsilon_of(1e-5, noise, rounds)


@pytest.mark.parametrize("epsilon", [0.0, 0.5, 2.0, 8.0])
@pytest.mark.parametrize(("noise", "rounds"), [(0.5, 1), (1.0, 3), (4.0, 20)])
def test_delta_is_the_integral_of_its_definition(epsilon, noise, rounds):
    """What one Gaussian has above e^epsilon times the other (Dwork and Roth 2014, 3.5.1)."""
    mu = math.sqrt(rounds) / noise
    first = epsilon / mu + mu / 2  # from here on, its density is the larger one
    above = integrate.quad(
        lambda x: stats.norm.pdf(x, mu) - math.exp(epsilon) * stats.norm.pdf(x), first, mu + 40
    )[0]
    assert delta_of(epsilon, noise, rounds) == pytest.approx(above, rel=1e-6, abs=1e-13)


def test_extreme_values_are_no_traceback():
    assert epsilon_of(1e-5, 1e6, 1) == 0.0
    assert epsilon_of(1e-9, 0.3, 10_000) > 10_000
    assert epsilon_of(1e-5, 1.0, 0) == 0.0


def made(root, private, *updates, before=None):
    """Aggregate updates of one tensor and a counter; return the model."""
    zero = np.zeros(SIZE, np.float32)
    models = [zero if before is None else before, *updates]
    for number, array in enumerate(models):
        save(root / str(number), {"a": array, "seen": np.array(number)})
    first, *files = (WeightFile(root / str(number)) for number in range(len(models)))
    weighting = private.weigh(measure(first, files, {"seen"}))
    checkpoint = Checkpoint(0, first)
    folder = RunFolder(root / "run")
    model = aggregate(flower.FedAvg(), 1, checkpoint, files, weighting, folder, {"seen"})
    loaded = model.weights.load()
    assert loaded["seen"] == 0, "what is no parameter stays as it was"
    return np.array(loaded["a"])


def test_noise_has_the_deviation_that_is_accounted_and_is_new_in_each_run(tmp_path):
    private = SitePrivacy(clip=2.0, noise=1.5, delta=1e-5, sites=4)
    zero, found = np.zeros(SIZE, np.float32), []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        found.append(made(tmp_path / name, private, zero, zero, zero, zero))
    expected = 1.5 * 2.0 / 4
    for noise in found:
        assert noise.std() == pytest.approx(expected, rel=0.02)
        assert stats.kstest(noise / expected, "norm").pvalue > 1e-4
    assert abs(np.corrcoef(*found)[0, 1]) < 0.02


@pytest.mark.parametrize("far", [1e6, 1e30])
def test_one_site_moves_the_mean_by_no_more_than_its_clipped_share(tmp_path, far):
    private = SitePrivacy(clip=2.0, noise=1e-9, delta=1e-5, sites=3)
    rng = np.random.default_rng(5)
    others = [rng.normal(0, 1e-3, SIZE).astype(np.float32) for _ in range(2)]
    found = {}
    for name, more in (("with", [np.full(SIZE, far, np.float32)]), ("without", [])):
        (tmp_path / name).mkdir()
        found[name] = made(tmp_path / name, private, *others, *more).astype(float)
    moved = np.linalg.norm(found["with"] - found["without"])
    assert moved == pytest.approx(2.0 / 3, rel=1e-3)


def test_a_site_that_drops_out_changes_nothing_of_what_is_divided_by(tmp_path):
    private = SitePrivacy(clip=1e9, noise=1e-15, delta=1e-5, sites=4)
    old = np.full(SIZE, 5, np.float32)
    assert made(tmp_path, private, old + 4, old + 4, before=old).mean() == pytest.approx(
        7, rel=1e-4
    )


def begin(folder, **about):
    """Write that a run begins."""
    folder.mkdir(exist_ok=True)
    start = Start(
        time=now(), run="run", federation="tumours", first_round=1, last_round=3,
        strategy="FedAvg", sites=sorted(EXAMPLES), labels=["a", "b"], **about,
    )  # fmt: skip
    append(folder, start)


@pytest.fixture
def run(tmp_path):
    def run(asked=ASKED, strategy=None, buffers=(), after=0, **how):
        save(tmp_path / "first.safetensors", MODEL)
        grid = SiteGrid({name: site(name) for name in EXAMPLES})
        folder = RunFolder(tmp_path / "run")
        begin(folder.path, site_privacy=asked)
        server = serve(
            grid, folder, strategy or flower.FedAvg(), buffers, site_privacy=asked, **how
        )
        server.run(Checkpoint(after, WeightFile(tmp_path / "first.safetensors")))
        return folder.path

    return run


def test_the_journal_has_epsilon_and_no_norm_without_noise(run):
    told = events(run(rounds=3), "round")
    costs = [round(epsilon_of(1e-5, 4.0, number), 4) for number in (1, 2, 3)]
    assert [event["epsilon"] for event in told] == costs
    for event in told:
        assert "unusual" not in event
        assert all("update" not in part for part in event["sites"].values())


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ({"strategy": flower.FedMedian()}, "FedMedian makes no mean"),
        ({"strategy": flower.Bulyan()}, "Bulyan aggregates by Flower's own code"),
        ({"buffers": BUFFERS}, "running statistics"),
        ({"asked": {**ASKED, "noise": 0.5}}, "which hides nothing (at most 20)"),
        ({"baselines": True}, "the baselines get no noise"),
        ({"sites": ()}, "needs the sites that are planned"),
    ],
)
def test_what_gives_no_guarantee_is_refused_before_the_first_round(run, tmp_path, how, says):
    with pytest.raises(RunError) as refused:
        run(**how)
    assert says in str(refused.value)
    assert not list(tmp_path.glob("run/round-*"))


def test_a_run_whose_earlier_rounds_had_other_noise_does_not_go_on(run, tmp_path):
    begin(tmp_path / "run")
    with pytest.raises(RunError, match="site_privacy has changed since this run began"):
        run()


def test_a_private_run_does_not_go_on_without_its_noise(run):
    run(rounds=1)
    with pytest.raises(RunError, match="site_privacy has changed since this run began"):
        run(rounds=1, asked={}, after=1)
