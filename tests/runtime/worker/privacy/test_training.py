"""Training with differential privacy at a site, and what a ``train`` may not do with it."""

import json
from dataclasses import asdict, replace

import numpy as np
import pytest

from federator.runtime.protocol.instructions import Instruction
from federator.runtime.protocol.outcomes import Failure
from federator.runtime.protocol.privacy.spending import Spending

LOOP = "    criterion = nn.CrossEntropyLoss()\n"
CALL = "        net, optimizer, trainloader = privacy(net, optimizer, trainloader)\n"
STEP = "            optimizer.step()\n"
TRAIN = "def train(net, trainloader, valloader, epochs, privacy=None):"
NOT_ITS_OPTIMIZER = CALL.replace("optimizer, trainloader =", "_, trainloader =")
NOT_ITS_LOADER = CALL.replace("optimizer, trainloader =", "optimizer, _ =")


def changes(update, first):
    return np.concatenate([(update[name] - first[name]).ravel() for name in first])


def test_a_site_tells_the_cost_of_an_epoch_as_it_joins_and_that_of_its_training(site, train):
    trainer = site()
    joined, _ = trainer.follow(Instruction("join", 0, 9e9), None)
    assert joined.spending == Spending(12 / 96, 1.1, 8)
    outcome, first, update = train(trainer, epochs=3)
    assert outcome.spending == Spending(12 / 96, 1.1, 24) == joined.spending.times(3)
    assert json.loads(json.dumps(asdict(outcome)))["spending"]["steps"] == 24
    assert np.abs(changes(update, first)).min() > 0


def test_a_site_without_privacy_tells_none(site, train):
    trainer = site(privacy="")
    assert trainer.follow(Instruction("join", 0, 9e9), None)[0].spending is None
    assert train(trainer)[0].spending is None


def test_a_smaller_last_batch_is_a_step_more_unless_it_is_dropped(site):
    trainer = site(("N, BATCH, INPUTS, RATE = 96", "N, BATCH, INPUTS, RATE = 97"))
    joined = trainer.follow(Instruction("join", 0, 9e9), None)[0]
    assert joined.spending == Spending(12 / 97, 1.1, 9)
    trainer = site(
        ("N, BATCH, INPUTS, RATE = 96", "N, BATCH, INPUTS, RATE = 97"),
        ("shuffle=shuffle)", "shuffle=shuffle, drop_last=True)"),
        ('"valset": 4, "testset": 4', '"valset": 0, "testset": 0'),
    )
    assert trainer.follow(Instruction("join", 0, 9e9), None)[0].spending.steps == 8


def test_an_epoch_has_as_many_steps_as_the_federation_file_says(site, train):
    trainer = site(local_steps=11)
    joined = trainer.follow(Instruction("join", 0, 9e9), None)[0]
    assert joined.spending == Spending(12 / 96, 1.1, 11)
    assert train(trainer, epochs=2)[0].spending.steps == 22


def test_two_runs_with_the_same_seed_give_different_noise(site, train):
    trainer = site()
    _, first, one = train(trainer)
    _, _, two = train(trainer)
    assert all((one[name] != two[name]).any() for name in first)


def test_the_model_is_as_before_once_it_was_trained(site, train):
    trainer = site()
    train(trainer)
    for parameter in trainer.model(0).parameters():
        assert not {"grad_sample", "summed_grad", "_forward_counter"} & vars(parameter).keys()
        assert parameter.grad is None
    assert not hasattr(trainer.model(0), "autograd_grad_sample_hooks")
    train(trainer)


