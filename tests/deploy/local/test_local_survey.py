"""Surveys of whole federations on this machine: real links and workers, faults in the data."""

import re
from pathlib import Path

import numpy as np
from fixtures.rehearsals import events, lay_out
from fixtures.small_notebook import LOAD_DATA, MODEL
from fixtures.surveys import Site, images, table
from typer.testing import CliRunner

from federator.cli import app
from federator.federation import schema
from federator.runtime.control.runs import last_folder
from federator.runtime.server.survey.finding import REMEDIES

SPLIT = LOAD_DATA.replace(
    "    loader =",
    """    ends = 0, 6 * len(labels) // 10, 8 * len(labels) // 10, len(labels)
    whole = TensorDataset(features, labels)
    sets = [torch.utils.data.Subset(whole, range(*ends[k : k + 2])) for k in range(3)]
    loaders = [DataLoader(one, batch_size=32) for one in sets]
    sizes = dict(zip(("trainset", "valset", "testset"), map(len, sets)))
    return *loaders, sizes
    loader =""",
)
OF_IMAGES = MODEL.replace("nn.Linear(4,", "nn.Flatten(), nn.Linear(192,")
OF_TABLES = MODEL.replace("nn.Linear(4,", "nn.Linear(8,")


def write(data: Path, sites: dict[str, Site]) -> dict[str, Path]:
    """Lay out the data folders of sites."""
    for name, site in sites.items():
        (data / name).mkdir(parents=True)
        np.save(data / name / "features.npy", site.inputs)
        np.save(data / name / "labels.npy", site.targets)
    return {name: data / name for name in sites}


def federate(root: Path, sites: dict[str, Site], settings: str, model: str, silent: str = ""):
    """Lay out a federation whose sites have the ordinary minimum; one may tell nothing."""
    made = lay_out(root, write(root / "data", sites), settings, load_data=SPLIT, model=model)
    text = (
        (made.folder / schema.FILE)
        .read_text()
        .replace('"min_cell_count": 1', '"min_cell_count": 5')
    )
    text = text.replace(f'"name": "{silent}"', f'"survey": false, "name": "{silent}"')
    (made.folder / schema.FILE).write_text(text)
    return schema.read(made.folder)


def test_faults_of_tables_are_named_with_site_and_remedy_and_no_round_is_run(tmp_path):
    names = ("east", "north", "west", "swapped", "inches", "benign", "silent")
    sites = {name: table(seed, 300) for seed, name in enumerate(names)}
    sites["swapped"].targets = 1 - sites["swapped"].targets
    sites["inches"].inputs[:, 3] *= 10
    sites["benign"] = table(9, 500)
    kept = sites["benign"].targets == 0
    sites["benign"] = Site(sites["benign"].inputs[kept], sites["benign"].targets[kept])
    sites["copy"] = Site(sites["east"].inputs, sites["east"].targets)
    made = federate(tmp_path, sites, "labels: [benign, malignant]\n", OF_TABLES, "silent")
    result = CliRunner().invoke(app, ["survey", str(made.folder)])
    assert result.exit_code == 1, "something was found"
    (run,) = (tmp_path / "results" / "tumours").iterdir()
    (told,) = events(run, "survey")
    found = {(one["kind"], tuple(one["sites"])): one for one in told["findings"]}
    assert found.keys() == {
        ("labels swapped", ("swapped",)),
        ("unit", ("inches",)),
        ("class missing", ("benign",)),
        ("same data", ("copy", "east")),
    }
    for (kind, _), one in found.items():
        assert one["remedy"] == REMEDIES[kind]
        assert f"    {', '.join(one['sites'])}: {kind}: {one['text']}\n" in result.stdout
    assert "malignant" in found["class missing", ("benign",)]["text"]
    page = (run / "report.html").read_text()
    assert "What the sites told of their data" in page and "labels swapped" in page

    assert told["sites"]["silent"] is None
    assert "survey of the data of 7 sites (silent: nothing told): 4 findings" in result.stdout
    log = (run / "logs" / "silent.link.log").read_text()
    assert "leaves: 0 tensors" in log and "survey" not in log
    assert "survey" not in (run / "logs" / "silent.worker.log").read_text(), "nothing is counted"
    assert "survey {" in (run / "logs" / "east.link.log").read_text(), "what leaves is listed"
    assert not events(run, "round") and not list(run.glob("*.safetensors"))
    (end,) = events(run, "end")
    assert end["state"] == "finished"


def test_faults_of_images_stop_a_run_that_requires_a_survey_before_its_first_round(tmp_path):
    names = ("east", "north", "west", "bytes", "opencv")
    sites = {name: images(seed) for seed, name in enumerate(names)}
    sites["bytes"].inputs *= 255
    sites["opencv"].inputs = sites["opencv"].inputs[:, ::-1].copy()
    made = federate(tmp_path, sites, "survey: required\nmin_sites: 1\n", OF_IMAGES)
    result = CliRunner().invoke(app, ["run", str(made.folder)])
    assert result.exit_code == 1
    assert "stopped before the first round" in result.stderr
    (run,) = (tmp_path / "results" / "tumours").iterdir()
    (told,) = events(run, "survey")
    assert [(one["kind"], one["sites"]) for one in told["findings"]] == [
        ("scale", ["bytes"]),
        ("channel order", ["opencv"]),
    ]
    assert re.search(
        r"bytes: scale: .*0\.\.255 where others have 0\.\.1; let load_data", result.stderr
    )
    assert not events(run, "round")
    assert events(run, "end")[0]["state"] == "failed"


def test_a_clean_federation_trains_as_without_a_survey(tmp_path):
    sites = {name: table(seed, 200) for seed, name in enumerate(("east", "north"))}
    models = []
    for survey in ("true", "false"):
        made = federate(tmp_path / survey, sites, f"survey: {survey}\nrounds: 1\n", OF_TABLES)
        result = CliRunner().invoke(app, ["run", str(made.folder)])
        assert result.exit_code == 0, result.output
        run = last_folder(tmp_path / survey / "results" / "tumours")
        told = events(run, "survey")
        assert [one["findings"] for one in told] == ([[]] if survey == "true" else [])
        models.append((run / "model.safetensors").read_bytes())
    assert models[0] == models[1]
