"""The workflow files and the Dockerfiles, before anything of them runs."""

import re
import shutil
import subprocess
from importlib import metadata

import pytest
from fixtures.hosted import BIN, WORKFLOWS
from fixtures.paths import ROOT
from fixtures.small_notebook import federate
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from ruamel.yaml import YAML

from federator.app.convert import convert
from federator.federation.parts import Build
from federator.images import image_spec

FILES = sorted(WORKFLOWS.glob("*.yml"))
OURS = ("federate.yml", "rounds.yml")
_WRITES = {
    ("federate.yml", "deliver"): {"contents", "pull-requests"},
    ("federate.yml", "images"): {"id-token", "attestations"},
    ("release.yml", "build"): {"id-token", "attestations"},
    ("release.yml", "publish"): {"id-token"},
}


def linted(program, *arguments, folder=ROOT):
    """Run a linter; return what it finds fault with."""
    found = shutil.which(program, path=str(BIN))
    if found is None:
        pytest.skip(f"{program} is missing: it is one of the development requirements")
    done = subprocess.run([found, *arguments], cwd=folder, capture_output=True, text=True)
    return done.stdout + done.stderr if done.returncode else ""


def workflow(name):
    return YAML(typ="safe").load((WORKFLOWS / name).read_text())


def jobs(name):
    return workflow(name)["jobs"]


def test_actionlint_is_content():
    assert linted("actionlint", *map(str, FILES)) == ""


def test_zizmor_is_content_even_where_it_is_pedantic():
    assert linted("zizmor", "--offline", "--persona=pedantic", *map(str, FILES)) == ""


def test_hadolint_is_content_with_what_is_generated(tmp_path):
    federation = federate(
        tmp_path, "images: docker.io/acme\nrequirements: {torch: torch==2.13.0}\n"
    )
    image_spec.write(federation, convert(federation, tmp_path / "build"))
    files = sorted((tmp_path / "build/tumours/images").glob("*/Dockerfile"))
    assert [file.parent.name for file in files] == ["client", "link", "server"]
    assert linted("hadolint", *map(str, files)) == ""


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_an_action_is_a_commit_and_says_which_release(file):
    for line in re.findall(r".*\buses: .*", file.read_text()):
        assert re.search(r"uses: [\w./-]+@[0-9a-f]{40} # v\d+(\.\d+)+$", line), line


@pytest.mark.parametrize(
    ("name", "job", "subject"),
    [("federate.yml", "images", "subject-checksums"), ("release.yml", "build", "subject-path")],
)
def test_what_is_built_is_attested_before_anything_else_gets_it(name, job, subject):
    steps = jobs(name)[job]["steps"]
    used = [step.get("uses", "").partition("@")[0] for step in steps]
    attested = used.index("actions/attest-build-provenance")
    assert subject in steps[attested]["with"]
    assert attested < used.index("actions/upload-artifact")


def test_known_vulnerabilities_are_looked_up_each_week():
    on = workflow("tests.yml").get("on") or workflow("tests.yml")[True]
    assert on["schedule"]
    (audit,) = [
        step["run"] for step in jobs("tests.yml")["vulnerabilities"]["steps"] if "run" in step
    ]
    assert "pip-audit" in audit and "requirements.lock" in audit and "|| true" not in audit
    assert "--requirement constraints.txt" in audit
    *_, look = [step["run"] for step in jobs("tests.yml")["images"]["steps"] if "run" in step]
    assert "debsecan --suite bookworm" in look and Build().base.endswith("-bookworm")


def test_what_the_images_install_is_among_what_is_looked_up(tmp_path):
    """What link and server install, and PyTorch, which each worker does."""
    federation = federate(tmp_path, "images: docker.io/acme\n")
    specs = image_spec.write(federation, convert(federation, tmp_path / "build"))
    installed = {
        line.partition(";")[0].strip()
        for spec in specs
        for name, text in spec.lower.items()
        if name in ("requirements/versions.txt", "requirements/torch.txt")
        for line in text.decode().splitlines()
    }
    looked_up = {
        re.sub("[._-]+", "-", line.partition(" ")[0]).lower()
        for file in ("constraints.txt", "requirements.lock")
        for line in (ROOT / file).read_text().splitlines()
    }
    missing = {one for one in installed if re.sub("[._-]+", "-", one).lower() not in looked_up}
    assert installed and missing == set()


@pytest.mark.parametrize("name", ["federate.yml", "release.yml"])
def test_what_is_installed_where_something_is_written_is_known_by_its_hash(name):
    commands = [
        line.strip()
        for job in jobs(name).values()
        for step in job["steps"]
        for line in step.get("run", "").splitlines()
        if "pip install" in line
    ]
    assert commands
    for command in commands:
        assert "--require-hashes" in command or "--no-deps" in command, command
    assert "--no-isolation" in (WORKFLOWS / "release.yml").read_text(), "else unhashed setuptools"


