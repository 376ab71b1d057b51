"""A run of two sites as it lies in its folder: with receipts, records, weights, a manifest."""

import time
from pathlib import Path

import numpy as np
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from federator.runtime.chain.lines import head
from federator.runtime.keys import site_key
from federator.runtime.keys.coordinator_key import CoordinatorKey
from federator.runtime.link.fleet import Run
from federator.runtime.link.records.leaving import LeftWeights
from federator.runtime.link.records.record import Record
from federator.runtime.protocol.evaluation.tasks import Task
from federator.runtime.protocol.instructions import Instruction, sign
from federator.runtime.protocol.messages import Received
from federator.runtime.protocol.outcomes import Evaluation, Failure, Outcome
from federator.runtime.protocol.signing.requests import sign_manifest
from federator.runtime.server.exchange import Answer
from federator.runtime.server.journal import FILE, End, Start, append, now
from federator.runtime.server.proof import manifest
from federator.runtime.server.proof.receipts import RECORDS
from federator.runtime.server.recorder import Recorder
from federator.runtime.server.storage.checkpoints import RunFolder
from federator.runtime.weights.format import describe

COORDINATOR = Ed25519PrivateKey.generate()
SITES = {name: ec.generate_private_key(ec.SECP384R1()) for name in ("north", "south")}
SIZES = {"trainset": 23, "valset": 6, "testset": 7}
NAME, FLOWER_RUN = "2026-11-28-001", 7


class ProvenRun:
    """A run, as link and server write it, round by round."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / NAME
        self.folder = RunFolder(self.path)
        self.known = CoordinatorKey.of(COORDINATOR.public_key()).write()
        self.records = {}
        for name, key in SITES.items():
            own = self.path / RECORDS / name
            own.mkdir(parents=True)
            noted = folder / f"{name}.recorded"
            self.records[name] = Record(name, key, [self.known], own, noted)
        keys = {name: site_key.line(key.public_key(), name) for name, key in SITES.items()}
        append(self.path, Start(
            time=now(), run=NAME, federation="demo", first_round=1, last_round=2,
            strategy="FedAvg", sites=list(SITES), labels=["benign", "malignant"],
            coordinator=self.known, keys=keys,
        ))  # fmt: skip
        self.recorder = Recorder(self.path, None)

    def ask(self, kind: str, number: int, sets=(), answer=None) -> dict[str, Answer]:
        """Have each site do something, and write down its receipt."""
        answers = {}
        told = Instruction(kind, number, time.time() + 60, sets=sets, run=NAME,
                           journal=head(self.path / FILE))  # fmt: skip
        text = told.write()
        for node, (name, record) in enumerate(self.records.items(), 1):
            digest = Received(text).digest
            signature = sign(COORDINATOR, text, FLOWER_RUN, node, digest)
            record.begin(Received(text, signature), told, Run(FLOWER_RUN, "a" * 64, {}), node)
            table = {"confusion": [[3 + node, 0], [1, 2]]}
            done = {one: Evaluation(table, 0.5 / node + number / 3, 6 + node) for one in sets}
            said = answer or Outcome(SIZES, done)
            weights = {"w": np.full(3, number + node, np.float32)}
            left = LeftWeights(describe(weights), f"{number}{node}" * 32)
            update = left if kind == "train" and answer is None else None
            receipt = record.answer(said, update)
            failure, outcome = (said, None) if isinstance(said, Failure) else (None, said)
            answers[name] = Answer(name, 1.0, outcome, failure=failure, receipt=receipt)
        self.recorder.write_receipts(answers.values())
        return answers

    def rounds(self, first: int, last: int) -> None:
        """Run some rounds, and test the last model."""
        for answer in self.ask("join", 0).values():
            self.recorder.write_site(answer)
        for number in range(first, last + 1):
            answers = self.ask("train", number, ("val",))
            self.folder.save(number, {"w": np.full(3, number, np.float32)})
            self.recorder.write_round("federation", number, answers, 1.0)
            self.recorder.write_evaluation("validation", "federation", number - 1, answers, "val")
        answers = self.ask("evaluate", last, ("val", "test"))
        self.recorder.write_evaluation("validation", "federation", last, answers, "val")
        self.recorder.write_evaluation("test", "federation", last, answers, "test")

    def end(self) -> Path:
        """End it well; return its folder."""
        self.folder.finish(self.folder.last())
        manifest.end(
            self.path,
            End(time=now(), state="finished"),
            {"run": NAME, "federation": "demo", "task": Task("classification", 2).name},
            lambda run, digest: sign_manifest(COORDINATOR, run, digest),
        )
        return self.path


def write(folder: Path) -> Path:
    """Write a run of two rounds; return its folder."""
    made = ProvenRun(folder)
    made.rounds(1, 2)
    return made.end()
