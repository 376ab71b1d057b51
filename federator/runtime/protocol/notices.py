"""A site's warnings about instructions that it followed: texts of a table, and few numbers."""

import json
from dataclasses import asdict, dataclass
from math import isfinite

SET_NAMES = {"train": "training set", "val": "validation set", "test": "test set"}

NOTICES = {
    "accuracy": "test says an accuracy of {value}, the counts say {other} ({set}): they are made "
    "from the labels and scores of predict, or from the model's outputs",
    "metric-not-finite": "the metric {name} is not a finite number ({set}): it is left out",
    "metric-not-number": "what test returns as {name} is not a single number ({set}): it is left "
    "out",
    "metric-missing": "test returns no {name}, which the federation file declares ({set})",
    "unchanged": "train changed no weight of the model: does it train a copy, or nothing?",
    "probabilities": "the model's outputs are probabilities already: they are taken as they are",
    "perhaps-probabilities": "all outputs of the model lie in 0..1 ({set}) and are taken as "
    "logits: if they are probabilities, write a `predict(net, loader)` that returns them",
    "single-label": "the {set} holds examples of a single label only: figures that need another "
    "are undefined",
    "labels-undefined": "{value} of the {other} labels are those of none or of all examples of the "
    "{set}: figures that need both are undefined there",
    "cases": "predict gives {value} cases for the {other} examples that the loader gives ({set}): "
    "is each of them one case, and not a batch?",
    "no-examples": "the {set} is empty: there are no figures of it",
    "fewer": "{value} of the {other} examples were evaluated ({set}): does the loader drop the "
    "last batch?",
    "too-few-labels": "predict returned {value} labels for the {other} examples that the loader "
    "gives ({set}): there are no figures of labels; return labels and scores for each example",
    "all-the-same": "predict returned the same label and the same score for each example ({set}): "
    "there are no figures of labels; return those of each example",
    "made-up": "predict returned the same for each example ({set}): the figures are those of the "
    "model's outputs; return what is of each example, or leave predict out",
    "range": "all truths of target {value} lie at an end of its plausible values, or beyond "
    "({set}): are the two in one unit?",
    "returned": "train returned another model than the one that it was handed, which is left out: "
    "copy its weights into the one handed over, by load_state_dict",
    "buffers": "the evaluation changed buffers of the model ({set}), which were put back: does "
    "test or predict call net.train()?",
    "decided": "the scores that predict returned are all 0 or 1 ({set}): AUC and calibration are "
    "those of decisions; return probabilities",
    "local-anew": "the tensors that stay at the site are as Model() makes them, in round {value}: "
    "the site has none of an earlier round (it has not trained, or its volume is new)",
    "local-changed": "the tensors that stay at the site are as Model() makes them: those of the "
    "version of the app before have other names, types or shapes",
    "local-earlier": "the tensors that stay at the site are of round {value}, and this is round "
    "{other}: the site did not train in between, or its volume was put back",
    "all-one-value": "predict returned the same numbers for each example ({set}): there are no "
    "figures of them; return those of each example",
    "unmeasured": "some truths are not numbers (NaN, {set}): their targets leave these examples "
    "out",
    "no-events": "no patient has the event within the horizon ({set}): figures are undefined",
    "horizon": "all times lie in the first of the intervals up to the horizon, or beyond it "
    "({set}): is the horizon in the unit of the times?",
    "personal-anew": "the site's personal model begins anew in round {value}, as the federation's: "
    "the site has none of an earlier round, or one of another form",
    "slow-loader": "training waits {value} % of its time for the loader of the {set}, which gives "
    "{other} batches a second: give it num_workers, keep decoded or resized copies of the files in "
    "the data folder, or move work from the dataset to the GPU",
    "same-batches": "each round trains on the same first {value} of the {other} batches of the "
    "{set} (local_steps): give its loader shuffle=True",
    "last-batch": "the last batch of the {set} holds one example, with which BatchNorm cannot "
    "train: give its loader drop_last=True, or another batch size",
}


@dataclass(frozen=True)
class Notice:
    """One warning.

    Attributes:
        code: a key of :data:`NOTICES`.
        set: ``train``, ``val`` or ``test``.
        name: of a metric that the federation file declares.
        value: a number that the words name.
        other: another one.
    """

    code: str
    set: str = ""
    name: str = ""
    value: float | None = None
    other: float | None = None

    def __str__(self) -> str:
        numbers = {key: _short(getattr(self, key)) for key in ("value", "other")}
        return NOTICES[self.code].format(
            set=SET_NAMES.get(self.set, "data"), name=self.name, **numbers
        )

    def write(self) -> str:
        """Return the warning as JSON."""
        return json.dumps(asdict(self))

    @staticmethod
    def of(
        value: object, metrics: frozenset[str] | None = None, places: int = 3
    ) -> "Notice | None":
        """Return a warning, written anew from its checked values; None if it is none.

        Args:
            value: its attributes by name, as they came.
            metrics: the declared ones; None where any name may stand.
            places: digits of its numbers after the point.
        """
        if not isinstance(value, dict) or value.get("code") not in list(NOTICES):
            return None
        part, name = value.get("set"), value.get("name")
        known = isinstance(name, str) and (metrics is None or not name or name in metrics)
        numbers = (value.get("value"), value.get("other"))
        if part not in ("", *SET_NAMES) or not known or not all(map(_is_number, numbers)):
            return None
        first, second = (None if n is None else round(float(n), places) for n in numbers)
        return Notice(value["code"], str(part), str(name), first, second)


def _is_number(value: object) -> bool:
    if value is None:
        return True
    return type(value) in (int, float) and abs(value) <= 2**53 and isfinite(value)  # type: ignore[arg-type]


def _short(number: float | None) -> str:
    return "?" if number is None else f"{number:.3f}".rstrip("0").rstrip(".")
