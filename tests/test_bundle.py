import pytest
from small_notebook import federate

from federator import bundle
from federator.errors import InputError


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "No such file or directory\n.*the sites are north, south"),
        ("services: {link: {image: 'docker.io/acme/link:1'}}", "without its digest"),
        ("services: {link: {}}", "is no compose file"),
        ("services: [", "is no compose file"),
        ("", "is no compose file"),
    ],
)
def test_a_site_without_a_proper_compose_file(tmp_path, text, message):
    federation = federate(tmp_path)
    if text is not None:
        (federation.folder / "north.yaml").write_text(text)
    with pytest.raises(InputError, match=message):
        bundle.write(federation, "north", tmp_path / "dist")
    assert not (tmp_path / "dist").exists()
