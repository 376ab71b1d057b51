"""What a link with secure aggregation sends, and what it refuses a server that attacks."""

import json
from dataclasses import replace

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from fakes.coordinator import OURS, WEIGHTS, Worker, order, refusal
from fakes.masked_sites import NAMES, RUN_NAME, Sites

from federator.errors import InputError
from federator.runtime.keys.site_key import entry
from federator.runtime.link.secure_aggregation.cohort import Cohort
from federator.runtime.link.secure_aggregation.revealed import Revealed, Sum
from federator.runtime.masking.fixed_point import mean_step
from federator.runtime.masking.masks import Stream, own_mask
from federator.runtime.masking.terms import RunKey, Terms, TermsError, unpacked
from federator.runtime.protocol import messages, replies
from federator.runtime.protocol.instructions import InstructionError
from federator.runtime.protocol.outcomes import Failure
from federator.runtime.protocol.shared_memory import Memory, Update
from federator.runtime.weights.format import describe

pytestmark = pytest.mark.usefixtures("in_a_run")
ALL, OTHERS = NAMES, NAMES[:3]
LATE = NAMES[3]


@pytest.fixture
def sites(tmp_path):
    return Sites(tmp_path)


def _steps(sites, names):
    return {n: sites.workers[n].update["w"].astype(float) - WEIGHTS["w"] for n in names}


def _unmasked(sent, terms, seeds, number=1):
    """Return the sum of masked updates less the masks whose seeds are known."""
    total = sum(sent.values(), np.zeros(4, np.uint32))
    name = terms.name(RUN_NAME, number)
    for seed in seeds.values():
        total -= Stream(own_mask(unpacked(seed), name)).next(4)
    return total


def test_the_sum_of_all_is_known_and_nothing_less(sites):
    terms = sites.terms(ALL)
    sent = {name: sites.train(name, terms) for name in ALL}
    seeds = {name: sites.reveal(name, terms) for name in ALL}
    found = mean_step(_unmasked(sent, terms, seeds), terms.grid)
    mean = np.mean(list(_steps(sites, ALL).values()), axis=0)
    assert np.abs(found - mean).max() <= 2 * terms.grid.quantum
    some = {name: sent[name] for name in OTHERS}
    found = mean_step(_unmasked(some, terms, {n: seeds[n] for n in OTHERS}), terms.grid)
    partial = np.sum(list(_steps(sites, OTHERS).values()), axis=0) / 4
    assert np.abs(found - partial).max() > 0.1, "without one site the masks do not cancel"


def test_a_worker_is_told_nothing_of_masks(sites):
    sites.train("north", sites.terms(ALL))
    told = sites.workers["north"].packet["instruction"]
    assert '"masking": ""' in told and '"encoding": "float32"' in told


def test_a_late_update_of_an_earlier_attempt_is_of_no_use(sites):
    """The attack on pairwise masks alone: all of attempt 1, less the others of attempt 2."""
    first, second = sites.terms(ALL), sites.terms(OTHERS, attempt=2)
    sent = {name: sites.train(name, first) for name in ALL}  # the last one comes late
    again = {name: sites.train(name, second) for name in OTHERS}
    seeds = {name: sites.reveal(name, second) for name in OTHERS}
    grid, late = first.grid, _steps(sites, [LATE])[LATE]
    others = np.sum(list(_steps(sites, OTHERS).values()), axis=0)
    found = mean_step(_unmasked(again, second, seeds), second.grid)
    assert np.abs(3 * found - others).max() < 1e-5, "the second sum is known"
    # Pairwise masks cancel in the first sum; what is left are the own masks of all four.
    guessed = 4 * mean_step(_unmasked(sent, first, {}), grid) - others
    assert np.abs(guessed - late).max() > 0.1
    for name in OTHERS:
        assert "newest attempt" in sites.refusal(name, "reveal", first)
    # The late one, whose newest attempt that is, reveals its own mask: the other three are missing.
    seed = {LATE: sites.reveal(LATE, first)}
    guessed = 4 * mean_step(_unmasked(sent, first, seed), grid) - others
    assert np.abs(guessed - late).max() > 0.1


def test_seeds_of_two_attempts_are_not_revealed(sites):
    first, second = sites.terms(ALL), sites.terms(OTHERS, attempt=2)
    for name in OTHERS:
        sites.train(name, first)
        sites.reveal(name, first)
        assert "with the cohort east, north, south, west" in sites.refusal(name, "train", second)
        assert "newest attempt" in sites.refusal(name, "reveal", second)
    sites.reveal("north", first)  # the same seed again tells nothing new


def test_a_link_that_was_started_again_remembers_what_it_revealed(sites):
    terms = sites.terms(ALL)
    sites.train("north", terms)
    sites.reveal("north", terms)
    for _ in range(2):
        sites.start("north")
        assert "newest attempt" in sites.refusal("north", "reveal", terms), "the seed is gone"
        sites.join("north")
        fewer = sites.terms(OTHERS, attempt=2)
        assert "were revealed with the cohort" in sites.refusal("north", "train", fewer)
    assert len(sites.train("north", sites.terms(ALL, attempt=3))) == 4, "with the same sites it may"


