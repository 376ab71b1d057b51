"""The server's part of a run, where it does not come as far as a round."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest
from fixtures.rehearsals import events, lay_out
from flwr.app import Context, RecordDict

from federator.app.convert import convert
from federator.errors import RunError
from federator.runtime.app import server_app
from federator.runtime.app_config import app_config
from federator.runtime.server.settings import ENVIRONMENT, ServerSettings
from federator.runtime.weights.format import save

WRONG = """\
from flwr.serverapp.strategy import FedAvg

strategy = FedAvg(fraction=0.5)"""


@pytest.fixture
def ended(tmp_path, monkeypatch):
    """Run a server with a notebook's strategy as far as it comes; return how it ended."""

    def run(text, expected, kind="plain", **settings):
        says = f"strategy: {kind}\n"
        federation = lay_out(tmp_path, {"north": tmp_path}, says, strategy=text)
        app = convert(federation, tmp_path / "build").app
        source_map = str(app.parent / "source-map.json")
        settings = {"strategy": kind, "source_map": source_map, **settings}
        told = ServerSettings("tumours", str(tmp_path), **settings)
        told.write(tmp_path / "server.json")
        monkeypatch.setenv(ENVIRONMENT, str(tmp_path / "server.json"))
        monkeypatch.syspath_prepend(str(app))
        monkeypatch.delitem(sys.modules, "aggregation", raising=False)
        grid = SimpleNamespace(run=SimpleNamespace(fab_id="acme/tumours"))
        with pytest.raises(expected):
            server_app("aggregation")(grid, Context(1, 0, {}, RecordDict(), app_config(app)))
        (end,) = events(tmp_path, "end")
        assert end["state"] == "failed"
        return end["reason"]

    return run


def test_a_strategy_that_cannot_be_made_is_told_with_its_cell(ended):
    reason = ended(WRONG, RunError)
    assert reason.startswith("the notebook's strategy cannot be made: TypeError: ")
    assert "'fraction' (tumour.ipynb: cell 9, line 3)" in reason


OWN = """\
from flwr.serverapp.strategy import FedAvg

class Mine(FedAvg):
    print("this runs")

strategy = Mine()"""


def test_a_strategy_with_code_is_refused_by_a_server_that_expects_a_plain_one(ended, capfd):
    """Such as by `flwr run`, which knows no settings of the server's, so the defaults hold."""
    reason = ended(OWN, RunError, "own", strategy=ServerSettings("tumours", "").strategy)
    assert "code to run at the server: it defines `Mine` (tumour.ipynb: cell 9, line 3)" in reason
    assert "`strategy: own`" in reason
    assert "this runs" not in capfd.readouterr().out
    assert "aggregation" not in sys.modules


def test_without_a_process_of_its_own_no_such_strategy_runs(ended, tmp_path):
    """Such as where somebody else starts the app with the server's settings."""
    reason = ended(OWN, RunError, "own")
    assert reason == "a strategy of the notebook's own runs by `federator run`, or at a server"
    assert events(tmp_path, "start") == []


def test_a_first_model_of_which_the_buffers_are_not_known_is_an_error(ended, tmp_path):
    first = tmp_path / "initial.safetensors"
    save(first, {"a": np.zeros(2, np.float32)})
    plain = "from flwr.serverapp.strategy import FedAvg\n\nstrategy = FedAvg()"
    reason = ended(plain, RunError, initial_weights=str(first))
    assert "initial.buffers.json does not say which tensors" in reason
