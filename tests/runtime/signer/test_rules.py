"""What a server that was taken over, or an author's strategy, can have signed, and what not."""

import time
from dataclasses import replace

import numpy as np
import pytest
from fakes.signer import InProcess, ask, evaluate, rounds, train

from federator.errors import RunError
from federator.runtime.chain.signatures import as_text
from federator.runtime.keys.coordinator_key import CoordinatorKey
from federator.runtime.masking.fixed_point import Grid
from federator.runtime.masking.masks import new_seed
from federator.runtime.masking.terms import Member, RunKey, Terms
from federator.runtime.protocol.instructions import FEDERATION, PERSONAL, verify
from federator.runtime.protocol.signing.orders import OrderError, RoundsOrder
from federator.runtime.protocol.signing.requests import is_manifest_signed
from federator.runtime.signer.ledger import Ledger
from federator.runtime.weights.parts import Part, PartsManifest


def is_signed(signer, request):
    try:
        (signature,) = signer.sign([request])
    except RunError:
        return False
    known = [CoordinatorKey.of(signer.key.public_key())]
    verify(known, signature, request.text, request.run_id, request.node, request.digest)
    return True


@pytest.fixture
def signer(tmp_path):
    return InProcess(tmp_path / "ledger", rounds())


def test_chosen_models_are_evaluated_no_more_often_than_the_order_has_rounds(signer):
    """The attack that read a patient's values by 451 evaluations of chosen weights."""
    rng, signed = np.random.default_rng(0), 0
    for _ in range(2_000):
        kind, number = rng.choice(["train", "evaluate"]), int(rng.integers(0, 6))
        sets = tuple(rng.permutation(["train", "val", "test"])[: rng.integers(1, 4)])
        model = rng.choice([FEDERATION, PERSONAL, "north", "elsewhere"])
        chosen = bytes(rng.bytes(4)).hex()
        request = ask(str(kind), number, model=str(model), sets=tuple(map(str, sets)))
        signed += is_signed(signer, replace(request, arrays=chosen * 8))
    for number in range(1, 4):
        signed += is_signed(signer, train(number, weights="b"))
    signed += is_signed(signer, evaluate(3, "val", weights="b"))
    signed += is_signed(signer, evaluate(3, "test", weights="b"))
    assert signed <= 3 + 4 + 1, "trainings, models on the validation set, and on the test set"


def test_a_question_is_signed_for_one_model_alone(signer):
    assert is_signed(signer, train(1))
    assert not is_signed(signer, train(1, weights="b"))
    assert not is_signed(signer, evaluate(0, weights="b")), "the training had evaluated that round"
    assert is_signed(signer, train(1, weights="b", node=43)), "another site"
    assert is_signed(signer, train(2, weights="b"))
    assert not is_signed(signer, train(1, sets=(), settings={"rate": 0.5}))
    assert not is_signed(signer, train(1, sets=(), proximal_mu=0.5))


def test_the_same_question_is_signed_again_but_not_for_ever(signer):
    assert [is_signed(signer, train(1)) for _ in range(20)] == [True] * 10 + [False] * 10


@pytest.mark.parametrize(
    "request_of",
    [
        lambda: train(0),
        lambda: train(4),
        lambda: train(1, epochs=2),
        lambda: train(1, run="another"),
        lambda: train(1, seed=1),
        lambda: train(1, hours=2),
        lambda: train(1, encoding="int8"),
        lambda: train(1, weights=""),
        lambda: train(1, sets=("train",)),
        lambda: train(1, sets=("test",)),
        lambda: train(1, survey=True),
        lambda: train(1, model="north"),
        lambda: train(1, model=PERSONAL, weights=""),
        lambda: evaluate(4),
        lambda: evaluate(1, "train"),
        lambda: evaluate(1, "val", "val"),
        lambda: evaluate(1, epochs=1),
        lambda: evaluate(1, model="north"),
        lambda: evaluate(1, model=PERSONAL, weights=""),
        lambda: evaluate(0, "test"),
        lambda: ask("join", 0),
        lambda: ask("join", 0, weights="", sets=("val",)),
        lambda: ask("join", 0, weights="", epochs=1),
        lambda: replace(train(1), files="[]"),
        lambda: replace(train(1), arrays="", files="[]"),
        lambda: replace(train(1), text="{}"),
        lambda: replace(train(1), text="no instruction"),
        lambda: replace(train(1), text=train(1).text.replace(", ", ",")),
        lambda: replace(train(1), text=train(1).text[:-1] + ', "round": 1}'),
    ],
    ids=range(29),
)
def test_what_is_not_ordered_is_not_signed(signer, request_of):
    assert not is_signed(signer, request_of())
    assert signer.signed == []


