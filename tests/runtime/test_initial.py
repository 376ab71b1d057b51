"""The first model: written, or only measured."""

from made_up_images import lay_out

from federator.runtime.initial import main
from federator.runtime.weights import load, size


def test_the_size_is_that_of_what_is_written(tmp_path, capsys):
    lay_out(tmp_path)
    app = ["--app", str(tmp_path / "build" / "tumours" / "app")]
    assert main([*app, "--size"]) == 0
    printed = int(capsys.readouterr().out)
    out = tmp_path / "results" / "tumours" / "initial.safetensors"
    assert main([*app, "--out", str(out)]) == 0
    assert size(load(out)[0]) == printed > 0
