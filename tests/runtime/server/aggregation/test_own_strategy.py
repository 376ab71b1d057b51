"""A strategy of the author's own: in a process of its own, told by the server what it may know."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress

import numpy as np
import pytest
from fixtures.rehearsals import events
from fixtures.strategy_sites import EXAMPLES, MODEL

from federator.errors import RunError
from federator.runtime.protocol.handover import Channel, connect
from federator.runtime.server.aggregation.own_strategy import OwnStrategy
from federator.runtime.worker.sandbox import isolation

pytestmark = pytest.mark.usefixtures("in_a_run")

HEAD = "from flwr.serverapp.strategy import FedAvg, QFedAvg\n"


@pytest.fixture
def own(tmp_path):
    """Start the process of a strategy's text; return the strategy as the server knows it."""
    started = []
    app = tmp_path / "app"
    app.mkdir()

    def start(text, parameters=None, folders=None, env=None):
        (app / "aggregation.py").write_text(text)
        command = [sys.executable, "-P", "-m", "federator.runtime", "strategy"]
        command += ["--app", str(app), "--socket", str(tmp_path / "socket")]
        if folders is not None:
            command = isolation.command(folders, command)
        started.append(subprocess.Popen(command, env=env))
        strategy = OwnStrategy(tmp_path / "socket", parameters or {}, app / "aggregation.py", None)
        strategy.process = started[-1]
        return strategy

    yield start
    for process in started:
        process.kill()
        process.wait()


WATCHFUL = (
    HEAD
    + """
from federator.runtime.app import parameter

RATE = parameter("RATE", 0.25)

class Watchful(FedAvg):
    def configure_train(self, server_round, arrays, config, grid):
        assert list(arrays) == ["weight", "half"]
        config["rate"] = server_round * RATE
        config["weights"] = [1.0]
        return super().configure_train(server_round, arrays, config, grid)

    def aggregate_evaluate(self, server_round, replies):
        replies = list(replies)
        losses = {reply.content["metrics"]["loss"] for reply in replies}
        assert len(losses) == 1 and len(replies) == 3
        return super().aggregate_evaluate(server_round, replies)

strategy = Watchful()"""
)


def test_it_runs_apart_and_its_rounds_are_those_of_the_server_s_process(own, run):
    strategy = own(WATCHFUL, {"parameters.RATE": 0.5})
    assert strategy.name == "Watchful"
    grid, folder = run(strategy)
    mean = (30 * 30 + 10 * 10 + 20 * 20) / 60
    for number in (1, 2, 3):
        model = folder.load(number).weights.load()
        assert list(model) == list(MODEL)
        np.testing.assert_allclose(model["weight"], number * mean, rtol=1e-5)
        np.testing.assert_allclose(model["mean"], number * mean, rtol=1e-5)
        assert (model["seen"].dtype, model["half"].dtype) == (np.int64, np.float16)
    trained = [order for _, order in grid.told if order.kind == "train"]
    assert [order.settings for order in trained] == [
        {"rate": number / 2} for number in (1, 2, 3) for _ in EXAMPLES
    ]
    found = {event["round"]: event["sites"].keys() for event in events(folder.path, "validation")}
    assert found == dict.fromkeys(range(4), EXAMPLES.keys())
    assert strategy.process.wait(20) == 75
    assert "aggregation" not in sys.modules


def test_what_the_server_has_to_know_of_it_is_told(own):
    strategy = own(
        HEAD + "strategy = QFedAvg(0.1, min_available_nodes=4)\nstrategy.proximal_mu = 0.5"
    )
    assert (strategy.name, strategy.min_available_nodes) == ("QFedAvg", 4)
    assert (strategy.needs_train_loss, strategy.proximal_mu) == (True, 0.5)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("1 / 0", "the notebook's strategy broke down: ZeroDivisionError: division by zero"),
        ("import sys\nsys.exit(3)", "the notebook's strategy broke down: SystemExit: 3"),
        ("strategy = 3", "the notebook's strategy is a int, none of Flower's"),
        ("", "broke down: AttributeError: module 'aggregation' has no attribute 'strategy'"),
        ("import os\nos._exit(3)", "the strategy's process ended without a word"),
        (
            "from flwr.serverapp import strategy as fs\nstrategy = fs."
            "DifferentialPrivacyServerSideFixedClipping(fs.FedAvg(), 0.1, 1.0, 3)",
            "DifferentialPrivacyServerSideFixedClipping is refused: its noise is sized",
        ),
    ],
)
def test_a_strategy_that_cannot_be_made_is_told(own, text, told):
    with pytest.raises(RunError) as error:
        own(text)
    assert told in str(error.value)


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("raise ValueError('no')", "the notebook's strategy broke down: ValueError: no"),
        ("return None", "the notebook's strategy broke down: TypeError"),
        ("import os; os.kill(os.getpid(), 9)", "the strategy's process ended without a word"),
        (
            "arrays, told = super().aggregate_train(server_round, replies); "
            "arrays.pop('half'); return arrays, told",
            "Broken made something else than the model: tensor half is missing",
        ),
    ],
)
def test_a_strategy_that_breaks_down_in_a_round_is_told(own, run, body, told):
    text = f"{HEAD}class Broken(FedAvg):\n    def aggregate_train(self, server_round, replies):\n"
    with pytest.raises(RunError) as error:
        run(own(f"{text}        {body}\nstrategy = Broken()"))
    assert told in str(error.value)


def test_a_silent_strategy_ends_the_run(own, run):
    text = "import time\nclass Silent(FedAvg):\n    def aggregate_train(self, *_):\n"
    with pytest.raises(RunError, match="the strategy has said nothing for 2 s"):
        run(own(f"{HEAD}{text}        time.sleep(60)\nstrategy = Silent()"), round_deadline=2.0)


DESCRIBED = {
    **dict.fromkeys(("min_available_nodes", "min_train_nodes", "min_evaluate_nodes"), 0),
    "name": "Foreign\n",
    "proximal_mu": 0.0,
    "needs_train_loss": False,
}


@pytest.mark.parametrize(
    "said",
    [
        [{}],
        [{"ask": "everything"}],
        [{"ask": "keep", "round": 0, "model": 0}],
        [{"ask": "request", "node": 1, "model": 0, "config": {}}],
        [{"ask": "memory"}, {"ask": "request", "node": 1, "model": 0, "config": 3}],
        [{"ask": "memory"}, {"ask": "request", "node": "1", "model": 0, "config": {}}],
        [{"ask": "memory"}, {"ask": "request", "node": 99, "model": 0, "config": {}},
         {"ask": "train"}],
        [{"ask": "memory"}, {"ask": "keep", "round": 2, "model": 0}],
        [{"ask": "memory"}] * 400,
        [{"ask": "done"}],
    ],
)  # fmt: skip
def test_whatever_its_process_says_costs_the_run_at_most(tmp_path, run, said):
    """A hostile process speaks instead."""
    if (child := os.fork()) == 0:
        channel: Channel = connect(tmp_path / "socket", 20)
        with suppress(Exception):
            channel.receive()
            channel.send(DESCRIBED)
            channel.receive()
            for packet in said:
                channel.send(packet)
            time.sleep(20)
        os._exit(0)
    try:
        strategy = OwnStrategy(tmp_path / "socket", {}, tmp_path / "aggregation.py", None)
        assert strategy.name == "Foreign"
        with pytest.raises(RunError):
            run(strategy)
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
