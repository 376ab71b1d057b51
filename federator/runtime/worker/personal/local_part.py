"""The local tensors of the models that a site trains: kept from round to round, never sent.

A model's tensors at a site are the shared ones, which came from the server, and the local ones as
the site's last training of that model left them, at first as ``Model()`` makes them from the run's
seed. Another version of the app goes on with those of the one before if they have the same names,
types and shapes, as the server does with its model; else they begin anew, which the site says.
"""

import logging

from federator.runtime.protocol.instructions import Instruction
from federator.runtime.protocol.notices import Notice
from federator.runtime.weights.format import Tensor, Weights, describe, listed
from federator.runtime.weights.local_tensors import LocalTensors
from federator.runtime.worker.personal.volume import Volume

log = logging.getLogger("federator")


class LocalPart:
    """Completes shared tensors to a model, and keeps what stays of a trained one.

    Args:
        tensors: which tensors stay.
        volume: where.
    """

    def __init__(self, tensors: LocalTensors, volume: Volume) -> None:
        self.tensors, self._volume = tensors, volume
        self._first: Weights = {}
        self._form: dict[str, Tensor] = {}
        self._known: dict[tuple[str, str], int] = {}  # the round of what was last kept

    def begin(self, made: Weights) -> None:
        """Note the local tensors of a model as ``Model()`` has made it."""
        self._first = self.tensors.local(made)
        self._form = describe(self._first)

    def complete(
        self, shared: Weights, instruction: Instruction
    ) -> tuple[Weights, tuple[Notice, ...]]:
        """Return a whole model from the tensors that came, and what there is to warn of.

        Raises:
            Failure: ``no-volume``, if the site has no place for what stays.
        """
        if not self.tensors:
            return shared, ()
        number = instruction.round - (instruction.kind == "train")  # of the model that came
        key = (instruction.run, instruction.model)
        found = self._volume.newest(*key, number)
        if found is not None and describe(found[1]) == self._form:
            # Who was here meanwhile knows that there was no training; who was not, does not.
            lost = found[0] < number and self._known.get(key) != found[0]
            self._known[key] = found[0]
            told = (Notice("local-earlier", value=found[0], other=number),) if lost else ()
            return {**shared, **found[1]}, told
        if found is not None:
            return {**shared, **self._first}, (Notice("local-changed"),)
        told = (Notice("local-anew", value=number),) if number else ()
        return {**shared, **self._first}, told

    def keep(self, trained: Weights, instruction: Instruction) -> None:
        """Keep what stays of a trained model.

        Raises:
            Failure: ``not-kept``, if it cannot be written.
        """
        if self.tensors:
            own = self.tensors.local(trained)
            self._volume.keep(instruction.run, instruction.model, instruction.round, own)
            self._known[instruction.run, instruction.model] = instruction.round
            log.info("stays here: %d tensors (%s)", len(own), listed(list(own)))

    def keep_tested(self, model: Weights, instruction: Instruction) -> None:
        """Keep a whole model that was tested, for the people at the site.

        Raises:
            Failure: as :meth:`keep`.
        """
        if self.tensors and "test" in instruction.sets:
            self._volume.keep_whole(instruction.run, instruction.model, model)
