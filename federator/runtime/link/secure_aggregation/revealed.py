"""Which rounds a site has revealed a seed for: one a round, also after its link was started again.

Two sums of updates that began with the same model differ by one site's update, if that site is in
one of them only. So a model is trained with one cohort and no other, once a seed was revealed.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from federator.errors import InputError, Problem, Where
from federator.runtime.files import append, whole_lines
from federator.runtime.protocol.instructions import InstructionError
from federator.runtime.untrusted import MALFORMED


@dataclass(frozen=True)
class Sum:
    """What a sum of updates is of.

    Attributes:
        run: the run.
        round: the round that was trained.
        model: SHA-256 (hex) of the model that it began with.
        sites: the cohort.
    """

    run: str
    round: int
    model: str
    sites: tuple[str, ...]


class Revealed:
    """Remembers for which sums a seed was revealed.

    Args:
        file: where; None to remember them no longer than this object lives.

    Raises:
        InputError: if the file cannot be read, or is none of this kind.
    """

    def __init__(self, file: Path | None = None) -> None:
        self._file, self._known = file, list[Sum]()
        if file is None:
            return
        try:
            self._known = [_read(line) for line in whole_lines(file)]
        except (OSError, *MALFORMED) as error:
            what = f"what was revealed cannot be read: {type(error).__name__}"
            hint = "this site could reveal a round twice: start a new run with another seed"
            raise InputError(Problem(what, Where(str(file)), hint)) from None

    def require_free(self, asked: Sum) -> None:
        """Check that no seed was revealed for another cohort, of this round or of this model.

        Raises:
            InstructionError: naming that cohort.
        """
        for known in self._known:
            same_round = (known.run, known.round) == (asked.run, asked.round)
            if same_round and known.model != asked.model:
                raise InstructionError("masks of this round were revealed, of another model")
            if (same_round or known.model == asked.model) and known.sites != asked.sites:
                which = "round" if same_round else "model"
                sites = ", ".join(known.sites)
                raise InstructionError(
                    f"masks of this {which} were revealed with the cohort {sites}: "
                    "another sum would tell a single site's update"
                )

    def note(self, revealed: Sum) -> None:
        """Remember that a seed is now going to be revealed.

        Raises:
            InstructionError: if another sum's was, or it cannot be remembered.
        """
        self.require_free(revealed)
        if revealed in self._known:
            return
        try:
            if self._file is not None:
                append(self._file, json.dumps(asdict(revealed)).encode() + b"\n")
        except OSError as error:
            what = f"it cannot be noted as revealed ({error.strerror}: {self._file})"
            raise InstructionError(what) from None
        self._known.append(revealed)


def _read(line: bytes) -> Sum:
    found = json.loads(line)
    return Sum(**{**found, "sites": tuple(found["sites"])})