def test_the_same_model_is_not_trained_with_another_cohort_in_another_round_or_run(sites):
    """Two sums that began alike differ by a single site's update."""
    terms = sites.terms(ALL)
    sites.train("north", terms)
    sites.reveal("north", terms)
    refused = sites.refusal("north", "train", sites.terms(OTHERS), round=2)
    assert "of this model were revealed with the cohort" in refused


def test_an_update_leaves_masked_only(sites):
    for fields in ({"encoding": "float32"}, {"encoding": "int8"}, {"masking": ""}):
        refused = sites.refusal("north", "train", sites.terms(ALL), **fields)
        assert "masked only" in refused
    assert "trained alone" in sites.refusal("north", "train", sites.terms(ALL), model="north")
    assert sites.workers["north"].asked == 1, "it has joined"


def test_a_site_without_secure_aggregation_in_its_file_masks_and_reveals_nothing(link, sites):
    masking = sites.terms(ALL).write()
    for kind, fields in (
        ("train", {"encoding": "masked", "masking": masking}),
        ("train", {"masking": masking}),
        ("train", {"encoding": "masked"}),
        ("reveal", {"masking": masking}),
    ):
        failure = refusal(link, order(kind, **fields))[1]
        assert "does not stand in this site's file" in str(failure)


def test_a_replayed_attempt_is_refused(sites):
    """A new signature of the same terms: a seed must not mask two updates."""
    terms = sites.terms(ALL)
    first = sites.train("north", terms)
    assert "was masked before" in sites.refusal("north", "train", terms, epochs=2)
    assert not np.array_equal(first, sites.train("north", sites.terms(ALL, attempt=2)))


def test_a_cohort_smaller_than_the_site_s_own_minimum_is_refused(tmp_path):
    sites = Sites(tmp_path, minimum=4)
    for names in (OTHERS, OTHERS[:2], ["north"]):
        assert "and 4 at least" in sites.refusal("north", "train", sites.terms(names))
    sites = Sites(tmp_path, minimum=1)
    assert "and 3 at least" in sites.refusal("north", "train", sites.terms(["east", "north"]))
    empty = sites.terms(OTHERS)
    cohort = tuple(replace(m, examples=0) if m.site == "east" else m for m in empty.cohort)
    refused = sites.refusal("north", "train", replace(empty, cohort=cohort))
    assert "a sum of 2 sites" in refused, "one without examples adds nothing"


def test_a_swapped_key_is_refused(sites):
    """The server would know the masks that it made with a key of its own."""
    own = X25519PrivateKey.generate().public_key().public_bytes_raw()
    terms = sites.terms(ALL)
    for by, site in ((sites.keys["east"], "west"), (ec.generate_private_key(ec.SECP384R1()), "w")):
        forged = RunKey.signed(own, by, RUN_NAME, site, OURS.app_hash)
        cohort = (*terms.cohort[:3], replace(terms.cohort[3], key=forged))
        refused = sites.refusal("north", "train", replace(terms, cohort=cohort))
        assert "the key of west is not signed with its site key" in refused


def test_a_key_with_which_nothing_can_be_agreed_on_is_refused_before_the_training(sites):
    """Of 32 zero bytes everybody knows the secret (RFC 7748, section 6.1)."""
    forged = RunKey.signed(bytes(32), sites.keys["west"], RUN_NAME, "west", OURS.app_hash)
    terms = sites.terms(ALL)
    cohort = (*terms.cohort[:3], replace(terms.cohort[3], key=forged))
    asked = sites.workers["north"].asked
    refused = sites.refusal("north", "train", replace(terms, cohort=cohort))
    assert "a key of another site is none" in refused
    assert sites.workers["north"].asked == asked
    assert len(sites.train("north", terms)) == 4, "the attempt was not used up"


@pytest.mark.parametrize("key", [[], {}, None, 1])
def test_terms_with_a_key_that_is_no_text_are_refused_in_words(sites, key):
    written = json.loads(sites.terms(ALL).write())
    written["cohort"][0]["key"]["key"] = key
    with pytest.raises(TermsError):
        Terms.read(json.dumps(written))


def test_a_site_that_is_not_in_the_file_is_refused(sites):
    other = ec.generate_private_key(ec.SECP384R1())
    own = X25519PrivateKey.generate().public_key().public_bytes_raw()
    terms = sites.terms(ALL)
    played = replace(
        terms.cohort[3],
        site="xenon",
        key=RunKey.signed(own, other, RUN_NAME, "xenon", OURS.app_hash),
    )
    refused = sites.refusal("north", "train", replace(terms, cohort=(*terms.cohort[:3], played)))
    assert "xenon is not in the cohort of its file" in refused


