"""Why a site cannot evaluate a task: what was found in its batches, outputs and predictions.

Each text says what to write. A failure's reason is the task's name, a hyphen and a key below; the
reasons of classification stand with those of all other failures (``protocol/outcomes.py``).
"""

from collections.abc import Mapping

_PREDICT = {
    "multilabel": "`def predict(net, loader): ... return targets, scores`",
    "segmentation": "`def predict(net, loader): ... yield mask, predicted` for each case",
    "regression": "`def predict(net, loader): ... return truths, predictions`",
    "survival": "`def predict(net, loader): ... return times, events, risks`",
}
# Of every task: what is found where the notebook has no `predict`.
_WITHOUT_PREDICT = {
    "batches": "a batch of the {set} is {type}, not a pair (inputs, targets): write {predict}",
    "inputs": "the inputs in a batch of the {set} are {type}, not a tensor: write {predict}",
    "output-kind": "the model returns {type}, not a tensor: write {predict}",
}
# Of every task: what is found in what `predict` returned.
_WITH_PREDICT = {
    "swapped": "what predict returned last for the {set} is what the loader gives as true: in this "
    "order, {predict}",
}
_MULTILABEL = "0 or 1 (NaN or -1: not labelled) of shape (N, {count})"
_WITH_SPACING = "`yield mask, predicted, spacing` for each case, in mm along each axis"
_CLASSES = "class numbers 0..{last}, 0 the background"
_NUMBERS = "{count} column(s), (N, {count}), of real numbers (of one target, (N,) will do)"
_OF_TASK = {
    "multilabel": {
        "targets": "the targets of the {set} are {found}, {type}: for {count} labels, give "
        + _MULTILABEL
        + ", or write {predict}",
        "outputs": "the model's outputs are {found}: for {count} labels, give logits (or "
        "probabilities) of shape (N, {count}), one row for each example of the batch, or write "
        "{predict}",
        "prediction": "predict returned {type}: {predict}",
        "predicted-targets": "the targets that predict returned for the {set} are {found}, "
        "{type}: for {count} labels, return " + _MULTILABEL,
        "scores": "the scores that predict returned for the {set} are {found}, {type}: return "
        "probabilities in 0..1 in the shape of the targets, (N, {count})",
    },
    "regression": {
        "targets": "the targets of the {set} are {found}, {type}: give " + _NUMBERS + ", or write "
        "{predict}",
        "outputs": "the model's outputs are {found}, {type}: give " + _NUMBERS + ", one row for "
        "each example of the batch, or write {predict}",
        "prediction": "predict returned {type}: write {predict}",
        "predicted-targets": "the truths that predict returned for the {set} are {found}, {type}: "
        "return " + _NUMBERS + ", NaN where one was not measured",
        "predictions": "the predictions that predict returned for the {set} are {found}, {type}: "
        "return " + _NUMBERS + ", one row for each truth",
    },
    "survival": {
        "needs-predict": "a survival analysis needs a predict: write {predict}",
        "prediction": "predict returned {type}: write {predict}",
        "times": "the times that predict returned for the {set} are {found}, {type}: return one "
        "number from 0 for each patient, in the unit of the horizon",
        "events": "the events that predict returned for the {set} are {found}, {type}: return 1 "
        "for each patient with the event and 0 for the others, in the order times, events, risks",
        "risks": "the risks that predict returned for the {set} are {found}, {type}: return one "
        "number for each patient, higher for who dies earlier",
    },
    "segmentation": {
        "targets": "the masks of the {set} are {found}, {type}: give " + _CLASSES + ", of shape "
        "(N, H, W) or (N, D, H, W) (or with a channel axis of 1 after N), or write {predict}",
        "outputs": "the model's outputs are {found}, which do not fit the masks of their batch: "
        "for {count} classes, give logits of shape (N, {count}) and the masks' size (or, for two "
        "classes, (N, 1) and it), or write {predict}",
        "prediction": "predict returned {type}: write {predict}",
        "case": "predict yields {type} for a case of the {set}: {predict}",
        "spacing-needs-predict": "surfaces in mm need a predict that knows the voxels' spacing: "
        "write " + _WITH_SPACING,
        "without-spacing": "predict yields {type} for a case of the {set}, and surfaces are in mm: "
        "write " + _WITH_SPACING,
        "spacing": "the spacing that predict yields for a case of the {set} is {found}, {type}: "
        "yield mm between voxels, above 0, one number for each axis of the mask",
        "mask": "a mask that predict yields for the {set} is {found}, {type}: yield "
        + _CLASSES
        + ", of shape "
        "(H, W) or (D, H, W)",
        "predicted": "what predict yields as predicted for the {set} is {found}, {type}: yield "
        + _CLASSES
        + ", in the mask's shape (of logits: argmax over the classes)",
        "amount": "predict yields {first} cases for the {count} examples of the {set}: yield "
        "`mask, predicted` once for each example",
        "cases": "predict yields more than {first} cases for the {count} examples of the {set}: "
        "yield one for each example",
    },
}


def _filled(task: str, texts: Mapping[str, str]) -> dict[str, str]:
    return {
        f"{task}-{key}": text.replace("{predict}", _PREDICT[task]) for key, text in texts.items()
    }


TASK_REASONS: Mapping[str, str] = {
    reason: text
    for task, texts in _OF_TASK.items()
    for reason, text in _filled(task, {**_WITHOUT_PREDICT, **_WITH_PREDICT, **texts}).items()
}
