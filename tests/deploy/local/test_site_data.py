"""The sites' data folders: what is wrong with them, and whether a rehearsal left them alone."""

import os

import pytest
from fixtures.rehearsals import lay_out, lay_out_site
from typer.testing import CliRunner

from federator.cli import app
from federator.deploy.local import site_data
from federator.errors import FederationFileError, RunError
from federator.federation.parts import Site
from federator.federation.schema import FILE, read


def test_what_is_wrong_with_a_folder_is_told_before_anything_starts(tmp_path):
    sites = {name: tmp_path / name for name in ("good", "absent", "empty", "file")}
    lay_out_site(sites["good"], 1)
    sites["empty"].mkdir()
    sites["file"].touch()
    federation = lay_out(tmp_path, sites)
    result = CliRunner().invoke(app, ["run", str(federation.folder)])
    assert result.exit_code == 2
    assert (
        f"line 2: the data folder of site absent is not there: {sites['absent']}" in result.stderr
    )
    assert f"the data folder of site empty is empty: {sites['empty']}" in result.stderr
    assert f"site file cannot be read (Not a directory): {sites['file']}" in result.stderr
    assert "site good" not in result.stderr
    assert not (tmp_path / "results").exists()


def test_a_site_without_a_folder_cannot_be_rehearsed(tmp_path):
    folder = lay_out(tmp_path, {"north": lay_out_site(tmp_path / "north", 1)}).folder
    text = (folder / FILE).read_text()
    (folder / FILE).write_text(text.replace(f'"data": "{tmp_path / "north"}", ', ""))
    with pytest.raises(FederationFileError, match=r"(?s)north has no data folder.*data: PATH"):
        site_data.require(read(folder))


def test_links_that_lead_out_of_a_folder_are_named(tmp_path):
    data = tmp_path / "data"
    (data / "deep").mkdir(parents=True)
    (data / "inside").symlink_to("deep")
    (data / "deep" / "scan").symlink_to(tmp_path / "elsewhere")
    links = site_data.links_out(data)
    assert links == {data / "deep" / "scan": tmp_path / "elsewhere"}
    told = str(site_data.describe(Site(name="north"), links))
    assert (
        f"site north: links lead out of its data folder: scan (to {tmp_path}/elsewhere)\n" in told
    )


def size_kept(file):
    status = file.stat()
    file.write_text("other")
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))


@pytest.mark.parametrize(
    ("change", "path"),
    [
        (lambda data: (data / "best.pt").touch(), "best.pt"),
        (lambda data: (data / "deep" / "new").mkdir(), "deep/new"),
        (lambda data: (data / "deep" / "image").unlink(), "deep/image"),
        (lambda data: size_kept(data / "deep" / "image"), "deep/image"),
        (lambda data: (data / "deep" / "image").chmod(0o600), "deep/image"),
    ],
)
def test_what_is_written_into_a_folder_is_an_error(tmp_path, change, path):
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "image").write_text("bytes")
    site = Site(name="north", data=str(tmp_path))
    told = f"site north: the notebook's code wrote into the data folder: {path} in {tmp_path}"
    with pytest.raises(RunError, match=told), site_data.left_unchanged([site]):
        change(tmp_path)


def test_what_else_went_wrong_is_told_first(tmp_path):
    told = r"^no model\n.*: best\.pt in "
    site = Site(name="north", data=str(tmp_path))
    with pytest.raises(RunError, match=told), site_data.left_unchanged([site]):
        (tmp_path / "best.pt").touch()
        raise RunError("no model")


def test_a_folder_that_is_only_read_is_no_error(tmp_path):
    (tmp_path / "image").write_text("bytes")
    with site_data.left_unchanged([Site(name="north", data=str(tmp_path))]):
        assert (tmp_path / "image").read_text() == "bytes"
