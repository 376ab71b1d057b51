"""What a site is told of its data; of the network: test_network.py."""

import json
import os
import re
import shutil

import pytest
from fixtures.rehearsals import lay_out, lay_out_site
from fixtures.small_notebook import LOAD_DATA, MODEL, TEST

from federator.app.convert import convert
from federator.runtime import __main__
from federator.runtime.doctor import command, data
from federator.runtime.keys import site_key
from federator.runtime.protocol.disclosure import Policy
from federator.runtime.protocol.survey import vet
from federator.runtime.worker.training.throughput import Throughput


def rules(task):
    return Policy(task, survey=True)


def failures(findings):
    return [str(finding) for finding in findings if not finding.passed]


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    root = tmp_path_factory.mktemp("repository")
    federation = lay_out(root, {"north": root / "data"}, "labels: [benign, malignant]\n")
    return convert(federation, root / "build").app


def test_data_that_are_as_they_must_be(tmp_path, app, monkeypatch, capsys):
    monkeypatch.setenv("FEDERATOR_DATA", str(lay_out_site(tmp_path / "data", 1)))
    monkeypatch.setenv("FEDERATOR_APP", str(app))
    monkeypatch.setenv("FEDERATOR_SITE", "north")
    # Outside a container the folder is not mounted read-only; there may be a torch without a GPU.
    assert __main__.main(["doctor"]) == 1
    said = capsys.readouterr().out
    assert "FAIL  the data folder is mounted read-only" in said
    assert "pass  train set: 64 examples (38 benign, 26 malignant)" in said
    for name in ("val set", "test set", "memory", "/tmp", "/dev/shm"):
        assert f"pass  {name}" in said
    assert re.search(r"pass  training set: a batch is read in [\d.]+ m?s; the model takes", said)
    assert "pass  survey: nothing of the data is told before training" in said


def test_where_data_do_not_fit_the_author_s_words_about_them_are_shown(tmp_path, app):
    told = tmp_path / "app"
    shutil.copytree(app, told)
    (told / "data.md").write_text("One file, `data.csv`.\n")
    (tmp_path / "empty").mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "x").touch()
    for name in ("empty", "other"):
        said = "\n".join(failures(data.look(tmp_path / name, told, "north", rules)))
        assert "the notebook describes the data as:\n      | One file, `data.csv`." in said


@pytest.mark.parametrize("user", ["10001:10001", "1000"])
def test_who_reads_the_data_is_a_number(user):
    assert command._data_user(user).passed


@pytest.mark.parametrize("user", ["alice", "alice:10001", "1000:", "1000:staff", "\u0661"])
def test_a_user_s_name_is_told_before_docker_refuses_it(user, monkeypatch, capsys):
    monkeypatch.setenv("FEDERATOR_DATA_USER", user)
    assert __main__.main(["doctor", "--server", "127.0.0.1:1", "--key", "absent"]) == 1
    assert f"FAIL  the worker runs as user {user} (DATA_USER)" in capsys.readouterr().out


def test_data_that_are_not(tmp_path, app):
    absent = failures(data.look(tmp_path / "absent", app, "north", rules))
    assert "absent cannot be read: No such file or directory\n      the worker runs" in absent[0]
    (tmp_path / "empty").mkdir()
    assert "is empty" in failures(data.look(tmp_path / "empty", app, "north", rules))[0]
    broken = lay_out_site(tmp_path / "broken", 1)
    (broken / "labels.npy").unlink()
    broken = failures(data.look(broken, app, "north", rules))[-1]
    assert "FileNotFoundError in task.py, line" in broken
    assert "see the lines above" in broken


def said(path, app):
    """Return what is said of the data, without what is said of the machine."""
    found = [str(finding) for finding in data.look(path, app, "north", rules)]
    return [
        line for line in found if re.search(" (train|val|test) set: |training would|loaded", line)
    ]


def test_a_label_that_is_not_there_is_named_with_what_it_means(tmp_path, app):
    single = lay_out_site(tmp_path / "single", 1, single=True)
    assert said(single, app)[0] == (
        "pass  train set: 64 examples (64 benign, 0 malignant): figures that need an example of "
        "malignant will be missing"
    )


CASES = {
    "dict": (
        "DataLoader([dict(x=x, y=y) for x, y in zip(features, labels)], batch_size=16)",
        "pass  train set: 64 examples (labels cannot be counted)",
    ),
    "names": (
        "DataLoader([(x, 'MRN 1', y) for x, y in zip(features, labels)], batch_size=16)",
        "pass  train set: 64 examples (labels cannot be counted)",
    ),
    "drop_last": (
        "DataLoader(TensorDataset(features, labels), batch_size=60, drop_last=True)",
        "pass  train set: 64 examples (35 benign, 25 malignant)",
    ),
    "sampler": (
        "DataLoader(TensorDataset(features, labels), batch_size=16, sampler="
        "torch.utils.data.WeightedRandomSampler(labels * 1.0 + 1e-9, 32))",
        "pass  train set: 64 examples (0 benign, 32 malignant, as the sampler draws them): "
        "figures that need an example of benign will be missing",
    ),
    "wrong": (
        "DataLoader(TensorDataset(features[:50], labels[:50]), batch_size=16)",
        "FAIL  train set: 64 examples (27 benign, 23 malignant)\n"
        "      the loader gives 50: load_data counts otherwise than it loads",
    ),
}
PREDICT = "def predict(net, loader):\n    return [], []\n"


