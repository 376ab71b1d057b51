"""What comes of an instruction: counts and weights, or a failure told without its message."""

import json
from dataclasses import asdict, dataclass, field
from typing import TypedDict


class Scores(TypedDict):
    """Histogram of the positive class's scores (0..1) in ``bins`` equal bins, a row per label."""

    bins: int
    counts: list[list[int]]


@dataclass(frozen=True)
class Evaluation:
    """How a model did on one set of one site, as sums that add up over sites.

    Attributes:
        counts: confusion matrix of shape (K, K): rows true labels, columns predicted ones.
        loss: mean over the examples.
        examples: number of examples.
        metrics: further numbers that the federation file declares.
        scores: for two labels, and where the site's minimum cell count allows it.
    """

    counts: list[list[int]]
    loss: float
    examples: int
    metrics: dict[str, float] = field(default_factory=dict)
    scores: Scores | None = None


@dataclass(frozen=True)
class Outcome:
    """What a site reports back, beside the weights: set sizes and evaluations by set."""

    examples: dict[str, int]
    evaluations: dict[str, Evaluation] = field(default_factory=dict)


REASONS = {
    "exception": "{type} in {file}, line {line}",
    "import": "{type} while loading {file}, line {line}",
    "data-missing": "the data folder is not there",
    "data-empty": "the data folder, or one of the three sets in it, is empty",
    "single-class": "the training set holds examples of a single label only",
    "labels": "the data has labels outside those that the federation file names",
    "contract": "{type} returned something else than the contract says",
    "misfit": "the weights that came are not those of the notebook's Model(): it was changed since",
    "withheld": "the worker's answer held something that may not leave the site ({type})",
    "no-worker": "no worker is connected to the link",
    "worker-died": "the worker ended while it worked (killed: out of memory is the usual cause)",
    "late": "the deadline passed",
    "outdated": "the site takes part in another version of the app ({type}): it has to take its "
    "new compose file",
    "refused": "the site refused the instruction: {type}",
    "rejected": "the server rejected the update: {type}",
    "lost": "the connection to the site was lost",
    "unknown": "the site failed in a way it does not tell",
}


@dataclass(eq=False)
class Failure(Exception):
    """Why a site could not do what it was told: never a message, which may hold a patient's data.

    Attributes:
        reason: a key of :data:`REASONS`.
        type: the exception's type, or a few words of this library's own.
        file: a file of the app, where the author's code was last seen running.
        line: a line in it, from 1; 0 if none.
    """

    reason: str
    type: str = ""
    file: str = ""
    line: int = 0

    def __str__(self) -> str:
        if self.reason in ("exception", "import") and not self.line:
            return f"{self.type}, outside the notebook's own lines"
        return REASONS[self.reason].format(**asdict(self))

    def write(self) -> str:
        """Return the failure as JSON."""
        return json.dumps(asdict(self))

    @staticmethod
    def read(text: str) -> "Failure":
        """Return the failure written in JSON; ``unknown`` for anything else."""
        try:
            failure = Failure(**json.loads(text))
            return failure if failure.reason in REASONS else Failure("unknown")
        except (ValueError, TypeError):
            return Failure("unknown")
