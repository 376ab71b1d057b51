"""Membership inference: was a record in the training set, if one has the final model?

An attacker knows records, their labels, and the model. Two attacks:

- by the loss: a record with a lower loss than a threshold was in (Yeom et al. 2018,
  https://arxiv.org/abs/1709.01604). The threshold is the mean loss of the training set, as there.
- by the likelihood ratio: other models, trained by the attacker with and without each record, say
  how likely the record's confidence is for either (LiRA online, with one variance for all records:
  Carlini et al. 2022, https://arxiv.org/abs/2112.03570, section VI).
"""

import importlib
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.metrics import roc_auc_score

from benchmarks.privacy.example import Example, federate, measured
from federator.runtime.protocol.privacy.settings import PrivacySettings
from federator.runtime.weights.format import Weights

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

FALSE_ALARMS = 0.01


@dataclass(frozen=True)
class Models:
    """Models that were trained on random parts of the same records.

    Attributes:
        statistics: of a class log p / (1 - p) of the true one, of a number the error;
            (models, records).
        losses: (models, records).
        members: which records were in the training set, (models, records).
        others: which were in another set of the same sites, (models, records).
    """

    statistics: Floats
    losses: Floats
    members: Flags
    others: Flags


@dataclass(frozen=True)
class Trained:
    """What an attacker may have of the runs.

    Attributes:
        final: the final models.
        updates: the last updates of the first site.
        spent: the largest epsilon of a site and run; None without privacy.
        quality: accuracy or R² of each final model on all sites' test sets.
    """

    final: Models
    updates: Models
    spent: float | None
    quality: Floats


@dataclass(frozen=True)
class Inference:
    """What an attacker gets of one model.

    Attributes:
        auc: area under the ROC curve; 0.5 by guessing.
        hits: the share of members that are found with 1 % false alarms; 0.01 by guessing.
        advantage: members found minus false alarms, at the attack's own threshold; 0 by guessing.
    """

    auc: float
    hits: float
    advantage: float

    @classmethod
    def of(cls, scores: Floats, members: Flags, others: Flags, threshold: float) -> "Inference":
        """Return what scores tell: higher ones are taken for members."""
        inside, outside = scores[members], scores[others]
        cut = np.quantile(outside, 1 - FALSE_ALARMS, method="higher")
        found, false = (float(np.mean(part > threshold)) for part in (inside, outside))
        known = members | others
        auc = float(roc_auc_score(members[known], scores[known]))
        return cls(auc, float(np.mean(inside > cut)), found - false)


class Records:
    """The records of an example of tables, and who is in which set.

    Args:
        example: the federation.
    """

    def __init__(self, example: Example) -> None:
        self._example = example
        tables = [table for sets in self._sets(0).values() for table in sets.values()]
        everything = pd.concat(tables).sort_index()
        self._index = everything.index
        self._file = example.folder / "everything.csv"
        everything.to_csv(self._file, index=False)
        _, truths = example.code().read_set(self._file).tensors
        self.truths = truths.numpy()
        """The label or the number of each record."""

    def _sets(self, seed: int) -> dict[str, dict[str, pd.DataFrame]]:
        """Return the sets of each site, as the example's script deals them."""
        script = self._example.layout
        if hasattr(script, "split"):
            return dict(script.split(seed))
        deal = importlib.import_module("site_tables").deal
        return {name: deal(own, seed) for name, own in script.births().items()}

    def inside(self, seed: int, *names: str, site: str = "") -> Flags:
        """Tell of each record whether it is in a set of these names, at a site or at any."""
        sets = [own for name, own in self._sets(seed).items() if site in ("", name)]
        rows = [row for own in sets for name in names for row in own[name].index]
        return np.asarray(self._index.isin(rows))

    def measured(self, model: Weights) -> tuple[Floats, Floats]:
        """Return the statistic and the loss of each record under a model."""
        return measured(self._example.code(), model, self._file)

    def quality(self, statistics: Floats, some: Flags) -> float:
        """Return the accuracy, or R², on some of the records."""
        if self.truths.dtype.kind == "f":
            errors, truths = statistics[some], self.truths[some]
            return float(1 - np.mean(errors**2) / np.var(truths))
        return float(np.mean(statistics[some] > 0))


