"""What a run left behind, checked offline: every change is found, with its line."""

import json
import random
import shutil

import pytest
from fakes import proven_run
from fakes.proven_run import COORDINATOR, SITES, ProvenRun, write

from federator.errors import InputError, RunError
from federator.results.verification.public_keys import PublicKeys
from federator.results.verification.verify import handed_over, verify
from federator.runtime.chain import lines
from federator.runtime.keys import site_key
from federator.runtime.protocol.outcomes import Failure
from federator.runtime.server.journal import FILE, Removed, append, now
from federator.runtime.server.proof.manifest import NAME


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    return write(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def short(tmp_path_factory):
    made = ProvenRun(tmp_path_factory.mktemp("short"))
    made.rounds(1, 1)
    return made.end()


@pytest.fixture
def run(written, tmp_path):
    return shutil.copytree(written, tmp_path / written.name)


def found(run, **further):
    return [str(one) for one in verify(run, **further).findings]


def journal(run):
    return (run / FILE).read_bytes().splitlines(keepends=True)


def rewritten(run, change):
    """Change a journal's lines, and compute all hashes anew, as anybody can."""
    said = [json.loads(line) for line in journal(run)]
    (run / FILE).unlink()
    for line in change(said):
        lines.append(run / FILE, {k: v for k, v in line.items() if k != "chain"})


def test_a_run_that_nobody_changed_is_as_it_was(run):
    whole = verify(run)
    assert (whole.findings, whole.notes) == ([], [])
    assert "8 receipts of 2 sites" in whole.conclusion and "as it was written" in whole.conclusion
    assert site_key.fingerprint(SITES["north"].public_key()) in whole.conclusion


CHANGES = ("flip", "drop", "reorder", "truncate")


@pytest.mark.parametrize("part", ["journal", "receipt", "manifest", "checkpoint", "record"])
def test_every_one_of_1_000_random_changes_is_found_with_the_line(short, tmp_path, part):
    """200 of each part: a bit, a line or a byte that is gone, two that are exchanged, an end."""
    run = shutil.copytree(short, tmp_path / short.name)
    if part != "record":
        shutil.rmtree(run / "records")
    places = {
        "journal": FILE, "receipt": FILE, "manifest": NAME,
        "checkpoint": "round-001.safetensors", "record": "records/north/record.jsonl",
    }  # fmt: skip
    path = run / places[part]
    content = path.read_bytes()
    for seed in range(200):
        chance = random.Random(f"{part} {seed}")
        changed, line = _changed(content, chance, part)
        path.write_bytes(changed)
        findings = verify(run).findings
        told = "record of north" if part == "record" else path.name
        first = min((one.line for one in findings if one.file == told), default=None)
        assert findings and first == line, (seed, line, findings)
    path.write_bytes(content)
    assert found(run) == []


def _changed(content, chance, part):
    """Return a file's content with one random change, and the first line that is wrong then."""
    kind, split = chance.choice(CHANGES), content.splitlines(keepends=True)
    if part in ("manifest", "checkpoint"):
        split = [content[at : at + 1] for at in range(len(content))]
    numbers = [k for k, line in enumerate(split) if part != "receipt" or b'"receipt"' in line]
    at = chance.choice(numbers)
    if kind == "flip":
        line = bytearray(split[at])
        line[chance.randrange(max(1, len(line) - 1))] ^= 1 << chance.randrange(8)
        split[at] = bytes(line)
    elif kind == "drop":
        del split[at]
    elif kind == "reorder":
        other = chance.choice([k for k in range(len(split)) if split[k] != split[at]])
        split[at], split[other] = split[other], split[at]
        at = min(at, other)
    else:
        cut = chance.randrange(len(split[at])) if len(split[at]) > 1 else 0
        split[at:] = [split[at][:cut]]
    lineless = part in ("manifest", "checkpoint")
    return b"".join(split), 0 if lineless else at + 1


def test_a_tail_that_was_cut_off_with_the_manifest_is_found_by_a_site_s_record(run):
    for cut in range(1, len(journal(run))):
        (run / FILE).write_bytes(b"".join(journal(run)[:-1]))
        (run / NAME).unlink(missing_ok=True)
        assert found(run), cut
    (run / FILE).write_bytes(b"".join(journal(run)[:1]))
    assert any("by its record, north gave answer 2" in one for one in found(run))


def test_a_tail_that_was_cut_off_with_manifest_and_hashes_is_found_by_the_record_alone(run):
    """With an end written anew: only who has the site's record knows that there was more."""
    rewritten(run, lambda said: [*said[:-5], said[-1]])
    (run / NAME).unlink()
    what = [one for one in found(run) if not one.startswith(NAME)]
    assert what and all("by its record" in one and "gave answer 4" in one for one in what)


def _other_count(said):
    evaluation = next(line for line in said if line["event"] == "validation")
    evaluation["sites"]["north"]["tables"]["confusion"][0][0] += 1
    return said


def _other_loss(said):
    next(line for line in said if line["event"] == "test")["sites"]["south"]["loss"] += 1e-15
    return said


def _other_examples(said):
    next(line for line in said if line["event"] == "round")["sites"]["north"]["examples"] = 230
    return said


def _other_sizes(said):
    next(line for line in said if line["event"] == "site")["examples"]["testset"] = 70
    return said


def _without_a_receipt(said):
    receipt = [line for line in said if line["event"] == "receipt"][2]
    return [line for line in said if line is not receipt]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_other_count, "north has signed no such figures of round 0"),
        (_other_loss, "south has signed no such figures of round 2"),
        (_other_examples, "north has signed no such update in round 1"),
        (_other_sizes, "has signed no such sizes"),
        (_without_a_receipt, "north has signed no such update in round 1"),
    ],
)
def test_figures_that_were_changed_with_all_hashes_are_no_site_s(run, change, words):
    """Whoever has the coordinator's key, too, cannot sign for a site."""
    rewritten(run, change)
    (run / NAME).unlink()
    shutil.rmtree(run / "records")
    assert any(words in one for one in found(run))


