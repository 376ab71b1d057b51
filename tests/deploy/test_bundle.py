import pytest
from fixtures.small_notebook import federate

from federator.deploy import bundle
from federator.errors import InputError


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, r"No such file or directory\n    run `federator compose \S+` first"),
        ("services: {link: {image: 'docker.io/acme/link:1'}}", "without its digest"),
        ("services: {worker: {image: tumours-north-worker}}", "run `federator compose` without"),
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


def test_a_site_that_the_federation_does_not_have(tmp_path):
    with pytest.raises(InputError, match="has no site nort\n    did you mean north"):
        bundle.write(federate(tmp_path), "nort", tmp_path / "dist")