def test_sites_join_as_often_as_they_come(signer):
    join = ask("join", 0, weights="", survey=True)
    assert all(is_signed(signer, join) for _ in range(50))


def test_a_survey_that_is_not_wanted_is_not_signed(tmp_path):
    signer = InProcess(tmp_path, rounds(survey="no"))
    assert is_signed(signer, ask("join", 0, weights=""))
    assert not is_signed(signer, ask("join", 0, weights="", survey=True))


def test_an_order_of_a_survey_lets_sites_join_and_nothing_else(tmp_path):
    signer = InProcess(tmp_path, rounds(1, 0, survey="only"))
    assert is_signed(signer, ask("join", 0, weights="", survey=True))
    assert not is_signed(signer, train(1)) and not is_signed(signer, evaluate(0))
    assert not is_signed(signer, evaluate(0, "test"))


def test_test_sets_are_evaluated_at_the_end_and_once(signer):
    for number in (1, 2):
        assert is_signed(signer, train(number))
        assert not is_signed(signer, evaluate(number, "test"))
    assert is_signed(signer, train(3))
    assert is_signed(signer, evaluate(2, "test", weights="c")), "the round that was chosen"
    assert not is_signed(signer, evaluate(3, "test", weights="c"))
    assert not is_signed(signer, evaluate(2, "test", weights="d"))
    assert is_signed(signer, evaluate(2, "test", weights="c", node=43))
    assert not is_signed(signer, train(3)), "what the test sets told changes no model"
    assert not is_signed(signer, train(3, node=44))


def test_baselines_are_a_site_s_own_and_compared_at_the_end(tmp_path):
    signer = InProcess(tmp_path, rounds(baselines=True))
    for number in (1, 2, 3):
        assert is_signed(signer, train(number, model="north"))
        assert not is_signed(signer, evaluate(number, "test", model="north"))
    assert not is_signed(signer, train(1, model="elsewhere")), "no site of the federation"
    assert not is_signed(signer, evaluate(1, "val", model="north", weights="c"))
    assert is_signed(signer, train(3))
    assert is_signed(signer, evaluate(3, "val", "test", model="north"))
    tests = [evaluate(3, "test", model="north", weights=one) for one in "bcd"]
    assert [is_signed(signer, one) for one in tests] == [True, False, False], "trained anew, once"


def test_a_model_is_the_same_whatever_its_place(signer):
    """The capability differs each time that a model is published; its parts do not."""

    def files(place, part):
        return PartsManifest(place * 32, (Part(8, part * 64),), "c" * 32).write()

    asked = replace(train(1), arrays="", files=files("a", "1"))
    assert is_signed(signer, asked)
    assert is_signed(signer, replace(asked, files=files("b", "1")))
    assert not is_signed(signer, replace(asked, files=files("a", "2")))


def test_with_an_encoding_a_model_is_validated_as_it_travels_and_exactly(tmp_path):
    signer = InProcess(tmp_path, rounds(encoding="bfloat16"))
    asked = [evaluate(2, weights=one) for one in "abc"]
    assert [is_signed(signer, one) for one in asked] == [True, True, False]
    assert is_signed(signer, train(3, weights="a", encoding="bfloat16"))
    tests = [evaluate(3, "test", weights=one) for one in "ab"]
    assert [is_signed(signer, one) for one in tests] == [True, False]


def test_a_strategy_chooses_how_sites_train(tmp_path):
    signer = InProcess(tmp_path, rounds(epochs=5))
    assert is_signed(signer, train(1, epochs=2, settings={"rate": 0.5}, proximal_mu=0.1))
    assert not is_signed(signer, train(2, epochs=6))


def test_a_server_can_close_its_order_and_no_other(signer):
    def close(number):
        told = {"what": "close", "number": number, "state": "failed"}
        return signer.service.answer(told, signer.service.for_server)

    assert close(2) == {} and is_signed(signer, train(1))
    assert close(1) == {} and not is_signed(signer, train(2))


def test_of_several_instructions_all_are_signed_or_none(signer):
    with pytest.raises(RunError, match=r"round 4 is not one of the order's \(order 1: rounds 1 "):
        signer.sign([train(1), train(4)])
    assert is_signed(signer, train(1, weights="b")), "the first one was not noted either"
    with pytest.raises(RunError, match="node 42 was asked this of another model"):
        signer.sign([train(2), train(2, weights="b")])


