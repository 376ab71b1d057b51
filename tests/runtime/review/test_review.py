"""What a site is shown of a new version of its file."""

import dataclasses
import itertools

import pytest
from fakes.images import IMAGES, image, lay_out, lay_out_cohort, write
from fixtures.small_notebook import TRAIN, cells

from federator.errors import InputError
from federator.runtime.files import fingerprint
from federator.runtime.keys import site_key
from federator.runtime.review.changes import compare
from federator.runtime.review.command import main
from federator.runtime.review.site_file import SiteFile


@pytest.fixture
def approved(tmp_path):
    """The file that the site approved, beside which new ones are written."""
    write(lay_out(tmp_path))
    return tmp_path / "compose" / "tumours" / "north.yaml"


def anew(approved, settings="", content=None, images=IMAGES):
    """The site's file of a federation that has changed."""
    root = approved.parent.parent.parent
    old = approved.read_bytes()
    new = approved.with_name("new.yaml")
    new.write_text(write(lay_out(root, settings, content), images)["north.yaml"])
    approved.write_bytes(old)
    return new


def show(old, new):
    lines = list(compare(SiteFile.read(old) if old else None, SiteFile.read(new)))
    return "\n".join(lines)


def section(shown, title):
    """The lines that changed under a title."""
    lines = shown.partition(f"{title}:")[2].partition("\n\n")[0].splitlines()[1:]
    return [line.strip() for line in lines]


CODE = "Code that runs beside the data"


def test_nothing_changes(approved):
    shown = show(approved, anew(approved))
    assert shown.count("nothing changes") == 4
    assert shown.count(fingerprint(approved.read_bytes())) == 2


def test_only_comments_change(approved):
    new = approved.with_name("new.yaml")
    new.write_text(approved.read_text().replace("# One hospital's part", "# A hospital's part"))
    shown = show(approved, new)
    assert shown.count("nothing changes") == 4 and "comments" in shown
    assert fingerprint(new.read_bytes()) in shown


def test_a_new_image(approved):
    images = dataclasses.replace(IMAGES, client=image("tumours-client", "7"))
    shown = show(approved, anew(approved, images=images))
    assert section(shown, "Images") == [
        f"-services.worker.image: {IMAGES.client}",
        f"+services.worker.image: {images.client}",
        f"-services.check.image: {IMAGES.client}",
        f"+services.check.image: {images.client}",
    ]
    assert shown.count("nothing changes") == 3


def test_new_settings(approved):
    shown = show(approved, anew(approved, "limits: {worker: 9g}\n"))
    assert section(shown, "Settings") == [
        "-services.worker.mem_limit: ${WORKER_MEMORY:-5632m}",
        "+services.worker.mem_limit: ${WORKER_MEMORY:-9g}",
        "-services.check.mem_limit: ${WORKER_MEMORY:-5632m}",
        "+services.check.mem_limit: ${WORKER_MEMORY:-9g}",
    ]


def test_what_is_there_again_by_an_alias_is_shown_once(approved):
    shown = section(show(None, approved), "Settings")
    assert "+services.join.environment: as services.link.environment" in shown
    assert "+services.check.environment: as services.worker.environment" in shown
    assert not [line for line in shown if line.startswith("+services.join.environment.")]
    new = approved.with_name("new.yaml")
    other = "environment: {FEDERATOR_SERVER: 'evil.example:443'}"
    new.write_text(approved.read_text().replace("environment: *link", other))
    assert section(show(approved, new), "Settings") == [
        "-services.join.environment: as services.link.environment",
        "+services.join.environment.FEDERATOR_SERVER: evil.example:443",
    ]


def test_an_item_of_a_list(approved):
    new = approved.with_name("new.yaml")
    text = approved.read_text()
    new.write_text(
        text.replace("- handover:/handover\n", "- handover:/handover\n      - /:/host\n")
    )
    assert section(show(approved, new), "Settings") == [
        "+services.link.volumes: - /:/host",
        "+services.worker.volumes: - /:/host",
        "+services.join.volumes: - /:/host",
    ]


def test_new_code(approved):
    content = cells(train=TRAIN.replace("zero_grad()", "zero_grad(); print('$HOME')"))
    new = anew(approved, content=content)
    shown = show(approved, new)
    lines = section(shown, CODE)
    assert lines[:2] == ["--- task.py\tbefore", "+++ task.py\tafter"]
    assert "+            optimizer.zero_grad(); print('$HOME')" in shown
    hashes = [line for line in section(shown, "Settings") if "FEDERATOR_APP_HASH" in line]
    assert len(hashes) == len(section(shown, "Settings")) == 4
    assert list(SiteFile.read(new).problems) == []


