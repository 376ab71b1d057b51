"""A site's own key."""

import stat

import pytest

from federator.errors import InputError
from federator.runtime import __main__
from federator.runtime.keys import site_key


def test_a_key_is_made_once_and_its_public_half_printed(tmp_path, capsys, monkeypatch):
    path = tmp_path / "site.key"
    monkeypatch.setenv("FEDERATOR_KEY", str(path))
    monkeypatch.setenv("FEDERATOR_SITE", "north")
    assert __main__.main(["keygen"]) == 0
    first = capsys.readouterr()
    assert first.out.startswith("ecdsa-sha2-nistp384 AAAA")
    assert first.out.endswith(" north\n")
    assert first.out.count("\n") == 1, "what is to be sent stands alone on the standard output"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert "PRIVATE KEY" in path.read_text()
    assert __main__.main(["keygen"]) == 0
    assert capsys.readouterr().out == first.out


@pytest.mark.parametrize("content", ["", "nothing", "ecdsa-sha2-nistp384 AAAA"])
def test_what_is_no_key_is_left_alone(tmp_path, content):
    path = tmp_path / "site.key"
    path.write_text(content)
    with pytest.raises(InputError, match="not a private key"):
        site_key.make(path)
    assert path.read_text() == content


def test_a_folder_that_is_not_there(tmp_path, capsys):
    path = tmp_path / "absent" / "site.key"
    assert __main__.main(["keygen", "--key", str(path)]) == 2
    assert f"{path}: cannot be written" in capsys.readouterr().err
    with pytest.raises(InputError, match="docker compose run --rm join"):
        site_key.read_private(path)


def test_an_unknown_command_is_told_the_known_ones(capsys):
    assert __main__.main(["lnk"]) == 2
    assert "a site's outward half" in capsys.readouterr().err
    assert __main__.main(["--help"]) == 0
    assert "keygen" in capsys.readouterr().out
