"""The link answers the server: speaks Flower's Fleet API, sees no data, runs no author's code.

The link follows an instruction only if the run is of the app that this site took, changes no
setting that the site does not allow, and the coordinator has signed it for this site and these
weights. It passes the instruction to the worker, and sends only what may leave of the answer
(disclosure.py). It never asks for the run's code.
"""

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from flwr.app import Message

from federator.runtime.keys.coordinator_key import CoordinatorKey
from federator.runtime.link.fleet import Run
from federator.runtime.link.followed import Followed
from federator.runtime.link.policy.guard import PolicyGuard
from federator.runtime.link.polling import NotificationCounter, Pace
from federator.runtime.link.privacy.budget import NoBudget
from federator.runtime.link.records.leaving import LeftWeights, log_leaving
from federator.runtime.link.records.record import Unrecorded
from federator.runtime.link.secure_aggregation.masking import Unmasked
from federator.runtime.link.transfer import PartTransfer
from federator.runtime.protocol import messages, replies
from federator.runtime.protocol.disclosure import Policy, filter_failure, filter_outcome
from federator.runtime.protocol.handover import HandoverError, WorkerListener
from federator.runtime.protocol.instructions import (
    FEDERATION,
    PERSONAL,
    Instruction,
    InstructionError,
    UnsignedInstruction,
    refuse_overrides,
    verify,
)
from federator.runtime.protocol.outcomes import Failure, Outcome
from federator.runtime.protocol.shared_memory import Memory, Update
from federator.runtime.weights.format import Tensor, WeightsError, describe, size
from federator.runtime.weights.local_tensors import LocalTensors
from federator.runtime.weights.parts import ManifestError, Parts, PartsManifest

log = logging.getLogger("federator")

_FORMLESS = "what came is no message of the coordinator's: it has no known form"
OVERRIDES = frozenset({"rounds", "local-epochs"})


@dataclass
class _Request:
    """An instruction, and the model that came with it: its manifest if as files, and its hash."""

    instruction: Instruction
    model: Memory | None = None
    tensors: dict[str, Tensor] = field(default_factory=dict)
    manifest: PartsManifest | None = None
    digest: str = ""


