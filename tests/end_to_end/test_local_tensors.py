"""A federation of which some tensors stay at the sites: no byte of them is anywhere else."""

import shutil
from itertools import product

import numpy as np
import pytest
from fixtures.rehearsals import events, in_messages, lay_out, lay_out_site, rehearse
from fixtures.small_notebook import MODEL
from fixtures.stores import copied

from federator.deploy.local.local_run import LocalRun
from federator.errors import InputError
from federator.results import history
from federator.runtime.weights.format import load

NORMED = MODEL.replace("nn.ReLU()", "nn.BatchNorm1d(WIDTH), nn.ReLU()")
LOCAL = 'local: ["layers.1.*", "layers.3.*"]\nselect: best\n'
SHARED = {"layers.0.weight", "layers.0.bias"}
OF_MY_OWN = """\
from flwr.serverapp.strategy import FedAvg

class Careful(FedAvg):
    pass

strategy = Careful()
config = {"num_rounds": 2}"""


def forms(array):
    """Return the bytes of a tensor, as it is and as encodings write it; none of a trivial one."""
    if array.size < 4 or len(np.unique(array)) < 3:
        return []
    return [array.tobytes(), array.astype(np.float16).tobytes()]


def secrets(personal):
    """Return the bytes of every local tensor of every site and round."""
    found = set()
    for path in personal.rglob("*.safetensors"):
        for name, array in load(path).items():
            if name not in SHARED:
                found.update(forms(array))
    return found


@pytest.mark.parametrize(
    ("encoding", "strategy"), [("float32", {}), ("int8", {}), ("float16", {"strategy": OF_MY_OWN})]
)
def test_no_byte_of_what_stays_at_a_site_is_anywhere_else(tmp_path, encoding, strategy):
    sites = {name: lay_out_site(tmp_path / name, n) for n, name in enumerate(("north", "south"))}
    settings = f"{LOCAL}rounds: 2\nencoding: {encoding}\nbaselines: true\n"
    settings += "strategy: own\n" if strategy else ""
    federation = lay_out(tmp_path, sites, settings, model=NORMED, **strategy)
    federation = in_messages(federation, "south")
    run = rehearse(federation)
    with copied(run.folder / ".store", tmp_path / "copies"):
        list(run.events())

    personal = run.folder.parent / "personal"
    wanted = secrets(personal)
    assert len(wanted) > 40, "two sites, two models each, two rounds, several tensors"
    copies = list((tmp_path / "copies").iterdir())
    assert len([path for path in copies if path.name.endswith("-model")]) >= 2
    assert len([path for path in copies if path.name[-5:].endswith(".1")]) >= 2, "updates, too"
    written = [p for p in run.folder.rglob("*") if p.is_file()]
    assert len([path for path in written if path.suffix == ".safetensors"]) >= 4
    assert any(b"layers.0.weight" in path.read_bytes() for path in copies)
    for path in (*copies, *written):
        content = path.read_bytes()
        assert b"layers.1." not in content or path.suffix in (".log", ".html", ".jsonl", ".json")
        for secret in wanted:
            assert secret not in content, path

    for number in range(3):
        assert load(run.folder / f"round-{number:03d}.safetensors").keys() == SHARED
    assert load(run.folder / "model.safetensors").keys() == SHARED
    for site, model in product(sites, ("federation", "own")):
        kept = personal / site / run.folder.name / (site if model == "own" else model)
        whole = load(kept / "model.safetensors")
        assert whole.keys() > SHARED, "the site has the whole model"
    shared = load(run.folder / "model.safetensors")
    for site in sites:
        whole = load(personal / site / run.folder.name / "federation" / "model.safetensors")
        assert all(np.array_equal(whole[name], shared[name]) for name in SHARED)

    done = history.read(run.folder)
    assert done.start.local == ["layers.1.*", "layers.3.*"]
    assert done.tests["federation"].sites.keys() == set(sites)
    assert done.tests["north"].sites.keys() == {"north"}, "it is whole at its own site only"
    assert [e for e in events(run.folder, "site") if e["state"] == "warned"] == []


def test_a_run_that_goes_on_says_where_the_tensors_of_a_site_are_gone(tmp_path):
    sites = {name: lay_out_site(tmp_path / name, n) for n, name in enumerate(("north", "south"))}
    federation = lay_out(tmp_path, sites, LOCAL, model=NORMED)
    run = rehearse(federation, 2)
    list(run.events())
    shutil.rmtree(run.folder.parent / "personal" / "south")
    again = rehearse(federation, 1, resume=True)
    list(again.events())
    assert again.folder == run.folder
    (warned,) = [e for e in events(run.folder, "site") if e["state"] == "warned"]
    assert warned["site"] == "south" and "none of an earlier round" in warned["reason"]


def test_a_pattern_that_names_nothing_is_told_with_its_line(tmp_path):
    sites = {"north": lay_out_site(tmp_path / "north", 1)}
    run = rehearse(lay_out(tmp_path, sites, 'local:\n- "*.bm*"\n', model=NORMED), 1)
    with pytest.raises(InputError) as told:
        list(LocalRun.events(run))
    assert "federation.yaml: line 3: no tensor of the model is called *.bm*; the nearest" in str(
        told.value
    )
