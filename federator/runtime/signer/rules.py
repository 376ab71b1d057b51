"""Which instructions an order allows.

An instruction asks one node *questions*: to train a model in a round, to evaluate a model on a set.
An order allows each question once, of one model. The same question may be asked again, of the same
weights, since its answer is known then: a server that went down begins its round again.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass

from federator.runtime.files import sha256
from federator.runtime.masking.terms import MINIMUM, Terms, TermsError, require_enough
from federator.runtime.protocol.instructions import (
    FEDERATION,
    PERSONAL,
    Instruction,
    InstructionError,
)
from federator.runtime.protocol.signing.orders import RoundsOrder
from federator.runtime.protocol.signing.requests import SigningRequest
from federator.runtime.weights.encoding import EXACT, MASKED, is_exact
from federator.runtime.weights.parts import ManifestError, PartsManifest, write_parts

TRAIN, TEST, REVEAL = "train", "test", "reveal"
_AT_END = -1  # stands for the round where a question is asked once an order, whatever the round
_GRACE = 60.0  # seconds that an instruction may hold beyond its deadline
# A site that trains its own model anew, as after a crash of the server, need not come to the same
# weights to the bit.
_RETRAINED = 2


class NotOrderedError(Exception):
    """An instruction that the order does not allow."""


@dataclass(frozen=True)
class Question:
    """What an instruction asks a node.

    Attributes:
        what: ``train``, or the set on which a model is evaluated, such as ``on-val``.
        round: the round that is trained, or that of the model that is evaluated.
        model: the name of the model.
        node: the number of the node.
        content: SHA-256 (hex) of all on which the answer depends: the weights above all.
        contents: of how many different contents the order allows this question.
    """

    what: str
    round: int
    model: str
    node: int
    content: str
    contents: int = 1

    @property
    def subject(self) -> str:
        """What is asked, of whichever node."""
        return f"{self.what} {self.round} {self.model}"

    @property
    def key(self) -> str:
        """What an order allows once."""
        return f"{self.subject} {self.node}"


def questions(order: RoundsOrder, request: SigningRequest) -> list[Question]:
    """Return what an instruction asks its node.

    Raises:
        NotOrderedError: if it is none that the order could allow, whatever was signed before.
    """
    instruction = _read(request.text)
    weights = _weights(request)
    _require_terms(order, instruction)
    if instruction.kind == "join":
        _require(not weights, "sites join without weights")
        _require(not instruction.sets, "a site that joins evaluates nothing")
        _require(instruction.model == FEDERATION, "sites join the federation's run")
        return []
    _require(not order.survey_only, "only a survey is ordered")
    if instruction.kind == REVEAL:
        return [_revealed(order, instruction, request.node, weights)]
    _require(bool(weights) != (instruction.model == PERSONAL), "a model comes with its weights")
    asked = _trained if instruction.kind == TRAIN else _evaluated
    return list(asked(order, instruction, request.node, weights))


def _read(text: str) -> Instruction:
    """Return the instruction that a text is, written as this program writes it.

    Raises:
        NotOrderedError: if it is none.
    """
    try:
        instruction = Instruction.read(text)
    except InstructionError as error:
        raise NotOrderedError(str(error)) from None
    # So that a site's link cannot read anything else in it.
    _require(instruction.write() == text, "the instruction is not written as it should be")
    return instruction


def _weights(request: SigningRequest) -> str:
    """Return the hash of an instruction's weights, whatever their place; empty if it has none.

    Raises:
        NotOrderedError: if it has two, or has them in another form.
    """
    _require(not (request.files and request.arrays), "weights come as files or in the message")
    if not request.files:
        return request.arrays
    try:
        return sha256(write_parts(PartsManifest.read(request.files).parts).encode())
    except ManifestError as error:
        raise NotOrderedError(str(error)) from None


def _require_terms(order: RoundsOrder, instruction: Instruction) -> None:
    """Check what an instruction of any kind keeps to.

    Raises:
        NotOrderedError: if it does not.
    """
    terms, now = order.terms, time.time()
    joins = instruction.kind == "join"
    _require(instruction.run == order.run, f"the order is of run {order.run}")
    holds = terms.round_deadline + (terms.join_deadline if joins else 0.0) + _GRACE
    _require(instruction.expires <= now + holds, "it holds for longer than the deadlines say")
    _require(instruction.seed == terms.seed, f"the seed is {terms.seed}")
    most = terms.epochs if instruction.kind == TRAIN else 0
    _require(instruction.epochs <= most, f"{most} local epochs are ordered")
    _require(instruction.encoding in (EXACT, terms.encoding), f"weights go as {terms.encoding}")
    masks = terms.encoding == MASKED and instruction.kind in (TRAIN, REVEAL)
    _require(bool(instruction.masking) == masks, "updates are masked as ordered")
    _require(not masks or instruction.encoding == MASKED, "updates are masked as ordered")
    may_tell = joins and terms.survey != "no"
    _require(may_tell or not instruction.survey, "no survey is ordered")


def _revealed(order: RoundsOrder, asked: Instruction, node: int, weights: str) -> Question:
    """Return the question of a seed: of one cohort a round.

    Raises:
        NotOrderedError: if the order has no such round, or its cohort is too small.
    """
    _require(not weights and not asked.sets, "a seed is revealed without weights and sets")
    _require(asked.model == FEDERATION, "only the common model's updates are masked")
    number = asked.round
    _require(
        order.first_round <= number <= order.last_round, f"round {number} is not one of the order's"
    )
    try:
        terms = Terms.read(asked.masking)
        require_enough(terms, MINIMUM)
    except TermsError as error:
        raise NotOrderedError(str(error)) from None
    return Question(REVEAL, number, asked.model, node, sha256(" ".join(terms.sites).encode()))


def _trained(order: RoundsOrder, asked: Instruction, node: int, weights: str) -> Iterator[Question]:
    """Yield what an instruction to train asks: the training, and evaluations before it.

    Raises:
        NotOrderedError: if the order has no such training.
    """
    if asked.model == FEDERATION:
        first, contents = order.first_round, 1
    else:
        _require_baseline(order, asked)
        first, contents = 1, _RETRAINED
    _require(
        first <= asked.round <= order.last_round, f"round {asked.round} is not one of the order's"
    )
    sets = {"val", "train"} if order.terms.train_loss else {"val"}
    _require(set(asked.sets) <= sets, "the sets are others than a round evaluates")
    how = f"{weights} {asked.epochs} {asked.proximal_mu} {sorted(asked.settings.items())}"
    content = sha256(how.encode(errors="surrogatepass"))
    yield Question(TRAIN, asked.round, asked.model, node, content, contents)
    for one in asked.sets:
        yield _on(order, one, asked, node, weights, asked.round - 1)


def _evaluated(
    order: RoundsOrder, asked: Instruction, node: int, weights: str
) -> Iterator[Question]:
    """Yield what an instruction to evaluate asks: a question for each set.

    Raises:
        NotOrderedError: if the order has no such evaluation.
    """
    terms = order.terms
    _require(0 < len(asked.sets) == len(set(asked.sets)), "it names no set, or one twice")
    _require("train" not in asked.sets, "training sets are evaluated in a training only")
    first = order.first_round - 1
    if asked.model == PERSONAL:
        _require(terms.personal, "sites keep no personal models")
    elif asked.model != FEDERATION:
        _require_baseline(order, asked)
        first = order.last_round
    if set(asked.sets) == {TEST} and asked.model in (FEDERATION, PERSONAL):
        first = 0  # the model that was chosen may be one of an earlier order's
    _require(
        first <= asked.round <= order.last_round, f"round {asked.round} is not one of the order's"
    )
    for one in asked.sets:
        yield _on(order, one, asked, node, weights, asked.round)


def _require_baseline(order: RoundsOrder, asked: Instruction) -> None:
    """Check that the model is one that a site trains alone, and that this is ordered.

    Raises:
        NotOrderedError: if it is not.
    """
    _require(order.terms.baselines, "no baselines are ordered")
    _require(asked.model in order.terms.sites, f"{asked.model} is no site of the federation")


def _on(
    order: RoundsOrder, one: str, asked: Instruction, node: int, weights: str, number: int
) -> Question:
    """Return the question how a model does on a set; a test set is asked once an order."""
    alone = asked.model not in (FEDERATION, PERSONAL)
    # As it travels in a round, and exactly at the end.
    contents = 1 if is_exact(order.terms.encoding) or one == TEST else 2
    contents = _RETRAINED if alone else contents
    if one != TEST:
        return Question(f"on-{one}", number, asked.model, node, weights, contents)
    content = weights if alone else f"{number}:{weights}"
    return Question(f"on-{one}", _AT_END, asked.model, node, content, contents)


def _require(good: bool, otherwise: str) -> None:
    if not good:
        raise NotOrderedError(otherwise)
