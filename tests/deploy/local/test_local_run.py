"""Whole federations on this machine: a real SuperLink, real links and workers, real weights."""

import json
import re
import signal
import subprocess
import sys
from contextlib import closing
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from fixtures.rehearsals import PLAIN_TRAIN, events, in_messages, lay_out, lay_out_site, rehearse
from fixtures.small_notebook import LOAD_DATA
from typer.testing import CliRunner

from federator.cli import app
from federator.deploy.local.local_run import LocalRun
from federator.deploy.local.superlink import free_port
from federator.errors import RunError
from federator.runtime.control.runs import last_folder
from federator.runtime.weights.format import load, save

SECRET = "Jane Doe, MRN 4711"

# What a site's folder holds decides what goes wrong there.
FAULTY_LOAD = f"""\
from pathlib import Path

{
    LOAD_DATA.replace(
        "    features =",
        '''    if Path(data_path, "unreadable").exists():
        raise KeyError("Jane Doe, MRN 4711")
    features =''',
        1,
    )
}"""
# Where there is a file "faults", it names another, outside the data, and each call of train goes
# wrong in the way that the next word there says. Each also keeps its model, and plots, as many do.
FAULTY_TRAIN = f"""\
import os

{
    PLAIN_TRAIN.replace(
        "    for _ in",
        '''    torch.save(net.state_dict(), "best.pt")
    Path("lightning_logs/version_0").mkdir(parents=True, exist_ok=True)
    if Path("faults").exists():
        to_come = Path(Path("faults").read_text())
        fault, _, others = to_come.read_text().partition(" ")
        to_come.write_text(others)
        if fault == "writes":
            Path("features.npy").write_bytes(b"")
        if fault == "leaks":
            raise ValueError("Jane Doe, MRN 4711")
        if fault == "grows":
            net.register_buffer("patients", torch.tensor([4711.0]))
        if fault == "dies":
            os.kill(os.getpid(), 9)
    for _ in''',
        1,
    )
}"""


def faults(data: Path, *, to_come: str) -> None:
    """Have the site of a data folder fail in these ways, one for each call of train."""
    state = data.parent / f"{data.name}-to-come"
    state.write_text(to_come)
    (data / "faults").write_text(str(state))


def hashes(folder: Path) -> dict[Path, str]:
    """Return the hashes of all files in a folder."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path: sha256(path.read_bytes()).hexdigest() for path in files}


def running(root: Path) -> list[str]:
    """Return the command lines of processes that have to do with a folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            environment = (process / "environ").read_bytes()
        except OSError:
            continue
        if str(root) in command or str(root).encode() in environment:
            found.append(command)
    return found


def test_a_run_goes_on_without_the_sites_that_fail_until_all_do(tmp_path):
    data = tmp_path / "data"
    sites = {
        "good": lay_out_site(data / "good", 1),
        "onehot": lay_out_site(data / "onehot", 2),
        "unreadable": lay_out_site(data / "unreadable", 3),
        "faulty": lay_out_site(data / "faulty", 4),
    }
    labels = np.load(sites["onehot"] / "labels.npy")
    np.save(sites["onehot"] / "labels.npy", np.eye(2, dtype=np.float32)[labels])
    (sites["unreadable"] / "unreadable").touch()
    faults(sites["faulty"], to_come="leaks grows dies works writes leaks")
    faults(sites["good"], to_come="works works works works works leaks")
    before = {name: hashes(folder) for name, folder in sites.items()}
    federation = lay_out(
        tmp_path,
        sites,
        "min_sites: 1\nrounds: 6\nencoding: int8\n",
        load_data=FAULTY_LOAD,
        train=FAULTY_TRAIN,
    )
    run, seen = rehearse(federation), []
    with pytest.raises(RunError) as ended:
        seen.extend(run.events())

    said = {e["site"]: e for e in events(run.folder, "site") if e["state"] != "restarted"}
    assert {name for name, e in said.items() if e["state"] == "joined"} == {"good", "faulty"}
    assert "are float32 of shape (16, 2), several columns" in said["onehot"]["reason"]
    assert said["unreadable"]["reason"].startswith("KeyError in task.py, line ")
    assert "(tumour.ipynb: cell 4, line 5)" in said["unreadable"]["reason"]

    told = [e["sites"]["faulty"] for e in events(run.folder, "round")]
    assert "ValueError" in told[0]["reason"]
    assert "(tumour.ipynb: cell 7, line 13)" in told[0]["reason"]
    assert "may not leave the site (weights)" in told[1]["reason"]
    assert "the worker ended" in told[2]["reason"]
    assert told[3]["ok"], "a worker that died is started again"
    assert "OSError" in told[4]["reason"], "what is in the data folder cannot be written to"
    assert [e["sites"]["good"]["ok"] for e in events(run.folder, "round")][:5] == [True] * 5
    assert {name: hashes(folder) for name, folder in sites.items()} == before
    assert "round 6: 0 of 2 sites delivered an update, 1 needed" in str(ended.value)
    assert str(ended.value).count("ValueError in task.py, line") == 2, "each site its reason"
    assert "tumour.ipynb: cell 7" in str(ended.value)
    assert events(run.folder, "end")[-1]["state"] == "failed"
    assert any(e.get("state") == "restarted" and e["site"] == "faulty" for e in seen)

    shown = [event for event in seen if event["event"] == "exception"]
    assert [event["text"] for event in shown[:3]] == [
        f"KeyError: '{SECRET}'",
        f"ValueError: {SECRET}",
        "OSError: [Errno 30] Read-only file system: 'features.npy'",
    ], "the data are the author's own; each is shown once"
    assert SECRET in Path(shown[1]["log"]).read_text()
    assert [event["site"] for event in shown[:3]] == ["unreadable", "faulty", "faulty"]

    log = (run.folder / "logs" / "good.worker.log").read_text()
    assert log.count("data loaded") == 1, "the data is loaded once per run"
    assert SECRET in (run.folder / "logs" / "faulty.worker.log").read_text()
    for path in run.folder.rglob("*"):
        if path.is_file() and not path.name.endswith(".worker.log"):
            assert b"Jane" not in path.read_bytes(), f"{path.name} tells what must stay at the site"
    assert not (run.folder / "model.safetensors").exists()
    assert "patients" not in load(run.folder / "round-004.safetensors")
    assert running(tmp_path) == []