def train(example: Example, seeds: Iterable[int], private: PrivacySettings | None) -> Trained:
    """Run the federation for each seed, which also says who is in which set."""
    records, first, listed = Records(example), example.sites[0], list(seeds)
    runs = [federate(example, seed, private) for seed in listed]
    final = [records.measured(run.model) for run in runs]
    updates = [records.measured(run.updates[first]) for run in runs]
    tested = [records.inside(seed, "test") for seed in listed]
    quality = [records.quality(one, some) for (one, _), some in zip(final, tested, strict=True)]
    views = []
    for found, site in ((final, ""), (updates, first)):
        statistics, losses = (np.array(each) for each in zip(*found, strict=True))
        inside, outside = (
            np.array([records.inside(seed, *names, site=site) for seed in listed])
            for names in (("train",), ("val", "test"))
        )
        views.append(Models(statistics, losses, inside, outside))
    spent = [run.spent for run in runs if run.spent is not None]
    return Trained(*views, max(spent, default=None), np.array(quality))


def by_loss(models: Models) -> list[Inference]:
    """Attack each model by the loss of its records."""
    each = zip(models.losses, models.members, models.others, strict=True)
    return [
        Inference.of(-loss, members, others, -float(loss[members].mean()))
        for loss, members, others in each
    ]


def by_chance(models: Models) -> float:
    """Return the mean AUC of other models' losses: what the same parts give by their draw alone."""
    found = []
    for number, (members, others) in enumerate(zip(models.members, models.others, strict=True)):
        rest = np.delete(models.losses, number, axis=0)
        found += [Inference.of(-loss, members, others, 0.0).auc for loss in rest]
    return float(np.mean(found))


def by_likelihood_ratio(models: Models) -> list[Inference]:
    """Attack each model with all others as the attacker's own."""
    found = []
    for number, own in enumerate(models.statistics):
        rest = np.arange(len(models.statistics)) != number
        parts = models.members[rest], models.others[rest]
        means, deviations = zip(
            *(_normal(models.statistics[rest], one) for one in parts), strict=True
        )
        shift = np.nanmean(means[0] - means[1])  # for records that were never in, or never out
        inside = np.where(np.isnan(means[0]), means[1] + shift, means[0])
        outside = np.where(np.isnan(means[1]), inside - shift, means[1])
        with_it, without = (
            -(((own - mean) / deviation) ** 2) / 2 - np.log(deviation)
            for mean, deviation in zip((inside, outside), deviations, strict=True)
        )
        scores = np.nan_to_num(with_it - without)
        found.append(Inference.of(scores, models.members[number], models.others[number], 0.0))
    return found


def _normal(statistics: Floats, some: Flags) -> tuple[Floats, float]:
    """Return each record's mean over some of the models, and one deviation for all records."""
    count = some.sum(axis=0)
    mean = np.where(some, statistics, 0).sum(axis=0) / np.maximum(count, 1)
    several = count > 1
    left = (statistics - mean)[some & several]
    free = max(1, len(left) - int(np.count_nonzero(several)))  # their means were taken off
    return np.where(count > 0, mean, np.nan), float(np.sqrt((left**2).sum() / free)) + 1e-9


def most_hits(epsilon: float, delta: float) -> float:
    """Return the largest share of members that any attack finds with 1 % false alarms.

    Kairouz, Oh and Viswanath 2015, https://arxiv.org/abs/1311.0776, theorem 2.1.
    """
    one = np.exp(epsilon) * FALSE_ALARMS + delta
    other = 1 - np.exp(-epsilon) * (1 - delta - FALSE_ALARMS)
    return float(min(1.0, one, other))