def test_nothing_is_signed_without_an_order_or_after_its_end(tmp_path):
    signer = InProcess(tmp_path)
    assert not is_signed(signer, train(1))
    signer.service.give(rounds())
    assert is_signed(signer, train(1))
    signer.service._ledger.close(1, "finished")
    assert not is_signed(signer, train(2)) and not is_signed(signer, ask("join", 0, weights=""))
    assert not is_signed(InProcess(tmp_path), train(2)), "nor by one that was started again"


def test_nothing_is_signed_once_an_order_has_lapsed(tmp_path, monkeypatch):
    signer = InProcess(tmp_path, rounds())
    later = time.time() + 7200
    monkeypatch.setattr(time, "time", lambda: later)
    assert not is_signed(signer, train(1))
    assert Ledger(tmp_path).open is None


def test_a_signer_that_is_started_again_remembers_what_it_signed(tmp_path):
    signer = InProcess(tmp_path, rounds())
    assert is_signed(signer, train(1)) and is_signed(signer, train(3))
    with (tmp_path / "signed.txt").open("a") as cut:
        cut.write("1 train 2 feder")  # as the power failed
    again = InProcess(tmp_path)
    assert again.service._ledger.open == signer.service._ledger.open
    assert not is_signed(again, train(1, weights="b")) and not is_signed(
        again, train(3, weights="b")
    )
    assert is_signed(again, train(1)) and is_signed(again, train(2, weights="b"))
    assert is_signed(again, evaluate(3, "test"))
    assert not is_signed(InProcess(tmp_path), train(2, weights="b")), "tested"


def test_a_signature_that_cannot_be_noted_is_not_given(tmp_path):
    signer = InProcess(tmp_path, rounds())
    (tmp_path / "signed.txt").mkdir()
    told = {"what": "sign", "requests": [vars(train(1))]}
    answer = signer.service.answer(told, signer.service.for_server)
    assert answer == {"refused": "the ledger cannot be written: Is a directory"}


def test_the_manifest_of_the_run_that_was_ordered_is_signed(tmp_path):
    signer = InProcess(tmp_path, rounds())
    client = signer.service.for_server["sign manifest"]

    signature = client({"run": "run", "sha256": "a" * 64})["signature"]
    public = signer.key.public_key()
    assert is_manifest_signed(public, signature, "run", "a" * 64)
    assert not is_manifest_signed(public, signature, "run", "b" * 64)
    told = {"what": "sign manifest", "run": "another", "sha256": "a"}
    assert "refused" in signer.service.answer(told, signer.service.for_server)


def _masking(*names, attempt=1):
    keys = (RunKey(as_text(new_seed()), "") for _ in names)
    members = tuple(Member(name, 5, key) for name, key in zip(names, keys, strict=True))
    return Terms(attempt, Grid.finest(64.0, len(names)), members).write()


def test_with_secure_aggregation_updates_are_asked_for_masked_only(tmp_path):
    signer = InProcess(tmp_path / "ledger", rounds(encoding="masked"))
    masking = _masking("east", "north", "south")
    assert not is_signed(signer, train(1))
    assert not is_signed(signer, train(1, encoding="masked"))
    assert not is_signed(signer, train(1, masking=masking))
    assert is_signed(signer, train(1, encoding="masked", masking=masking))
    again = _masking("east", "north", "south", attempt=2)
    assert is_signed(signer, train(1, encoding="masked", masking=again)), "after a dropout"
    assert is_signed(signer, evaluate(3, "val")) and not is_signed(
        signer, evaluate(3, "val", masking=masking)
    )
    plain = InProcess(tmp_path / "plain", rounds())
    assert not is_signed(plain, train(1, encoding="masked", masking=masking))


def test_seeds_are_asked_for_of_one_cohort_a_round(tmp_path):
    signer = InProcess(tmp_path / "ledger", rounds(encoding="masked"))

    def reveal(number, *names, weights="", encoding="masked", **more):
        told = {"weights": weights, "encoding": encoding, "masking": _masking(*names), **more}
        return is_signed(signer, ask("reveal", number, **told))

    everybody, fewer = ("east", "north", "south", "west"), ("east", "north", "south")
    assert reveal(1, *everybody) and reveal(1, *everybody)
    assert not reveal(1, *fewer), "two sums would differ by one site"
    assert reveal(2, *fewer)
    assert not reveal(3, "east", "north"), "of two"
    assert not reveal(4, *everybody), "no such round is ordered"
    assert not reveal(3, *everybody, weights="a")
    assert not reveal(3, *everybody, encoding="float32")
    assert not reveal(3, *everybody, model="north")
    assert not reveal(3, *everybody, masking="")


def test_an_order_of_baselines_with_secure_aggregation_is_none():
    with pytest.raises(OrderError, match="excludes baselines"):
        RoundsOrder.read(rounds(encoding="masked", baselines=True).write())
