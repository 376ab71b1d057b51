"""For tests of strategies."""

import pytest
from fakes.site_grid import SiteGrid, serve
from fixtures.strategy_sites import BUFFERS, EXAMPLES, MODEL, site

from federator.runtime.server.storage.checkpoints import Checkpoint, RunFolder
from federator.runtime.weights.block_file import WeightFile
from federator.runtime.weights.format import save


@pytest.fixture
def run(tmp_path):
    """Run rounds with a strategy; return the grid and the run's folder."""

    def run(strategy, **how):
        save(tmp_path / "first.safetensors", MODEL)
        grid = SiteGrid({name: site(name) for name in EXAMPLES})
        folder = RunFolder(tmp_path / "run")
        server = serve(grid, folder, strategy, BUFFERS, **how)
        server.run(Checkpoint(0, WeightFile(tmp_path / "first.safetensors")))
        return grid, folder

    return run
