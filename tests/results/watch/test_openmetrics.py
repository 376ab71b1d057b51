"""The metrics are OpenMetrics, as prometheus_client reads them, and say what the journal says."""

from datetime import timedelta

from fakes import run_journal
from fakes.run_journal import Writer
from prometheus_client.openmetrics import parser

from federator.results import history
from federator.results.watch import openmetrics
from federator.results.watch.following import Following


def metrics(following: Following) -> dict:
    """The samples, by name and labels, as the parser of prometheus_client reads them."""
    families = parser.text_string_to_metric_families(openmetrics.text(following))
    return {
        (sample.name, *sample.labels.items()): sample.value
        for family in families
        for sample in family.samples
    }


def followed(run, sites: bool = False) -> Following:
    following = Following(run, sites)
    following.look()
    return following


def test_they_say_what_the_journal_says(tmp_path):
    run = run_journal.write(tmp_path / "1", rounds=6, baselines=False, failing=("birch", 3))
    found, journal = metrics(followed(run)), history.read(run)
    last = journal.trained()[-1]
    named = ("federator_run_info", ("federation", "made-up"), ("run", "1"))
    assert found[named] == 1
    assert found["federator_rounds_done",] == found["federator_rounds",] == 6
    assert found["federator_round_duration_seconds",] == last.seconds
    assert found["federator_state", ("federator_state", "finished")] == 1
    assert found["federator_state", ("federator_state", "running")] == 0
    assert found["federator_sites", ("state", "joined")] == 3
    assert found["federator_failures",] == 1
    pooled = journal.curve("federation")[-1].pooled()
    assert found["federator_validation", ("figure", "Loss")] == pooled.loss
    accuracy = journal.figures(pooled)["accuracy"].value
    assert found["federator_validation", ("figure", "Accuracy")] == accuracy
    down = sum(part.bytes_down for one in journal.trained() for part in one.sites.values())
    assert found["federator_traffic_bytes_total", ("direction", "down")] == down


def test_until_when_sites_are_waited_for_and_what_privacy_is_spent(tmp_path):
    write = Writer(tmp_path / "1")
    write(
        "start", run="1", federation='a "b"\\c', first_round=1, last_round=4, strategy="FedAvg",
        sites=["north", "south"], labels=["a", "b"],
    )  # fmt: skip
    for site, spent in {"north": 1.5, "south": 2.5}.items():
        write("privacy", site=site, training=spent, evaluations=0.5, delta=1e-5)
    until = write.time + timedelta(minutes=5)
    write("waiting", sites=["south"], until=until.isoformat(timespec="seconds"))
    found = metrics(followed(tmp_path))
    assert found["federator_waiting_until_timestamp_seconds",] == until.timestamp()
    assert found["federator_sites", ("state", "waited for")] == 1
    assert found["federator_privacy_epsilon",] == 3.0
    assert found["federator_privacy_delta",] == 1e-5
    assert found["federator_run_info", ("federation", 'a "b"\\c'), ("run", "1")] == 1


def test_before_a_run_there_is_its_state_and_no_figure(tmp_path):
    found = metrics(followed(tmp_path))
    assert found["federator_state", ("federator_state", "starting")] == 1
    assert not [name for name, *_ in found if "validation" in name or "privacy" in name]
