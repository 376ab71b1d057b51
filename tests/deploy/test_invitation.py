"""What a site is sent is one archive without a secret; its fingerprint is told by telephone."""

import re
import tarfile

import pytest
from fakes.images import lay_out, write
from fixtures.command_line import call
from fixtures.paths import ROOT
from fixtures.small_notebook import federate

from federator.deploy import invitation
from federator.errors import InputError
from federator.runtime.files import fingerprint


@pytest.fixture
def federation(tmp_path):
    """A federation whose compose files are written."""
    read = lay_out(tmp_path)
    write(read)
    return read


def unpacked(path):
    with tarfile.open(path) as tar:
        return {one.name: tar.extractfile(one).read() for one in tar}, list(tar)


def test_it_holds_the_files_that_the_site_needs_and_no_other(federation, tmp_path):
    made = invitation.write(federation, "north", tmp_path / "dist")
    found, entries = unpacked(made.path)
    assert found.keys() == {"compose.yaml", ".env", "README.md"}
    assert found["compose.yaml"] == (federation.folder / "north.yaml").read_bytes()
    assert found[".env"] == (federation.folder / "north.env.example").read_bytes()
    assert all((one.uid, one.gid, one.mode) == (0, 0, 0o644) for one in entries)
    page = found["README.md"].decode()
    assert federation.server in page and made.path.name in page
    assert page.startswith("# north in the federation tumours\n")


def test_the_fingerprint_is_printed_and_not_in_the_archive(federation, tmp_path):
    dist = tmp_path / "dist"
    said = call("invite", federation.folder, "north", "--output", dist).stdout
    told = fingerprint((federation.folder / "north.yaml").read_bytes())
    assert f"read this fingerprint to north by telephone: {told}" in said
    assert "send it to north\n" in said
    (archive,) = dist.iterdir()
    assert told.encode() not in archive.read_bytes()


def test_without_a_name_it_is_written_for_each_site(federation, tmp_path):
    dist = tmp_path / "dist"
    said = call("invite", federation.folder, "--output", dist).stdout
    names = [site.name for site in federation.sites]
    assert len(names) > 1 and len(list(dist.iterdir())) == len(names)
    for name in names:
        told = fingerprint((federation.folder / f"{name}.yaml").read_bytes())
        assert f"read this fingerprint to {name} by telephone: {told}" in said


def test_no_key_of_the_server_is_in_it(federation, tmp_path):
    keys = federation.folder / "keys"
    keys.mkdir(exist_ok=True)
    (keys / "coordinator.key").write_text("SECRET-OF-THE-COORDINATOR")
    made = invitation.write(federation, "north", tmp_path / "dist")
    content = made.path.read_bytes()
    assert b"SECRET-OF-THE-COORDINATOR" not in content and b"PRIVATE KEY" not in content


def test_a_second_one_is_the_same_unless_the_files_have_changed(federation, tmp_path):
    first = invitation.write(federation, "north", tmp_path)
    before = first.path.read_bytes()
    again = invitation.write(federation, "north", tmp_path)
    assert first.is_new and not again.is_new and again.path.read_bytes() == before
    with (federation.folder / "north.yaml").open("a") as file:
        file.write("# one line more\n")
    changed = invitation.write(federation, "north", tmp_path)
    assert changed.is_new and changed.fingerprint != first.fingerprint


def test_each_command_of_the_page_is_one_of_the_documents(federation, tmp_path):
    """Those are run with containers."""
    made = invitation.write(federation, "north", tmp_path)
    page = unpacked(made.path)[0]["README.md"].decode()
    documents = (ROOT / "docs" / "site-operator.md").read_text()
    blocks = re.findall(r"^```sh\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    given = [line for block in blocks for line in block.splitlines()]
    assert len(given) == 5
    known = re.findall(r"^```sh\n(.*?)^```$", documents, re.MULTILINE | re.DOTALL)
    told = {line for block in known for line in block.splitlines()}
    inline = set(re.findall(r"`(docker [^`]+)`", documents))
    assert [line for line in given if line not in told | inline] == []


@pytest.mark.parametrize(
    ("site", "message"),
    [
        ("nort", "has no site nort\n    did you mean north"),
        ("north", r"No such file or directory\n    run `federator compose \S+` first"),
    ],
)
def test_what_is_missing_is_told(tmp_path, site, message):
    with pytest.raises(InputError, match=message):
        invitation.write(federate(tmp_path), site, tmp_path / "dist")
    assert not (tmp_path / "dist").exists()