def test_a_key_of_its_own_that_it_has_not_any_more_is_refused(sites):
    terms = sites.terms(ALL)
    sites.start("north")
    assert "has to join again" in sites.refusal("north", "train", terms)
    sites.join("north")
    assert "has to join again" in sites.refusal("north", "train", terms)
    assert len(sites.train("north", sites.terms(ALL))) == 4


def test_another_cohort_without_this_site_is_refused(sites):
    assert "not in the cohort" in sites.refusal(LATE, "train", sites.terms(OTHERS))


def test_a_grid_on_which_the_sum_could_overflow_is_refused(sites):
    terms = sites.terms(ALL)
    finer = replace(terms, grid=replace(terms.grid, bits=terms.grid.bits + 1))
    assert "could overflow" in sites.refusal("north", "train", finer)


def test_other_numbers_of_examples_than_the_site_s_are_refused(sites):
    """Its share of the sum would be another than what it says."""
    terms = sites.terms(ALL)
    cohort = tuple(replace(m, examples=99) if m.site == "north" else m for m in terms.cohort)
    reply = sites.ask("north", "train", replace(terms, cohort=cohort))
    assert replies.read_failure(reply.error)[1].reason == "sizes"


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_an_update_that_is_not_finite_does_not_leave(sites, bad):
    sites.workers["north"].update["w"][2] = bad
    assert "NaN or infinite" in sites.refusal("north", "train", sites.terms(ALL))


def test_what_was_clipped_is_told(sites):
    sites.workers["north"].update["w"][:2] = 1e6, -1e6
    reply = sites.ask("north", "train", sites.terms(ALL))
    assert reply.content.config_records["site"]["saturated"] == 2


def test_masked_updates_look_the_same_whatever_was_trained(tmp_path):
    """Chi-square of each byte over 256 values, and no correlation with the plain update."""
    count = 2**16

    class Large(Worker):
        def __init__(self, step):
            super().__init__()
            self.step = step

        def send(self, _packet, *memory):
            given = memory[0].weights["w"]
            if len(memory) > 1:
                memory[-1].fill({"w": given + self.step})

    model = {"w": np.zeros(count, np.float32)}
    steps = {
        "east": np.zeros(count, np.float32),
        "north": np.ones(count, np.float32),
        "south": np.random.default_rng(0).normal(0, 1, count).astype(np.float32),
    }
    sites = Sites(tmp_path, names=tuple(steps))
    for name, step in steps.items():
        sites.workers[name] = Large(step)
        sites.links[name].listener = sites.workers[name]
    terms = sites.terms(steps)
    for name, step in steps.items():
        sent = sites.train(name, terms, weights=model)
        for byte in range(4):
            values = (sent >> (8 * byte)) & 255
            seen, expected = np.bincount(values, minlength=256), count / 256
            chi = ((seen - expected) ** 2 / expected).sum()
            assert 150 < chi < 380, (name, byte, chi)  # 255 +- 22.6: beyond 4.6 and 5.5 deviations
        if step.std():
            signed = sent.view(np.int32).astype(float)
            assert abs(np.corrcoef(signed, step)[0, 1]) < 5 / np.sqrt(count)


def test_a_cohort_of_another_form_is_an_error_in_words():
    key = entry(ec.generate_private_key(ec.SECP384R1()).public_key(), "north")
    for texts in (["north"], ["north:AAAA"], [key, key], [key, key.replace("north", "south")]):
        with pytest.raises(InputError, match="no site's key"):
            Cohort.read(texts, 3)


def test_what_cannot_be_noted_is_not_revealed(sites, tmp_path):
    terms = sites.terms(ALL)
    sites.train("north", terms)
    (tmp_path / "north.revealed").mkdir()
    assert "cannot be noted as revealed" in sites.refusal("north", "reveal", terms)


def test_a_note_that_was_cut_off_says_nothing_and_one_that_was_changed_is_an_error(tmp_path):
    file = tmp_path / "north.revealed"
    known = Sum("run", 1, "a" * 64, ("east", "north", "south"))
    Revealed(file).note(known)
    content = file.read_bytes()
    file.write_bytes(content + b'{"run": "r')
    Revealed(file).note(replace(known, round=2, model="b" * 64))
    assert file.read_bytes().startswith(content)
    with pytest.raises(InstructionError, match="of another model"):
        Revealed(file).require_free(replace(known, model="c" * 64))
    file.write_bytes(b"{}\n" + content)
    with pytest.raises(InputError, match="cannot be read"):
        Revealed(file)


def test_messages_of_masked_updates_hold_whole_numbers(sites):
    reply = sites.ask("north", "train", sites.terms(ALL))
    assert messages.weights_in(reply.content)["w"].dtype == np.uint32


def test_without_terms_nothing_leaves(sites):
    """Whatever led there: an update is masked, or it is withheld."""
    memory = Memory.of(WEIGHTS)
    update = Update.place(memory, describe(WEIGHTS), "masked")
    with pytest.raises(Failure, match="weights"):
        sites.links["north"].masks.hidden(update, memory, 3)
