"""What of the author's shell a site's worker gets."""

from pathlib import Path

from federator.deploy.local import workers
from federator.federation.parts import Site

NORTH = Site(name="north", data="/srv/north")


def test_no_login_no_cache_and_no_path_to_modules_reach_a_worker():
    shell = {
        "PATH": "/usr/bin",
        "LC_ALL": "de_DE.UTF-8",
        "CUDA_VISIBLE_DEVICES": "1",
        "OMP_NUM_THREADS": "16",
        "MKL_NUM_THREADS": "16",
        "HOME": "/home/ada",
        "HF_TOKEN": "secret",
        "TORCH_HOME": "/home/ada/models",
        "WANDB_API_KEY": "secret",
        "PYTHONPATH": "/home/ada/modules",
        "FEDERATOR_DATA": "/elsewhere",
    }
    got = workers.environment(shell, Path("/tmp/x"), 2, cuda=False)
    assert got == {
        "PATH": "/usr/bin",
        "LC_ALL": "de_DE.UTF-8",
        "CUDA_VISIBLE_DEVICES": "",
        "OMP_NUM_THREADS": "2",
        "MKL_NUM_THREADS": "16",
        "TMPDIR": "/tmp/x",
        "USER": "federator",
        "PYTHONUNBUFFERED": "1",
    }
    assert workers.environment(shell, Path("/tmp/x"), 2, cuda=True)["CUDA_VISIBLE_DEVICES"] == "1"


def test_data_app_and_what_links_lead_to_are_read_only(tmp_path):
    outside = [tmp_path / "absent", Path("/usr")]
    folders = workers.read_only(NORTH, tmp_path, outside)
    assert folders == [Path("/srv/north"), tmp_path, Path("/usr")]
