"""Memory limits: enough for what was measured, and settable."""

import pytest
from fakes.images import lay_out

from federator.deploy.memory_limits import memory

GIB = 2**30
# Peaks in bytes of real runs with three sites: model, link, worker, server, SuperLink.
MEASURED = [
    (100_160_544, 822e6, 1049e6, 1297e6, 723e6),
    (324_288_544, 2428e6, 2629e6, 3435e6, 908e6),
]


def in_bytes(text):
    return int(text[:-1]) * {"m": 2**20, "g": GIB}[text[-1]]


@pytest.mark.parametrize(("model", "link", "worker", "server", "superlink"), MEASURED)
def test_what_was_measured_fits(tmp_path, model, link, worker, server, superlink):
    limits = {name: in_bytes(text) for name, text in memory(lay_out(tmp_path), model).items()}
    assert 1.3 * link < limits["link"] < 2.5 * link
    assert 1.3 * worker < limits["worker"] - limits["scratch"] - 2 * GIB
    adam = 3 * model
    assert 2 * adam < limits["scratch"], "the best checkpoint, and the one that takes its place"
    assert 1.3 * server < limits["server"] and 1.3 * superlink < limits["superlink"]


def test_small_models(tmp_path):
    limits = memory(lay_out(tmp_path), 2120)
    assert limits == {
        "link": "768m",
        "worker": "4352m",
        "scratch": "1280m",
        "server": "1280m",
        "strategy": "1280m",
        "superlink": "1280m",
    }


def test_the_federation_file_wins(tmp_path):
    made = lay_out(tmp_path, "limits: {worker: 20g, superlink: 900m}\n")
    limits = memory(made, 2120)
    assert (limits["worker"], limits["superlink"]) == ("20g", "900m")
    assert limits["link"] == "768m"
