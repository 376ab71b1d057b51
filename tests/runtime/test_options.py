"""Options from the environment, and whom to trust."""

from pathlib import Path

import pytest

from federator.runtime.options import Parser, file, trusted

PEM = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"


@pytest.fixture
def parser(monkeypatch):
    def make(**environment):
        for name, value in environment.items():
            monkeypatch.setenv(f"FEDERATOR_{name}", value)
        made = Parser()
        made.add_argument("--app-hash", required=True)
        made.add_argument("--labels", type=int, default=2)
        made.add_argument("--metrics", nargs="*", default=[])
        made.add_argument("--baselines", action="store_true")
        made.add_argument("old", nargs="?")
        return made

    return make


def test_the_environment_sets_what_is_not_given(parser):
    made = parser(APP_HASH="12ab", LABELS="3", METRICS="dice hd95", BASELINES="true", OLD="x")
    assert vars(made.parse_args([])) == {
        "app_hash": "12ab",
        "labels": 3,
        "metrics": ["dice", "hd95"],
        "baselines": True,
        "old": None,
    }
    assert made.parse_args(["--app-hash", "34cd", "--metrics"]).app_hash == "34cd"
    assert made.parse_args(["--metrics", "f1"]).metrics == ["f1"]


def test_empty_is_not_set(parser, capsys):
    made = parser(APP_HASH="", LABELS="", METRICS="", BASELINES="false")
    with pytest.raises(SystemExit):
        made.parse_args([])
    assert "--app-hash" in capsys.readouterr().err
    options = made.parse_args(["--app-hash", "12ab"])
    assert (options.labels, options.metrics, options.baselines) == (2, [], False)


def test_a_text_is_given_as_a_file_or_itself(tmp_path):
    assert file(str(tmp_path / "ca.crt")) == tmp_path / "ca.crt"
    assert file(PEM).read_text() == PEM


def test_a_site_adds_an_authority_of_its_own(tmp_path):
    theirs, own, none = (tmp_path / name for name in ("theirs", "own", "none"))
    theirs.write_text(PEM)
    own.write_text(PEM.replace("MIIB", "MIIC"))
    none.touch()
    assert trusted(theirs, None) == trusted(theirs, none) == theirs
    assert trusted(None, Path("/dev/null")) is None
    both = trusted(theirs, own).read_text()
    assert "MIIB" in both and "MIIC" in both
    system = trusted(None, own).read_text()
    assert "MIIC" in system and system.count("BEGIN CERTIFICATE") > 1