OF_MY_OWN = """\
from flwr.serverapp.strategy import FedAvg

class Careful(FedAvg):
    def aggregate_train(self, server_round, replies):
        return super().aggregate_train(server_round, replies)

strategy = Careful(min_train_nodes=1, min_evaluate_nodes=1, min_available_nodes=1)
config = {"num_rounds": 2}"""


def test_ctrl_c_stops_every_process_and_the_run_goes_on_from_its_last_round(tmp_path):
    sites = {"north": lay_out_site(tmp_path / "north", 1, size=60)}
    settings = "rounds: 500\nbaselines: true\nstrategy: own\n"
    federation = lay_out(tmp_path, sites, settings, strategy=OF_MY_OWN)
    federation = in_messages(federation, "north")
    command = [sys.executable, "-c", "from federator.cli import main; main()", "run"]
    process = subprocess.Popen(
        [*command, str(federation.folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    for line in process.stdout:
        if line.startswith("after round   1"):
            break
    assert running(tmp_path)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "--resume" in errors
    assert "Traceback" not in errors
    assert running(tmp_path) == []
    folder = last_folder(tmp_path / "results" / "tumours")
    assert events(folder, "end")[-1]["state"] == "stopped"
    assert (folder / "report.html").exists()

    last = max(int(path.name[6:9]) for path in folder.glob("round-*.safetensors"))
    again = rehearse(federation, 1, resume=True)
    assert again.folder == folder
    list(again.events())
    assert not (folder / ".store").exists()
    trained = [e["round"] for e in events(folder, "round") if e["model"] == "federation"]
    assert trained[-1] == last + 1
    assert events(folder, "start")[1]["first_round"] == last + 1
    assert events(folder, "end")[-1]["state"] == "finished"
    assert {e["model"] for e in events(folder, "test")} == {"federation", "north"}
    counts = events(folder, "test")[0]["sites"]["north"]["tables"]["confusion"]
    assert sum(map(sum, counts)) == 60
    before, after = (load(folder / f"round-{n:03d}.safetensors") for n in (last, last + 1))
    assert any(not np.array_equal(before[name], after[name]) for name in before)


def test_ctrl_c_while_an_event_is_shown_is_in_the_journal_too(tmp_path, monkeypatch):
    begun = {"event": "start", "run": "1"}
    monkeypatch.setattr(LocalRun, "_run", lambda *_: iter([begun]))
    run = rehearse(lay_out(tmp_path, {"north": lay_out_site(tmp_path / "north", 1)}))
    with closing(run.events()) as shown:
        assert next(shown) == begun
    assert [event["state"] for event in events(run.folder, "end")] == ["stopped"]


def test_ctrl_c_while_a_line_is_written_leaves_a_journal_that_can_be_read(tmp_path, monkeypatch):
    run = rehearse(lay_out(tmp_path, {"north": lay_out_site(tmp_path / "north", 1)}))
    joined = {"event": "site", "time": "2026-11-28T10:00:00Z", "site": "north", "state": "joined"}

    def cut_off(*_):
        (run.folder / "rounds.jsonl").write_text(f'{json.dumps(joined)}\n{{"event": "rou')
        yield joined

    monkeypatch.setattr(LocalRun, "_run", cut_off)
    with closing(run.events()) as shown:
        next(shown)
    assert [event["state"] for event in events(run.folder, "end")] == ["stopped"]


def test_a_model_that_cannot_be_built_is_told_before_anything_starts(tmp_path):
    sites = {"north": lay_out_site(tmp_path / "north", 1)}
    model = "class Model(torch.nn.Module):\n    def __init__(self):\n        1 / 0"
    federation = lay_out(tmp_path, sites, model=model)
    result = CliRunner().invoke(app, ["run", str(federation.folder)])
    assert result.exit_code == 1
    told = r"the first model could not be built: ZeroDivisionError in task\.py, line \d+ "
    assert re.search(told + r"\(tumour\.ipynb: cell 6, line 3\)", result.stderr)
    (log,) = tmp_path.glob("results/tumours/*/logs/initial.log")
    assert f"    ZeroDivisionError: division by zero\n    full text: {log}\n" in result.stderr
    page = (log.parent.parent / "rounds.jsonl").read_text()
    assert "cell 6, line 3" in page and "division by zero" not in page


def test_weights_of_another_model_are_a_mistake_in_the_federation_file(tmp_path):
    sites = {"north": lay_out_site(tmp_path / "north", 1)}
    weights = tmp_path / "other.safetensors"
    save(weights, {"layers.0.weight": np.zeros((3, 3), np.float32)})
    federation = lay_out(tmp_path, sites, f"initial_weights: {weights}\n")
    result = CliRunner().invoke(app, ["run", str(federation.folder)])
    assert result.exit_code == 2
    assert "federation.yaml: line 3: tensor layers.0.weight is float32[3, 3], " in result.stderr


def test_a_port_is_none_that_an_outgoing_connection_may_take():
    kernels = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()
    assert 1024 < free_port() < int(kernels[0])


def test_nothing_to_resume_is_said(tmp_path):
    with pytest.raises(RunError, match="without --resume"):
        last_folder(tmp_path)
