"""Names of images, read as Docker reads them."""

import pytest

from federator.errors import InputError
from federator.images.reference import Reference

DIGEST = f"sha256:{'ab' * 32}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("alpine", "docker.io/library/alpine:latest"),
        ("acme/link", "docker.io/acme/link:latest"),
        ("docker.io/acme/link:1.2", "docker.io/acme/link:1.2"),
        ("index.docker.io/alpine", "docker.io/library/alpine:latest"),
        ("registry-1.docker.io/acme/link:1", "docker.io/acme/link:1"),
        ("ghcr.io/acme/team/link:v1", "ghcr.io/acme/team/link:v1"),
        ("localhost/link", "localhost/link:latest"),
        ("localhost:5000/link:1", "localhost:5000/link:1"),
        ("127.0.0.1:5000/a/b", "127.0.0.1:5000/a/b:latest"),
        ("[::1]:5000/link:1", "[::1]:5000/link:1"),
        (f"acme/link@{DIGEST}", f"docker.io/acme/link@{DIGEST}"),
        (f"acme/link:1@{DIGEST}", f"docker.io/acme/link:1@{DIGEST}"),
        ("acme/a__b-c.d:Tag_1", "docker.io/acme/a__b-c.d:Tag_1"),
    ],
)
def test_parse(text, expected):
    reference = Reference.parse(text)
    assert str(reference) == expected
    assert Reference.parse(expected) == reference


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Acme/link",
        "acme/link:",
        "acme/link:a b",
        "acme//link",
        "acme/link@sha256:12",
        "a/b@",
        "https://docker.io/acme/link",
        "acme/link/",
        "-acme/link",
        "a:b:c",
        "../link",
        "acme/link:1?x",
    ],
)
def test_not_a_name(text):
    with pytest.raises(InputError, match="does not name an image"):
        Reference.parse(text)


def test_at():
    assert str(Reference.parse("acme/link:1").at(DIGEST)) == f"docker.io/acme/link@{DIGEST}"
