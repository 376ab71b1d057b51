"""Compose files on their way into a repository: by real git, with others pushing meanwhile."""

import threading

import pytest
from fixtures.hosted import Repository, git
from fixtures.small_notebook import federate

from federator.common.git import GitError
from federator.errors import InputError
from federator.pipeline.delivery import PREFIX, Committer

HOOK = "#!/bin/sh\nwhile read old new ref; do [ $ref != refs/heads/main ] || {words}; done\n"


@pytest.fixture
def repository(tmp_path):
    """A repository with the federation tumours, and one commit."""
    made = Repository(tmp_path)
    federate(made.work)
    made.push("first")
    return made


def artifact(root, name="tumours", **files):
    """Lay out the artifact of a federation; return the folder of all artifacts."""
    folder = root / "made" / f"{PREFIX}{name}"
    folder.mkdir(parents=True, exist_ok=True)
    for file, text in (files or {"server": "one\n"}).items():
        (folder / f"{file}.yaml").write_text(text)
    return root / "made"


def courier(repository, built=None, propose=None):
    built = built or git(repository.work, "rev-parse", "HEAD")
    clone = repository.clone(repository.root / f"job-{len(list(repository.root.iterdir()))}")
    return Committer(clone, "main", built, propose)


def shown(repository, path, ref="main"):
    return git(repository.origin, "show", f"{ref}:{path}")


def hook(repository, words):
    """Have the remote refuse, or first do something, whenever somebody pushes to main."""
    place = repository.origin / "hooks" / "pre-receive"
    place.write_text(HOOK.replace("{words}", words))
    place.chmod(0o755)


def test_files_are_committed_by_the_bot(repository, tmp_path):
    job = courier(repository)
    made = job.deliver(artifact(tmp_path, server="one\n", north="two\n"))
    assert made.committed == ["tumours"]
    assert shown(repository, "compose/tumours/north.yaml") == "two"
    told = git(repository.origin, "log", "-1", "--format=%an %s%n%b", "main")
    assert told.startswith("github-actions[bot] Compose files of tumours")
    assert job.built in told
    assert git(job.root, "status", "--porcelain") == ""
    assert len(git(job.root, "worktree", "list").splitlines()) == 1


def test_the_same_files_make_no_commit(repository, tmp_path):
    courier(repository).deliver(artifact(tmp_path))
    tip = git(repository.origin, "rev-parse", "main")
    made = courier(repository).deliver(artifact(tmp_path))
    assert (made.committed, made.unchanged) == ([], ["tumours"])
    assert git(repository.origin, "rev-parse", "main") == tip


def test_what_others_pushed_meanwhile_is_kept(repository, tmp_path):
    job = courier(repository)
    (repository.work / "README.md").write_text("theirs")
    repository.push("meanwhile")
    assert job.deliver(artifact(tmp_path)).committed == ["tumours"]
    assert shown(repository, "README.md") == "theirs"
    assert shown(repository, "compose/tumours/server.yaml") == "one"


def test_a_push_between_fetch_and_push_is_no_lost_update(repository, tmp_path):
    """Another clone pushes whenever the bot is about to: the first three times."""
    other = repository.clone(tmp_path / "other")
    script = tmp_path / "race"
    script.write_text(
        f"#!/bin/sh\ncd {other} && unset GIT_DIR GIT_QUARANTINE_PATH GIT_OBJECT_DIRECTORY\n"
        "[ $(ls race-* 2>/dev/null | wc -l) -lt 3 ] || exit 0\n"
        "git pull -q origin main && touch race-$$ && git add -A && "
        "git -c user.name=a -c user.email=a commit -qm race && "
        "git -c core.hooksPath=/nowhere push -q origin HEAD:main\n"
    )
    script.chmod(0o755)
    job = courier(repository)
    (job.root / ".git/hooks/pre-push").write_text(f"#!/bin/sh\nexec {script}\n")
    (job.root / ".git/hooks/pre-push").chmod(0o755)
    assert job.deliver(artifact(tmp_path)).committed == ["tumours"]
    files = git(repository.origin, "ls-tree", "-r", "--name-only", "main").splitlines()
    assert sum(file.startswith("race-") for file in files) == 3
    assert shown(repository, "compose/tumours/server.yaml") == "one"


