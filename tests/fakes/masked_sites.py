"""Links with secure aggregation, each with a worker of the tests' own, and a server's doings."""

import json
from dataclasses import replace

import numpy as np
from cryptography.hazmat.primitives.asymmetric import ec
from fakes.coordinator import KEYS, NODE, OURS, SIZES, WEIGHTS, Worker, order

from federator.runtime.keys.site_key import entry
from federator.runtime.link.link import Link
from federator.runtime.link.secure_aggregation.cohort import Cohort
from federator.runtime.link.secure_aggregation.masking import SiteMasks
from federator.runtime.link.secure_aggregation.revealed import Revealed
from federator.runtime.masking.fixed_point import DEFAULT_BOUND, Grid
from federator.runtime.masking.terms import Member, Terms
from federator.runtime.protocol import messages, replies
from federator.runtime.protocol.disclosure import Policy
from federator.runtime.protocol.evaluation.tasks import Task
from federator.runtime.protocol.masking_replies import MaskingReply

RUN_NAME = "2026-11-28"
POLICY = Policy(Task("classification", 2), min_cell_count=1)
NAMES = ("east", "north", "south", "west")


class Trained(Worker):
    """A worker whose update is known: the model and a step of its own."""

    def __init__(self, step) -> None:
        super().__init__()
        self.update = {"w": (WEIGHTS["w"] + step).astype(np.float32)}

    def send(self, packet, *memory):
        self.asked += 1
        self.packet = packet
        if len(memory) > 1:
            memory[-1].fill(self.update)

    def answer(self, _):
        found = {}
        for name in json.loads(self.packet["instruction"])["sets"]:
            count = SIZES[f"{name}set"]
            tables = {"confusion": [[count, 0], [0, 0]]}
            found[name] = {"tables": tables, "loss": 0.5, "examples": count, "metrics": {}}
        return {"examples": SIZES, "evaluations": found, "update": True}


class Sites:
    """All sites of a federation.

    Args:
        folder: where each remembers what it revealed.
        minimum: the fewest sites, as each site's own file has it.
        names: theirs.
        coordinator: the keys of which one must have signed; none if a server is to be at work.
    """

    def __init__(self, folder, minimum=3, names=NAMES, coordinator=KEYS) -> None:
        random = np.random.default_rng(0)
        self.coordinator = coordinator
        self.folder, self.minimum = folder, minimum
        self.keys = {name: ec.generate_private_key(ec.SECP384R1()) for name in names}
        self.workers = {name: Trained(random.normal(0, 1, 4)) for name in names}
        self.links, self.run_keys = {}, {}
        for name in names:
            self.start(name)
            if coordinator:
                self.join(name)

    def start(self, name):
        """Start a site's link, anew."""
        cohort = [entry(key.public_key(), site) for site, key in self.keys.items()]
        masks = SiteMasks(
            name,
            self.keys[name],
            OURS.app_hash,
            Cohort.read(cohort, self.minimum),
            Revealed(self.folder / f"{name}.revealed"),
        )
        link = Link(
            name, OURS.app_hash, self.coordinator, POLICY, True, self.workers[name], masks=masks
        )
        self.links[name] = link

    def join(self, name):
        reply = self.ask(name, "join", encoding="float32", masking="")
        self.run_keys[name] = MaskingReply.read(reply).key

    def terms(self, names, attempt=1, **changed):
        members = tuple(Member(n, SIZES["trainset"], self.run_keys[n]) for n in sorted(names))
        terms = Terms(attempt, Grid.finest(DEFAULT_BOUND, max(1, len(members))), members)
        return replace(terms, **changed)

    def ask(self, name, kind, terms=None, **changed):
        """Return a site's reply to a signed instruction."""
        masking = "" if terms is None else terms.write()
        fields = {"run": RUN_NAME, "encoding": "masked", "masking": masking, **changed}
        return self.links[name].answer(order(kind, **fields), OURS, NODE)

    def train(self, name, terms, **changed):
        """Return the masked update of a site."""
        reply = self.ask(name, "train", terms, **changed)
        assert not reply.has_error(), replies.read_failure(reply.error)
        return messages.weights_in(reply.content)["w"]

    def reveal(self, name, terms, **changed):
        """Return the seed that a site reveals."""
        reply = self.ask(name, "reveal", terms, **changed)
        assert not reply.has_error(), replies.read_failure(reply.error)
        return MaskingReply.read(reply).seed

    def refusal(self, name, kind, terms=None, **changed):
        """Return in which words a site refuses."""
        reply = self.ask(name, kind, terms, **changed)
        assert reply.has_error(), "it did not refuse"
        site, failure = replies.read_failure(reply.error)
        assert (site, failure.reason) == (name, "refused")
        return str(failure)
