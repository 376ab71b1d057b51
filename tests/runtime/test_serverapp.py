"""The server's part of a run, where it does not come as far as a round."""

from types import SimpleNamespace

import pytest
from flwr.app import Context, RecordDict
from rehearsals import events, lay_out

from federator.convert import convert
from federator.runtime.serverapp import server_app
from federator.runtime.settings import ENVIRONMENT, ServerSettings
from federator.runtime.worker import app_config

WRONG = """\
from flwr.serverapp.strategy import FedAvg

strategy = FedAvg(fraction=0.5)"""


def test_a_strategy_that_cannot_be_made_is_told_with_its_cell(tmp_path, monkeypatch):
    federation = lay_out(tmp_path, {"north": tmp_path}, strategy=WRONG)
    app = convert(federation, tmp_path / "build").app
    settings = ServerSettings(
        "tumours", str(tmp_path), source_map=str(app.parent / "source-map.json")
    )
    settings.write(tmp_path / "server.json")
    monkeypatch.setenv(ENVIRONMENT, str(tmp_path / "server.json"))
    monkeypatch.syspath_prepend(str(app))
    grid = SimpleNamespace(run=SimpleNamespace(fab_id="acme/tumours"))
    with pytest.raises(TypeError):
        server_app("aggregation")(grid, Context(1, 0, {}, RecordDict(), app_config(app)))
    (end,) = events(tmp_path, "end")
    assert end["state"] == "failed"
    assert end["reason"].startswith("the notebook's strategy broke down: TypeError: ")
    assert "'fraction' (tumour.ipynb: cell 9, line 3)" in end["reason"]