def test_a_first_version_is_shown_whole(approved, capsys):
    assert main([str(approved)]) == 0
    shown = capsys.readouterr().out
    assert f"+services.link.image: {IMAGES.link}" in shown
    assert "+def load_data(data_path):" in shown


def test_code_that_is_not_the_app_of_the_hash(approved, capsys):
    new = approved.with_name("new.yaml")
    new.write_text(approved.read_text().replace("zero_grad()", "zero_grad(None)"))
    assert main([str(approved), str(new)]) == 1
    assert "not the app whose hash it names" in capsys.readouterr().err
    new.write_text(approved.read_text().partition("x-app:")[0])
    assert main([str(approved), str(new)]) == 1
    assert "does not show the code" in capsys.readouterr().err


def test_the_same_file_is_told_as_that(approved, capsys):
    new = approved.with_name("new.yaml")
    new.write_bytes(approved.read_bytes())
    assert main([str(approved), str(new)]) == 0
    said = capsys.readouterr().out
    assert "new.yaml is the same file, to the letter" in said
    assert "Compare its fingerprint" not in said
    new.write_text(approved.read_text() + "# more\n")
    assert main([str(approved), str(new)]) == 0
    assert "Compare its fingerprint" in capsys.readouterr().out


def test_one_service_with_another_hash(approved):
    text = approved.read_text()
    found = text.partition("FEDERATOR_APP_HASH: ")[2].split()[0]
    new = approved.with_name("new.yaml")
    new.write_text(text.replace(found, "0" * 64, 1))
    assert list(SiteFile.read(new).problems)


def test_what_would_fool_a_terminal_is_spelled_out(approved, capsys):
    new = approved.with_name("new.yaml")
    trick = 'name: "a\\e[2K\\u202eb"\n'
    new.write_text(approved.read_text().replace("name: tumours-north\n", trick))
    main([str(approved), str(new)])
    shown = capsys.readouterr().out
    assert "+name: a\\x1b[2K\\u202eb" in shown


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "No such file.*compose.yaml"),
        (b"services: [", "not YAML"),
        (b"\x00", "not YAML"),
        (b"", "not a compose file"),
        (b"hello\n", "not a compose file"),
        (b"name: a\n---\nname: b\n", "not YAML"),
        (b"services: {}\nx-app: {../../etc/passwd.py: ''}\n", "x-app"),
        (b"services: {}\nx-app: [a]\n", "x-app"),
    ],
)
def test_what_is_no_site_file(tmp_path, content, message):
    path = tmp_path / "new.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=f"(?s)new.yaml.*{message}"):
        SiteFile.read(path)


@pytest.mark.parametrize(
    "text",
    [
        "services: " + "[" * 5000,
        "services: " + "[" * 5000 + "]" * 5000,
        "a: &a [x, x]\n"
        + "".join(
            f"{n}: &{n} [*{p}, *{p}]\n" for p, n in itertools.pairwise("abcdefghijklmnopqrstuvwxyz")
        )
        + "services: *z\n",
        "services: &a [*a]\n",
        "services: [" + "a," * 20_000 + "]\n",
        "services: " + "a" * 2**20,
        "services: \0",
    ],
    ids=lambda text: text[:30],
)
def test_a_file_that_is_made_to_be_large_or_deep_is_refused_in_words(text):
    with pytest.raises(InputError, match=r"compose file|not YAML"):
        SiteFile.parse("new.yaml", text.encode())


def test_whose_updates_are_summed_is_shown_with_the_keys_fingerprints(tmp_path, capsys):
    made = lay_out_cohort(tmp_path)
    write(made)
    file = made.folder / "north.yaml"
    told = section(show(None, file), "Secure aggregation")
    assert "the sum of the updates of 3 sites or more" in told[0]
    for name in ("north", "south", "west"):
        key = site_key.read_public(made.folder / "sites" / f"{name}.pub")
        assert f"+{name}: key {site_key.fingerprint(key)}" in told
    old = file.rename(file.with_name("old.yaml"))
    (made.folder / "sites" / "west.pub").write_text(
        site_key.line(site_key.make(tmp_path / "other.key").public_key(), "west")
    )
    write(made)
    changed = section(show(old, file), "Secure aggregation")
    assert [line[:6] for line in changed] == ["-west:", "+west:"]
    assert main([str(file)]) == 0
    file.write_text(file.read_text().replace("west:AAAA", "west:AAAB"))
    assert main([str(file)]) == 1
    assert "names a site of the cohort without its key" in capsys.readouterr().err


def test_without_secure_aggregation_that_is_shown(approved):
    told = section(show(None, approved), "Secure aggregation")
    assert told == ["+none: the server learns each site's update"]