def test_many_runs_at_once_lose_nothing(repository, tmp_path):
    names = [f"number{i}" for i in range(4)]
    for name in names:
        (repository.work / "compose" / name).mkdir()
        text = (repository.work / "compose/tumours/federation.yaml").read_text()
        (repository.work / "compose" / name / "federation.yaml").write_text(text)
    repository.push("more")
    jobs = [courier(repository) for _ in names]
    made = [artifact(tmp_path / name, name) for name in names]
    threads = [
        threading.Thread(target=job.deliver, args=(one,))
        for job, one in zip(jobs, made, strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {shown(repository, f"compose/{name}/server.yaml") for name in names} == {"one"}


def test_an_older_run_never_undoes_a_newer_one(repository, tmp_path):
    older = courier(repository)
    with (repository.work / "notebooks/tumour.ipynb").open("a") as notebook:
        notebook.write("\n")
    repository.push("newer")
    newer = courier(repository)
    newer.deliver(artifact(tmp_path, server="newer\n"))
    made = older.deliver(artifact(tmp_path, server="older\n"))
    assert (made.committed, made.left_out) == ([], ["tumours"])
    assert shown(repository, "compose/tumours/server.yaml") == "newer"


def test_files_of_a_federation_that_was_removed_are_left(repository, tmp_path):
    job = courier(repository)
    git(repository.work, "rm", "--quiet", "-r", "compose/tumours")
    repository.push("removed")
    assert job.deliver(artifact(tmp_path)).left_out == ["tumours"]


@pytest.mark.parametrize("words", ["echo GH006: Protected branch update failed; exit 1", "exit 1"])
def test_a_protected_branch_gets_a_pull_request(repository, tmp_path, words):
    hook(repository, f"{{ {words}; }}")
    asked = []

    def propose(branch, title):
        asked.append((branch, title))
        return "https://github.example/pull/1"

    tip = git(repository.origin, "rev-parse", "main")
    made = courier(repository, propose=propose).deliver(artifact(tmp_path))
    assert asked == [("federator/tumours", "Compose files of tumours")]
    assert made.proposed == {"tumours": "https://github.example/pull/1"}
    assert git(repository.origin, "rev-parse", "main") == tip
    assert shown(repository, "compose/tumours/server.yaml", "federator/tumours") == "one"
    again = courier(repository, propose=propose).deliver(artifact(tmp_path, server="two\n"))
    assert again.proposed == made.proposed
    assert shown(repository, "compose/tumours/server.yaml", "federator/tumours") == "two"


def test_a_remote_that_is_gone_is_told(repository, tmp_path):
    job = courier(repository)
    repository.origin.rename(tmp_path / "elsewhere")
    with pytest.raises(GitError, match="git fetch failed: fatal"):
        job.deliver(artifact(tmp_path))


@pytest.mark.parametrize("name", ["federation.yaml", "north.pub", "run.sh", "sites/x.yaml"])
def test_nothing_but_compose_files_is_brought_into_the_repository(repository, tmp_path, name):
    made = artifact(tmp_path)
    place = made / "compose-tumours" / name
    place.parent.mkdir(exist_ok=True)
    place.write_text("x")
    with pytest.raises(InputError, match="is no compose file"):
        courier(repository).deliver(made)


def test_links_lead_nowhere(repository, tmp_path):
    outside = tmp_path / "outside"
    outside.write_text("mine")
    (repository.work / "compose/tumours/server.yaml").symlink_to(outside)
    repository.push("a link")
    courier(repository).deliver(artifact(tmp_path))
    assert outside.read_text() == "mine"
    made = artifact(tmp_path)
    (made / "compose-tumours/north.yaml").symlink_to(outside)
    with pytest.raises(InputError, match="is no compose file"):
        courier(repository).deliver(made)
