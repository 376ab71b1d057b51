"""That every benchmark still goes with the library; what they measure is for people to judge."""

import importlib

import pytest

from benchmarks import __main__ as benchmarks


@pytest.mark.parametrize("name", benchmarks.NAMES)
def test_every_benchmark_says_what_it_measures(name, capsys):
    with pytest.raises(SystemExit) as ended:
        importlib.import_module(f"benchmarks.{name}").main(["--help"])
    assert ended.value.code == 0
    assert "usage: python -m benchmarks" in capsys.readouterr().out


def test_what_a_benchmark_prints_is_kept(tmp_path, monkeypatch):
    (tmp_path / "made_up.py").write_text("def main(arguments):\n    print('3 s', *arguments)\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(benchmarks, "MEASURED", tmp_path / "measured")
    monkeypatch.setattr(benchmarks, "NAMES", ["made_up"])
    module = importlib.import_module("made_up")
    monkeypatch.setitem(benchmarks.sys.modules, "benchmarks.made_up", module)
    assert benchmarks.main(["--save", "made_up", "--sites", "3"]) == 0
    kept = (tmp_path / "measured" / "made_up.md").read_text()
    assert "benchmarks --save made_up --sites 3`" in kept and "\n3 s --sites 3\n" in kept
    assert benchmarks.main(["--save=another", "made_up"]) == 0
    assert "--save=another made_up`" in (tmp_path / "measured" / "another.md").read_text()
    assert benchmarks.main(["unknown"]) == 2