@pytest.mark.parametrize(
    ("replaced", "reason", "line"),
    [
        ((CALL, "        pass\n"), "privacy-unused", TRAIN),
        ((CALL, CALL + CALL), "privacy-twice", CALL),
        ((CALL, CALL.replace("net, optimizer, trainloader =", "_ =")), "privacy-weights", TRAIN),
        ((CALL, NOT_ITS_OPTIMIZER), "privacy-weights", TRAIN),
        ((CALL, NOT_ITS_LOADER), "privacy-batch", STEP),
        (
            (CALL, CALL.replace("(net, optimizer, trainloader)", "(net, optimizer, valloader)")),
            "privacy-given",
            "valloader)",
        ),
        (
            (CALL, CALL.replace("(net, optimizer, ", "(Model(), optimizer, ")),
            "privacy-given",
            "(Model(),",
        ),
        ((CALL, CALL.replace("(net, optimizer, ", "(net, None, ")), "privacy-given", "None,"),
        (
            (STEP, STEP + "            net.layers[0].weight.data += 0.01\n"),
            "privacy-weights",
            STEP,
        ),
        (
            (STEP, STEP + "    net.layers[0].weight.data.clamp_(-0.01, 0.01)\n"),
            "privacy-weights",
            TRAIN,
        ),
        (
            (LOOP, LOOP + "    net.layers[0].bias.data.zero_()\n"),
            "privacy-weights",
            STEP,
        ),
        ((STEP, STEP + STEP), "privacy-batch", STEP),
        (("criterion(net(x), y)", "criterion(net(x[1:]), y[1:])"), "privacy-batch", STEP),
        (
            (
                "criterion(net(x), y)",
                "(criterion(net(x), y) + sum(p.square().sum() for p in net.parameters()))",
            ),
            "privacy-loss",
            STEP,
        ),
        (("range(epochs)", "range(epochs + 1)"), "privacy-steps", STEP),
        (
            ("criterion(net(x), y).backward()", "(criterion(net(x), y).backward(), "
             "criterion(net(x), y).backward())"),
            "privacy-batch",
            STEP,
        ),
    ],
)  # fmt: skip
def test_a_train_that_gets_around_it_fails_with_its_line(
    site, train, tmp_path, replaced, reason, line
):
    trainer = site(replaced)
    with pytest.raises(Failure) as failed:
        train(trainer)
    assert failed.value.reason == reason, str(failed.value)
    text = (tmp_path / "app" / "task.py").read_text().splitlines()
    assert failed.value.file == "task.py"
    assert line.strip() in text[failed.value.line - 1]


def test_a_train_that_catches_the_failure_fails_all_the_same(site, train):
    caught = f"            try:\n    {STEP}            except Exception: pass\n"
    trainer = site((STEP, caught), (CALL, NOT_ITS_LOADER))
    with pytest.raises(Failure, match="read the trainloader that privacy returned"):
        train(trainer)


def test_a_train_without_the_parameter_fails(site, train):
    trainer = site(("epochs, privacy=None):", "epochs):"), ("    if privacy:\n" + CALL, ""))
    with pytest.raises(Failure, match="let it take `privacy=None`"):
        train(trainer)


@pytest.mark.parametrize(
    ("replaced", "words"),
    [
        (("nn.ReLU()", "nn.BatchNorm1d(8)"), "BatchNorm1d at layers.1: write nn.GroupNorm"),
        (
            ("nn.ReLU()", "nn.Unflatten(1, (1, 8)), "
             "nn.InstanceNorm1d(1, track_running_stats=True), nn.Flatten()"),
            "InstanceNorm1d at layers.2: write track_running_stats=False",
        ),
        (
            ("self.layers = ", "self.recurrent = nn.GRU(8, 8)\n        self.layers = "),
            "GRU at recurrent: write opacus.layers.DPGRU",
        ),
    ],
)  # fmt: skip
def test_a_model_that_cannot_be_trained_so_is_refused_at_joining(site, replaced, words):
    with pytest.raises(Failure, match=words) as failed:
        site(replaced).follow(Instruction("join", 0, 9e9), None)
    assert failed.value.reason == "privacy-model"


@pytest.mark.parametrize(
    "made",
    [
        "list(DataLoader(TensorDataset(x, y), batch_size=BATCH))",
        "DataLoader(TensorDataset(x, y), batch_size=BATCH, sampler=torch.utils.data."
        "WeightedRandomSampler([1.0] * n, n))",
    ],
)
def test_a_loader_that_cannot_be_sampled_is_refused_at_joining(site, made):
    trainer = site(("DataLoader(TensorDataset(x, y), batch_size=BATCH, shuffle=shuffle)", made))
    with pytest.raises(Failure) as failed:
        trainer.follow(Instruction("join", 0, 9e9), None)
    assert failed.value.reason == "privacy-loader"


def test_delta_above_one_in_n_is_refused_at_joining(site):
    trainer = site(
        ("N, BATCH, INPUTS, RATE = 96", "N, BATCH, INPUTS, RATE = 1001"),
    )
    with pytest.raises(Failure, match="above 1/1001"):
        trainer.follow(Instruction("join", 0, 9e9), None)


PATIENTS = """
def patients_of(dataset):
    return [number // 8 for number in range(len(dataset))]
"""


