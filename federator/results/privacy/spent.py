"""What differential privacy a run has: epsilon and delta, by site and for the model, in words."""

from collections.abc import Iterator
from math import exp

from federator.results.history import Journal
from federator.runtime.protocol.privacy.settings import PrivacySettings
from federator.runtime.server.journal import Privacy

COVERED = (
    "the model and each update: the records of the training sets",
    "the confusion matrices of the test sets, by noise on each count: the records of the test sets",
)
UNCOVERED = (
    "how many examples each set has, and how long a site takes: both are told exactly",
    "that a site fails, and the kind and place of an error",
    "a patient with records at two sites: for them the epsilons of both add up",
)
KEPT = (
    "losses, scores, the numbers of the notebook’s own test, all figures of validation sets, "
    "and the survey: they do not leave the sites"
)
_MOST_FACTOR = 1e4  # beyond it, a factor is told as that it is more


def rows(journal: Journal) -> list[Privacy]:
    """Return what each site said that it has spent, over all rounds, runs and versions."""
    return [journal.privacy[site] for site in sorted(journal.privacy)]


def largest(journal: Journal) -> Privacy | None:
    """Return the row of the site that has spent most: it is the model's.

    The sites' patients are others, so that what one site tells says nothing of another's (parallel
    composition; McSherry 2009, https://doi.org/10.1145/1559845.1559850, theorem 4).
    """
    return max(rows(journal), key=lambda row: row.epsilon, default=None)


def sentences(journal: Journal) -> Iterator[str]:
    """Say what is guaranteed of a run, and what is not; nothing of one without privacy."""
    most = largest(journal)
    if most is None:
        if journal.start.privacy:
            yield "Differential privacy was asked for, and no site has told what it has spent."
        return
    yield (
        f"Differential privacy: epsilon {most.epsilon:.2f}, delta {most.delta:g} for the model "
        f"and all else that left, the largest of the sites’. {meaning(journal, most.epsilon)}"
    )
    if plain := [row.site for row in rows(journal) if row.plain]:
        yield (
            f"{', '.join(plain)}: the same data were also trained on without differential "
            "privacy: epsilon says nothing of what that told."
        )


def meaning(journal: Journal, epsilon: float) -> str:
    """Say what an epsilon means for one record, or one patient."""
    unit = "patient" if _by_patient(journal) else "record"
    factor = exp(epsilon)
    times = f"{factor:.3g}" if factor < _MOST_FACTOR else f"more than {_MOST_FACTOR:g}"
    text = (
        f"Whoever sees it may bet on whether one {unit} was used: that {unit} changes the odds at "
        f"most {times}-fold."
    )
    return text if _by_patient(journal) else f"{text} With k records of a patient: k times epsilon."


def short(site: str, epsilon: float, delta: float) -> str:
    """Return a line for the terminal: what the site that has spent most has spent."""
    return f"epsilon {epsilon:.2f} at most ({site}), delta {delta:g}"


def _by_patient(journal: Journal) -> bool:
    try:
        return PrivacySettings.read(journal.start.privacy).unit == "patient"
    except ValueError:
        return False