@pytest.mark.parametrize("case", CASES)
def test_good_data_of_any_form_passes_and_a_wrong_count_does_not(tmp_path, case):
    loader, told = CASES[case]
    changed = LOAD_DATA.replace(
        "DataLoader(TensorDataset(features, labels), batch_size=16)", loader
    )
    assert loader in changed
    site = lay_out_site(tmp_path / "data", 1)
    federation = lay_out(
        tmp_path / "repository",
        {"north": site},
        "labels: [benign, malignant]\n",
        load_data=changed,
        test=PREDICT + "\n" + TEST if case in ("dict", "names") else TEST,
    )
    app = convert(federation, tmp_path / "build").app
    assert said(site, app)[0] == told


def test_a_last_batch_of_one_is_foreseen_where_batchnorm_cannot_train_on_it(tmp_path):
    site = lay_out_site(tmp_path / "data", 1, size=33)
    normed = MODEL.replace("nn.ReLU()", "nn.BatchNorm1d(WIDTH)")
    federation = lay_out(tmp_path / "repository", {"north": site}, model=normed)
    app = convert(federation, tmp_path / "build").app
    assert "FAIL  a round of training would fail at this site" in said(site, app)[-1]
    assert "drop_last=True" in said(site, app)[-1]
    assert len(said(lay_out_site(tmp_path / "more", 1, size=34), app)) == 3


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_named(tmp_path, app):
    folder = lay_out_site(tmp_path / "data", 1)
    (folder / "labels.npy").chmod(0)
    assert "labels.npy cannot be read" in failures(data.look(folder, app, "north", rules))[0]


def test_nothing_to_look_at(capsys):
    assert __main__.main(["doctor"]) == 1
    assert "give --server, --data or both" in capsys.readouterr().err


def shown(capsys, *options):
    """Return what the doctor says that the survey would send, by name."""
    assert command.main(["--show-survey", *options]) == 0
    lines = capsys.readouterr().out.splitlines()
    return {name: json.loads(value) for name, _, value in (line.partition(": ") for line in lines)}


def test_the_doctor_shows_what_the_survey_sends_and_nothing_else(tmp_path, app, capsys):
    site = lay_out_site(tmp_path / "data", 1)
    look = ("--data", str(site), "--app", str(app), "--site", "north", "--survey")
    found = shown(capsys, *look)
    sent = sent_survey(app, site, 5)
    tables = {key.removeprefix("tables "): one for key, one in found.items() if " " in key}
    assert tables == sent.tables
    assert found["shape"] == list(sent.shape)
    assert tables["labels.train"] == [[38, 26]]
    assert all(name in found for name in ("batch", "dtype", "target_dtype", "partial"))
    few = shown(capsys, *look, "--min-cell-count", "30")
    assert "tables labels.train" not in few, "26 are fewer than 30"
    (tmp_path / "policy.yaml").write_text("min_cell_count: 30\n")
    assert shown(capsys, *look, "--policy", str(tmp_path / "policy.yaml")) == few


def sent_survey(app, site, minimum):
    """Return the survey that a site's link lets out when it is asked to join."""
    trainer = data.Trainer(app, data.app_config(app), site, "north")
    outcome, _ = trainer.follow(data.Instruction("join", 0, 0.0, survey=True), None)
    task = data.EvaluationSettings.of(data.app_config(app)).task
    return vet(data.asdict(outcome)["survey"], task, minimum)


@pytest.mark.parametrize("silent", ["setting", "policy"])
def test_a_site_that_takes_part_in_no_survey_is_told_so(tmp_path, app, capsys, silent):
    site = lay_out_site(tmp_path / "data", 1)
    options = ["--data", str(site), "--app", str(app)]
    if silent == "policy":
        (tmp_path / "policy.yaml").write_text("survey: false\n")
        options += ["--survey", "--policy", str(tmp_path / "policy.yaml")]
    assert command.main(["--show-survey", *options]) == 0
    assert capsys.readouterr().out == "This site sends nothing of its data before training.\n"


def test_in_short_it_names_the_kinds_of_tables(tmp_path, app):
    site = lay_out_site(tmp_path / "data", 1)
    (line,) = [str(one) for one in data.look(site, app, "north", rules) if "survey" in one.what]
    assert line.startswith(
        "pass  survey: if the server asks before training, these tables leave: labels (3), "
    )
    assert line.endswith("; `doctor --show-survey` prints all of it")


@pytest.mark.parametrize(
    ("speed", "words"),
    [
        (Throughput(0.0021, 0.05), "a batch is read in 2.1 ms; the model takes 50 ms for it"),
        (Throughput(1.5, None), "a batch is read in 1.5 s"),
        (
            Throughput(0.2, 0.05),
            "a batch is read in 200 ms; the model takes 50 ms for it: training will wait for the "
            "data: the author can give the loader num_workers and keep less work in the dataset; "
            "here, decoded or resized copies on a fast disk help",
        ),
    ],
)
def test_what_training_waits_for_is_said_with_what_to_do(speed, words):
    assert str(data._speed(speed)) == f"pass  training set: {words}"


def test_the_cohort_of_secure_aggregation_is_looked_at(tmp_path, monkeypatch, capsys):
    public = {one: site_key.make(tmp_path / one).public_key() for one in ("east", "north", "west")}

    def said(minimum="3", **changed):
        keys = [site_key.entry(key, one) for one, key in (public | changed).items() if key]
        monkeypatch.setenv("FEDERATOR_COHORT", " ".join(keys))
        monkeypatch.setenv("FEDERATOR_COHORT_MINIMUM", minimum)
        arguments = ["--server", "127.0.0.1:1", "--site", "north", "--key", str(tmp_path / "north")]
        assert command.main(arguments) == 1, "there is no server"
        return next(x for x in capsys.readouterr().out.splitlines() if "secure aggregation" in x)

    assert said().startswith("pass") and "of these: east, north, west" in said()
    assert "FAIL" in said("4") and "too few" in said("4")
    other = site_key.make(tmp_path / "other").public_key()
    assert "the key of north there is not this site's" in said(north=other)