@pytest.mark.parametrize(
    "name", ["requirements.lock", ".github/release.lock", ".github/audit.lock"]
)
def test_what_is_locked_is_what_is_tested(name):
    tested = dict(
        line.partition(" ")[0].split("==")
        for line in (ROOT / "constraints.txt").read_text().lower().replace("_", "-").splitlines()
        if "==" in line
    )
    locked = (ROOT / name).read_text().splitlines()[2:]
    for line in locked:
        found = re.fullmatch(r"([a-z0-9._-]+)==(\S+) --hash=sha256:[0-9a-f]{64}", line)
        assert found, line
        package = found[1].replace("_", "-")
        assert tested.get(package, found[2]) == found[2], line
    assert len(locked) > 25


def test_all_that_the_command_line_needs_is_locked():
    """Its requirements, theirs, and so on, as they are installed here."""
    names = {
        canonicalize_name(line.partition("==")[0])
        for line in (ROOT / "requirements.lock").read_text().splitlines()[2:]
    }
    seen, todo = set(), [("notebook-federator", frozenset({"author"}))]
    while todo:
        name, extras = todo.pop()
        for text in metadata.requires(name) or ():
            needed = Requirement(text)
            marked = needed.marker is None or any(
                needed.marker.evaluate({"extra": extra}) for extra in (*extras, "")
            )
            one = (canonicalize_name(needed.name), frozenset(needed.extras))
            if marked and one not in seen:
                seen.add(one)
                todo.append(one)
    assert {name for name, _ in seen} <= names


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_no_command_is_made_of_what_somebody_wrote(file):
    for job in jobs(file.name).values():
        for step in job["steps"]:
            assert "${{" not in step.get("run", ""), step


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_a_job_may_do_what_it_names_and_no_more(file):
    assert workflow(file.name)["permissions"] == {}
    for name, job in jobs(file.name).items():
        writes = {what for what, how in job["permissions"].items() if how != "read"}
        assert writes == _WRITES.get((file.name, name), set())


def test_secrets_are_where_they_are_used_alone():
    with_secrets = {
        step["name"]
        for name in OURS
        for job in jobs(name).values()
        for step in job["steps"]
        if "secrets." in str(step)
    }
    assert with_secrets == {"Log in"}
    for name in OURS:
        for job in jobs(name).values():
            assert "secrets." not in str({**job, "steps": []})


def test_a_pull_request_builds_without_pushing():
    (images, deliver) = (jobs("federate.yml")[name] for name in ("images", "deliver"))
    for step in images["steps"][4:]:
        assert step["if"].startswith("github.event_name != 'pull_request'"), step
        assert "||" not in step["if"].partition("(")[0], step
    assert images["steps"][3]["run"] == 'federator build "$FEDERATION"'
    assert "github.event_name != 'pull_request'" in deliver["if"]
    assert "pull_request_target" not in (WORKFLOWS / "federate.yml").read_text()


def test_the_servers_runner_takes_orders_from_one_workflow_behind_its_environment():
    own = {
        (file.name, name): job
        for file in FILES
        for name, job in jobs(file.name).items()
        if "self-hosted" in job["runs-on"]
    }
    assert own.keys() == {("rounds.yml", "rounds")}
    assert own["rounds.yml", "rounds"]["environment"] == "federation"
    # YAML reads the key "on" as true.
    assert list(workflow("rounds.yml").get("on") or workflow("rounds.yml")[True]) == [
        "workflow_dispatch"
    ]


def test_rounds_queue_and_pushes_do_not_disturb_each_other():
    assert workflow("rounds.yml")["concurrency"] == {
        "group": "rounds-${{ inputs.federation }}",
        "cancel-in-progress": False,
    }
    assert "github.run_id" in workflow("federate.yml")["concurrency"]["group"]


def test_a_push_starts_what_its_plan_looks_at():
    """The path filters, which act does not know, name what ``plan`` looks at."""
    on = workflow("federate.yml").get("on") or workflow("federate.yml")[True]
    paths = [
        "notebooks/**",
        "compose/*/federation.yaml",
        "compose/*/sites/**",
        "compose/*/public/**",
        "component_templates/**",
        "requirements.txt",
        "requirements.lock",
    ]
    assert on["push"] == {"branches": ["main"], "paths": paths}
    assert on["pull_request"] == {"paths": paths}


def test_what_the_bot_commits_starts_nothing():
    """Nor would it, if its commits did start workflows: no path filter takes a compose file."""
    on = workflow("federate.yml").get("on") or workflow("federate.yml")[True]
    for file in ("server.yaml", "north.yaml", "nginx.conf", "north.env.example"):
        for pattern in on["push"]["paths"]:
            expression = re.escape(pattern).replace(r"\*\*", ".*").replace(r"\*", "[^/]*")
            assert not re.fullmatch(expression, f"compose/tumours/{file}"), (file, pattern)