def test_patients_are_sampled_where_they_are_the_unit(site, train):
    trainer = site(added=PATIENTS, privacy=PRIVACY_OF_PATIENTS)
    joined = trainer.follow(Instruction("join", 0, 9e9), None)[0]
    assert joined.spending == Spending(1.0, 1.1, 1)  # 12 patients, batches of 12
    assert train(trainer, epochs=2)[0].spending == Spending(1.0, 1.1, 2)


PRIVACY_OF_PATIENTS = "epsilon=8.0 delta=0.001 clip=1.0 noise=1.1 unit=patient"


@pytest.mark.parametrize(
    "added",
    [
        "",
        PATIENTS.replace("8 for", "8 for _ in '12' for"),
        "def patients_of(dataset): return 3",
        "def patients_of(dataset): return [[]] * len(dataset)",
    ],
)
def test_patients_that_are_not_told_of_each_record_are_refused(site, added):
    trainer = site(added=added, privacy=PRIVACY_OF_PATIENTS)
    with pytest.raises(Failure) as failed:
        trainer.follow(Instruction("join", 0, 9e9), None)
    assert failed.value.reason == "privacy-patients"


def test_the_site_s_log_says_how_many_records_a_patient_has_where_the_unit_is_a_record(
    site, caplog
):
    caplog.set_level("INFO")
    site(added=PATIENTS).follow(Instruction("join", 0, 9e9), None)
    assert "a patient has up to 8 records: privacy holds for a record" in caplog.text


def test_no_loss_of_the_training_set_and_no_survey_leaves(site, train):
    trainer = site()
    joined = trainer.follow(Instruction("join", 0, 9e9, survey=True), None)[0]
    assert joined.survey is None
    outcome, first, _ = train(trainer, sets=("train", "val"))
    assert set(outcome.evaluations) == {"val"}
    told = Instruction("evaluate", 1, 9e9, sets=("train",))
    assert trainer.follow(told, first)[0].evaluations == {}
    assert set(site(privacy="").follow(told, first)[0].evaluations) == {"train"}


def test_the_proximal_term_is_added_after_the_noise(site, train):
    # 2 / (RATE * BATCH) of pull a step: the weights stay where the last step's noise puts them.
    quiet = PRIVACY_WITH_LITTLE_NOISE
    far = np.linalg.norm(changes(*reversed(train(site(privacy=quiet), epochs=20)[1:])))
    near = train(site(privacy=quiet), epochs=20, proximal_mu=1.5)
    assert np.linalg.norm(changes(near[2], near[1])) < far / 2


PRIVACY_WITH_LITTLE_NOISE = "epsilon=8.0 delta=0.001 clip=1.0 noise=0.3 unit=record"


def test_a_part_that_a_batch_does_without_gets_noise_as_well(site, train):
    trainer = site(("self.layers = ", "self.spare = nn.Linear(3, 3)\n        self.layers = "))
    _, first, update = train(trainer)
    assert (update["spare.weight"] != first["spare.weight"]).all()


def test_a_batch_without_records_makes_a_step_of_noise(site, train, monkeypatch):
    monkeypatch.setattr("federator.runtime.worker.privacy.loader.chosen", lambda *_: [])
    outcome, first, update = train(site(), epochs=2)
    assert outcome.spending.steps == 16
    deviation = changes(update, first).std()
    assert 0.3 < deviation / (0.5 * 1.1 / 12 * 4) < 3  # rate * noise / batch * sqrt(16)


def test_more_steps_of_noise_than_ordered_fail_too(site, train, monkeypatch):
    monkeypatch.setattr("federator.runtime.worker.privacy.loader.chosen", lambda *_: [])
    with pytest.raises(Failure, match="more steps than were ordered"):
        train(site(("range(epochs)", "range(epochs + 1)")))


def test_a_record_whose_gradient_is_not_finite_changes_nothing(site, train):
    trainer = site(("    y = (x.", "    x[0] = float('inf') if n == N else 0\n    y = (x."))
    _, _, update = train(trainer, epochs=3)
    assert all(np.isfinite(one).all() for one in update.values())


def test_loaders_with_processes_of_their_own_are_sampled_too(site, train):
    trainer = site(("shuffle=shuffle)", "shuffle=shuffle, num_workers=2 if n == N else 0)"))
    assert train(trainer)[0].spending.steps == 8


def test_weights_that_are_no_numbers_are_no_change(site, train):
    trainer = site()
    told = Instruction("train", 1, 9e9, epochs=1)
    _, first, _ = train(trainer)
    broken = {name: np.full_like(one, np.nan) for name, one in first.items()}
    outcome, _ = trainer.follow(replace(told, sets=()), broken)
    assert outcome.spending.steps == 8