@dataclass
class Link:
    """Answers the server on behalf of one site.

    Attributes:
        site: the site's name.
        app_hash: SHA-256 of the app that the site took; a run of another one is refused.
        coordinator: the keys of which one must have signed; none on one's own machine only.
        policy: what may leave.
        baselines: whether this site's own model may be trained and compared.
        listener: where the worker connects.
        transfer: how weights travel as files; None if they have to go in messages.
        notifications: says when to ask the server.
        followed: remembers which instructions were followed.
        guard: holds instructions against the site's own policy.
        budget: holds them against the site's privacy budget.
        pace: how often to read the notification counter, and to ask the server.
        record: of what was asked and what left.
        masks: masks the updates, if secure aggregation stands in the site's file.
        local: the tensors that stay at the site: a model that has one of them is refused.
        worker_patience: seconds to wait for a worker that is starting (again).
    """

    site: str
    app_hash: str
    coordinator: Sequence[CoordinatorKey]
    policy: Policy
    baselines: bool
    listener: WorkerListener
    transfer: PartTransfer | None = None
    notifications: NotificationCounter = field(default_factory=NotificationCounter)
    followed: Followed = field(default_factory=Followed)
    guard: PolicyGuard = field(default_factory=PolicyGuard)
    budget: NoBudget = field(default_factory=NoBudget)
    pace: Pace = field(default_factory=Pace)
    record: Unrecorded = field(default_factory=Unrecorded)
    masks: Unmasked = field(default_factory=Unmasked)
    local: LocalTensors = field(default_factory=LocalTensors)
    worker_patience: float = 60.0
    _forged: int = 0  # instructions that the coordinator had not signed, and has not heard of
    _sizes: tuple[int, Mapping[str, int]] | None = None  # a run, and the sets as it joined that

    def answer(self, message: Message, run: Run, node_id: int) -> Message:
        """Return the reply to a message, whatever comes: nothing that it holds ends the link."""
        try:
            request = self._accept(message, run, node_id)
            outcome, update = self._perform(request, run)
            log_leaving(outcome, {} if update is None else update.weights)
            return self._reply(message, request, outcome, update)
        except (InstructionError, ManifestError, WeightsError) as error:
            self._forged += isinstance(error, UnsignedInstruction)
            log.warning("refused: %s", error)
            return self._failed(message, Failure("refused", str(error)))
        except Failure as failure:
            log.warning("%s", failure)
            return self._failed(message, failure)
        except Exception:
            log.exception("the answer broke down")
            return self._failed(message, self._given_up("unknown"))

    def _failed(self, message: Message, failure: Failure) -> Message:
        """Return the reply that tells a failure, recorded if the coordinator had asked."""
        told = self.record.failure(failure, self._forged)
        return replies.failure_reply(told[0], message, self.site, told[1])

    def refuse(self, head: Message | None) -> Message | None:
        """Count a message whose content could not be received; return the reply, if one can be."""
        self._forged += 1
        log.warning("refused: %s", _FORMLESS)
        return None if head is None else self._failed(head, Failure("refused", _FORMLESS))

    def _accept(self, message: Message, run: Run, node_id: int) -> _Request:
        """Return the request that a message makes, after every guard below, in this order.

        Raises:
            InstructionError: if a guard refuses it.
            ManifestError: if the list of the weights' parts has another form.
            WeightsError: if the weights are none, or have a tensor that stays at the site.
            Failure: if the run is of another app, or the weights do not come.
        """
        self._require_app(run)
        refuse_overrides(run.overrides, OVERRIDES)
        received = self._require_signature(message, run, node_id)
        instruction = Instruction.read(received.instruction)
        if self.coordinator:  # guard 4: it was not followed before; noted before it is followed
            self.followed.note(received.signature, instruction.expires)
            self.record.begin(received, instruction, run, node_id)
        self._require_model_allowed(instruction)
        self.guard.admit(instruction, self.app_hash)  # guard 6: the site's own policy
        self.pace.sites = instruction.sites
        self.notifications.subscribe(instruction.counter)
        log.info("%s, round %d, model %s", instruction.kind, instruction.round, instruction.model)
        request = self._with_weights(received, instruction)
        self.local.require_shared_only(request.tensors)  # guard 8: an update has them, too
        self.masks.admit(instruction, request.digest)  # guard 9: the terms of secure aggregation
        return request

    def _require_app(self, run: Run) -> None:
        """Guard 1: the run is of the app that the site took.

        Raises:
            Failure: ``outdated``, if it is not.
        """
        if run.app_hash != self.app_hash:
            what = f"{self.app_hash[:12]}; the run is of {run.app_hash[:12]}"
            raise Failure("outdated", what)

    def _require_signature(self, message: Message, run: Run, node_id: int) -> messages.Received:
        """Guard 3: the coordinator signed every byte, for this run and this node.

        Nothing of the message is parsed before that. (Guard 2 is ``refuse_overrides``.)

        Raises:
            UnsignedInstruction: for any message that is not.
            InstructionError: if it is, with a key that has ended.
        """
        try:
            received = messages.Received.of(message)
            if self.coordinator:
                text, hashed = received.instruction, received.digest
                verify(self.coordinator, received.signature, text, run.run_id, node_id, hashed)
        except InstructionError:
            raise
        except Exception:
            raise UnsignedInstruction(_FORMLESS) from None
        return received

    def _require_model_allowed(self, instruction: Instruction) -> None:
        """Guard 5: the model is the federation's, or one that the site's file allows.

        Raises:
            InstructionError: if it is not.
        """
        if instruction.model not in (FEDERATION, self.site) and instruction.kind == "train":
            raise InstructionError("this site does not train another site's model")
        if instruction.model not in (FEDERATION, PERSONAL) and not self.baselines:
            raise InstructionError("this site takes no part in baselines")

    def _with_weights(self, received: messages.Received, instruction: Instruction) -> _Request:
        """Guard 7: the weights are those that were signed; fetch them if they travel as files.

        Raises:
            InstructionError: if a part is not the coordinator's, or the site takes no files.
            ManifestError: if the list of the parts has another form.
            WeightsError: if they are no weights.
            Failure: ``late``, if they do not come in time.
        """
        if (manifest := received.manifest) is not None:
            if self.transfer is None:
                raise InstructionError("this site takes no files")
            self.guard.admit_size(manifest.size)
            memory, tensors = self.transfer.fetch(manifest, instruction.expires)
            digest = replies.update_digest(manifest.parts)
            return _Request(instruction, memory, tensors, manifest, digest)
        if (weights := received.weights) is not None:
            self.guard.admit_size(size(weights))
            memory, digest = Memory.of(weights), received.hashed
            return _Request(instruction, memory, describe(weights), digest=digest)
        return _Request(instruction)

    def _perform(self, request: _Request, run: Run) -> tuple[Outcome, Update | None]:
        """Hand an instruction to the worker and vet the answer.

        Raises:
            Failure: if there is no answer, or nothing in it that may leave.
        """
        instruction = request.instruction
        if instruction.kind == "reveal" and self._sizes is not None:  # the worker knows no masks
            return Outcome(dict(self._sizes[1])), None
        worker = self.listener.worker(min(instruction.expires, time.time() + self.worker_patience))
        if worker is None:
            raise Failure("no-worker")
        self.budget.admit(instruction, self.app_hash)  # guard 10: the site's privacy budget
        text = instruction.allowed(survey=self.policy.survey).write()
        packet = {"run": run.run_id, "overrides": dict(run.overrides), "instruction": text}
        lent, update = [] if request.model is None else [request.model], None
        if request.model is not None and instruction.kind == "train":
            update = Update.place(request.model, request.tensors, instruction.encoding)
            lent += [] if update.memory is request.model else [update.memory]
        try:
            worker.send(packet, *lent)
            answer = self.listener.answer(instruction.expires)
        except HandoverError as error:
            log.warning("worker: %s", error)
            raise self._given_up("worker-died") from None
        if answer is None:
            raise self._given_up("late")
        failure = answer.get("failure")
        if isinstance(failure, Mapping):
            raise filter_failure(failure)
        outcome = filter_outcome(answer, instruction.sets, self.policy)
        self._require_sizes(outcome, instruction, run)
        outcome = self.budget.settle(instruction, self.app_hash, outcome)
        # Where nothing was written stands the model, whose head may be just what it should be.
        if update is not None and not (answer.get("update") is True and update.has_head):
            log.warning("withheld: there is no update, or it is not written as the model is")
            raise Failure("withheld", "weights")
        return outcome, self.masks.hidden(update, request.model, outcome.examples["trainset"])

    def _require_sizes(self, outcome: Outcome, instruction: Instruction, run: Run) -> None:
        """Check that the sets are as large as the site said when it joined the run.

        Raises:
            Failure: ``sizes``, if they are not; it joins again then.
        """
        if instruction.kind == "join" or self._sizes is None or self._sizes[0] != run.run_id:
            self._sizes = run.run_id, outcome.examples
        elif self._sizes[1] != outcome.examples:
            raise Failure("sizes")

    def _given_up(self, reason: str) -> Failure:
        """Hang up on the worker, let go of what it may still write to, and return the failure."""
        self.listener.disconnect()
        if self.transfer is not None:
            self.transfer.let_go()
        return Failure(reason)

    def _reply(
        self, message: Message, request: _Request, outcome: Outcome, update: Update | None
    ) -> Message:
        """Return the reply, with the update in it or already handed in as files.

        Raises:
            Failure: if it cannot be handed in.
            InstructionError: if it cannot be recorded.
        """
        parts: Parts = ()
        told = self.masks.tell(request.instruction)
        fetched = self.transfer.fetched if self.transfer and request.manifest else 0
        if update is not None and self.transfer and request.manifest:
            parts = self.transfer.send(request.manifest, update, request.instruction.expires)
        weights = update.weights if update is not None and not parts else None
        receipt = self.record.answer(outcome, LeftWeights.of(update, parts), self._forged)
        forged, self._forged = self._forged, 0
        if forged:
            log.info("leaves: that %d instruction(s) were not signed", forged)
        files = self.transfer is not None
        said = replies.site_record(self.site, files, parts, forged, fetched, receipt, told)
        return replies.outcome_reply(message, said, outcome, weights)