def test_who_changes_a_line_before_a_site_was_asked_contradicts_its_receipt(run):
    rewritten(run, lambda said: [{**said[0], "strategy": "FedProx"}, *said[1:]])
    assert any("the journal had a line that it has no more" in one for one in found(run))


def test_a_resumed_run_is_one_chain_whose_manifest_is_the_last(tmp_path):
    made = ProvenRun(tmp_path)
    made.rounds(1, 2)
    made.end()
    made.rounds(3, 3)
    assert any("follows after the manifest was signed" in one for one in found(made.path))
    made.end()
    assert found(made.path) == []


def test_a_run_that_goes_on_has_no_signed_end(tmp_path):
    made = ProvenRun(tmp_path)
    made.rounds(1, 1)
    whole = verify(made.path)
    assert [one.file for one in whole.findings] == [NAME]
    assert "is as it was written so far, without a signed end" in whole.conclusion


def test_an_answer_that_the_server_lost_is_a_note(tmp_path, monkeypatch):
    made = ProvenRun(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(made.recorder, "write_receipts", lambda _: None)
        made.ask("train", 1, answer=Failure("late"))
    made.rounds(1, 1)
    run = made.end()
    whole = verify(run)
    assert whole.findings == [] and "answers 1 to 1 are not in the journal" in whole.notes[0]


def test_keys_that_are_known_otherwise_are_compared(run, tmp_path):
    (tmp_path / "public").mkdir()
    (tmp_path / "sites").mkdir()
    public = proven_run.CoordinatorKey.of(COORDINATOR.public_key()).write()
    (tmp_path / "public" / "coordinator.pub").write_text(public + "\n")
    for name, key in SITES.items():
        (tmp_path / "sites" / f"{name}.pub").write_text(site_key.line(key.public_key()) + "\n")
    whole = verify(run, PublicKeys.read(tmp_path))
    assert whole.findings == [] and "federation's folder" in whole.conclusion
    other = site_key.line(SITES["south"].public_key())
    (tmp_path / "sites" / "north.pub").write_text(other)
    (tmp_path / "public" / "coordinator.pub").write_text("")
    said = found(run, trusted=PublicKeys.read(tmp_path))
    assert any("another key of north" in one for one in said)
    assert any("not the coordinator's" in one for one in said)
    (tmp_path / "sites" / "north.pub").unlink()
    (tmp_path / "sites" / "south.pub").unlink()
    with pytest.raises(InputError, match="no public keys"):
        PublicKeys.read(tmp_path)


def test_a_folder_that_is_no_run_and_a_record_without_its_site_are_errors(tmp_path):
    with pytest.raises(RunError, match="cannot be read"):
        verify(tmp_path)
    with pytest.raises(InputError, match="not SITE=FILE"):
        handed_over(["north.jsonl"])
    assert handed_over(["north=a=b"])["north"].name == "a=b"


def test_checkpoints_that_the_server_removed_are_a_note(run):
    gone = Removed(time=now(), files=["round-001.safetensors"], kept_days=30)
    append(run, gone)
    (run / "round-001.safetensors").unlink()
    whole = verify(run)
    assert whole.findings == [] and "removed were round-001.safetensors" in whole.notes[0]


def test_weights_that_the_manifest_does_not_name_are_told(run):
    (run / "round-003.safetensors").write_bytes(b"more")
    (run / "model.safetensors").unlink()
    assert found(run) == [
        "model.safetensors: is not there: the manifest names it",
        "round-003.safetensors: is not in the manifest",
    ]
