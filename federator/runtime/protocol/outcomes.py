"""The outcome of an instruction: counts and weights, or a failure without its message."""

import json
from dataclasses import asdict, dataclass, field

from federator.runtime.protocol.evaluation.tables import Tables
from federator.runtime.protocol.evaluation.task_reasons import TASK_REASONS
from federator.runtime.protocol.notices import SET_NAMES, Notice
from federator.runtime.protocol.privacy.account import PrivacyAccount
from federator.runtime.protocol.privacy.reasons import PRIVACY_REASONS
from federator.runtime.protocol.privacy.spending import Spending
from federator.runtime.protocol.survey import Survey
from federator.runtime.untrusted import MALFORMED, read_json


@dataclass(frozen=True)
class Evaluation:
    """How a model did on one set of one site, as sums that add up over sites.

    Attributes:
        tables: by name, those of the task (evaluation/tasks.py); none where labels and scores were
            made up: what follows from them is undefined then.
        loss: mean over the examples; None where it does not leave.
        examples: number of examples: those of the tables, or the set's size where they tell none.
        metrics: further numbers that the federation file declares.
        withheld: names of tables, and of rows of a matrix, that the site's minimum cell count does
            not let out; and ``loss``, if the site keeps it.
        rounded: that minimum, by which confusion matrices are rounded; below 2 if they are not.
        noise: under differential privacy, the epsilon of the noise on all counts together; 0 if
            there are none. None without it.
    """

    tables: Tables
    loss: float | None
    examples: int
    metrics: dict[str, float] = field(default_factory=dict)
    withheld: tuple[str, ...] = ()
    rounded: int = 0
    noise: float | None = None


@dataclass(frozen=True)
class Outcome:
    """What a site reports back, beside the weights: set sizes, evaluations by set, warnings.

    A set without examples has no evaluation. A survey is told at joining, if it is asked for and
    the site takes part in it. Under differential privacy the worker tells its link what an epoch
    of training would cost, at joining, and what a training has cost, with its update; the link
    adds what all has cost so far.
    """

    examples: dict[str, int]
    evaluations: dict[str, Evaluation] = field(default_factory=dict)
    warnings: tuple[Notice, ...] = ()
    survey: Survey | None = None
    spending: Spending | None = None
    privacy: PrivacyAccount | None = None


_PREDICT = "`def predict(net, loader): ... return labels, scores`"
_CLASSES = "class numbers 0..{last} of shape (N,)"

REASONS = {
    "exception": "{place}",
    "import": "{place}",
    "data-missing": "the data folder is not there",
    "data-empty": "the data folder, or the {set} in it, is empty",
    "assets": "a file that the notebook reads beside itself is missing: of text files, Flower's "
    "bundle contains .json, .yaml, .toml and .md only",
    "no-batch": "the loader of the {set} gives no batch: {count} examples, and drop_last with "
    "batches of {first}",
    "no-batch-at-all": "the loader of the {set} gives no batch, but load_data says {count} "
    "examples",
    "once": "the loader of the {set} can be read only once (a generator or an iterator): return "
    "a DataLoader, or a list of batches",
    "batches": "a batch of the {set} is {type}, not a pair (inputs, labels): write " + _PREDICT,
    "targets": "the labels of the {set} are {found}, {type}: give "
    + _CLASSES
    + ", or write "
    + _PREDICT,
    "predicted-targets": "the labels that predict returned for the {set} are {found}, {type}: "
    "return " + _CLASSES,
    "labels": "the {set} has labels outside 0..{last}, for the {count} labels that the "
    "federation file names",
    "amount": "predict returned {first} labels for the {count} examples of the {set}: return one "
    "for each example (of a label for each pixel, write task: segmentation)",
    "loader-amount": "the loader of the {set} gives {first} examples, load_data says {count}",
    "prediction": "predict returned {type}: return labels, scores",
    "swapped": "the scores that predict returned for the {set} are the labels that the loader "
    "gives: return labels, scores, in this order",
    "scores": "the scores that predict returned for the {set} are {found}: for {count} labels, "
    "return scores of shape (N, {count}), or (N,) where there are two",
    "scores-range": "the scores that predict returned for the {set} are not in 0..1: return the "
    "probability of the positive label, or a score for each label in shape (N, {count})",
    "scores-not-finite": "predict returned scores that are not finite numbers, for the {set} in "
    "round {count}",
    "inputs": "the inputs in a batch of the {set} are {type}, not a tensor: write " + _PREDICT,
    "width": "the model's output has {width} column(s), the federation file names {count} labels: "
    "set CLASSES in the notebook, or labels in the federation file",
    "outputs": "the model's outputs are {found}, not (N, {count}) for {count} labels: write "
    + _PREDICT,
    "rows": "the model's outputs are {found} for a batch of {count} examples: write " + _PREDICT,
    "output-kind": "the model returns {type}, not a tensor: write " + _PREDICT,
    "outputs-not-finite": "the model's outputs are not finite numbers, for the {set} in round "
    "{count}",
    "test": "test returned {type}: return `loss, accuracy`, or a dictionary with `loss`",
    "loss": "the loss that test returned is not a finite number, for the {set} in round {count}",
    "contract": "{type} returned something else than the contract says",
    "lazy": "Model() has tensors that are not there before the first batch (lazy layers): {type}",
    "state": "Model() has a state dictionary with something else than tensors: {type}",
    "tensor-type": "Model() has a tensor of a type that cannot travel ({dtype}): {type}",
    "last-batch": "a batch of the training set holds one example, with which BatchNorm cannot "
    "train ({place}): give its loader drop_last=True, or another batch size",
    "fetch": "a site has no network, and something was to be fetched ({place}): put the file "
    "beside the notebook, or let Model take `pretrained`, which is False at a site",
    "fetch-kept": "Model() fetches weights that are not part of its state, so that no site gets "
    "them: make them part of it, or put the file beside the notebook",
    "grown": "the model's state has other tensors after a batch than Model() gave it, or tensors "
    "of other shapes: make them in Model(), or register the buffer with persistent=False",
    "misfit": "the weights that came are not those of the notebook's Model(): it was changed since",
    "local": "local in the federation file: {type}",
    "no-volume": "the site has no folder for the tensors that stay there: a stock SuperNode takes "
    "one by its node configuration, personal-dir",
    "not-kept": "what stays at the site cannot be written to its volume ({type}): is it full, or "
    "another user's?",
    "no-personal": "the site has trained no personal model yet, in this run and of this form",
    "no-proximal": "the personal model was trained without its proximal term: let train take "
    "proximal_mu and global_weights, or make its steps by an optimizer of torch.optim",
    "withheld": "the worker's answer held something that may not leave the site ({type})",
    "no-worker": "no worker is connected to the link",
    "worker-died": "the worker ended while it worked (killed: out of memory is the usual cause)",
    "late": "the deadline passed",
    "sizes": "the site has another number of examples than when it joined: it has to join again",
    "outdated": "the site takes part in another version of the app ({type}): it has to take its "
    "new compose file",
    "refused": "the site refused the instruction: {type}",
    "rejected": "the server rejected what the site sent: {type}",
    "lost": "the connection to the site was lost",
    "unknown": "the site failed and gave no reason",
    **TASK_REASONS,
    **PRIVACY_REASONS,
}
# What a link says and never its worker, and what the server says and never a site.
OF_LINKS = frozenset({
    "withheld", "no-worker", "worker-died", "late", "sizes", "outdated", "refused",
})  # fmt: skip
OF_SERVERS = frozenset({"rejected", "lost"})
_MOST_TEXT = 2**14  # characters of a failure that is written down
PARTS = ("load_data", "Model", "train", "test", "predict", "patients_of")
# A file that is none of the app's is told by the library that it is of.
LIBRARIES = frozenset({
    "torch", "torchvision", "torchaudio", "torchmetrics", "numpy", "pandas", "scipy", "sklearn",
    "PIL", "cv2", "skimage", "monai", "nibabel", "pydicom", "SimpleITK", "h5py", "timm",
    "albumentations", "transformers", "tokenizers", "datasets", "accelerate", "lightning",
    "pytorch_lightning", "matplotlib", "tqdm", "medmnist", "ignite", "fastai",
})  # fmt: skip


@dataclass(eq=False)
class Failure(Exception):
    """Why a site could not do what it was told: never a message, which may hold a patient's data.

    Attributes:
        reason: a key of :data:`REASONS`.
        type: the exception's type, or a few words of this library's own.
        file: a file of the app, where the author's code was last seen running; or, with no line,
            the library that was running (one of :data:`LIBRARIES`).
        line: a line in it, from 1; 0 if none.
        part: which of :data:`PARTS` was running.
        set: ``train``, ``val`` or ``test``.
        dtype: type of the numbers that were found.
        shape: their shape; or the size of a batch.
        count: what they must fit: labels, examples; or the round.
    """

    reason: str
    type: str = ""
    file: str = ""
    line: int = 0
    part: str = ""
    set: str = ""
    dtype: str = ""
    shape: tuple[int, ...] = ()
    count: int = 0

    def __str__(self) -> str:
        return REASONS[self.reason].format(**{**asdict(self), **self._words()})

    @property
    def place(self) -> str:
        """Where an exception was raised: a line of the author's, else a part, and a library."""
        if self.line:
            verb = "while loading" if self.reason == "import" else "in"
            return f"{self.type} {verb} {self.file}, line {self.line}"
        where = f" in {self.part}" if self.part else ""
        if self.reason == "import":
            where = " while loading the app"
        within = f" (within {self.file})" if self.file else ""
        return f"{self.type}{where}, outside the notebook's own lines{within}"

    def _words(self) -> dict[str, object]:
        shape = f"of shape ({', '.join(map(str, self.shape))}{',' * (len(self.shape) == 1)})"
        return {
            "place": self.place,
            "set": SET_NAMES.get(self.set, "data"),
            "found": f"{self.dtype} {shape}".strip() if self.dtype or self.shape else "no numbers",
            "first": self.shape[0] if self.shape else 0,
            "width": self.shape[-1] if self.shape else 0,
            "last": self.count - 1,
        }

    def write(self) -> str:
        """Return the failure as JSON."""
        return json.dumps(asdict(self))

    @staticmethod
    def read(text: str) -> "Failure":
        """Return the failure written in JSON; ``unknown`` for anything else."""
        try:
            found = read_json(text, _MOST_TEXT)
            failure = Failure(**found)  # type: ignore[arg-type]
            failure.shape = tuple(failure.shape)
            if failure.reason in REASONS and failure._is_well_formed():
                str(failure)
                return failure
        except MALFORMED:
            pass
        return Failure("unknown")

    def _is_well_formed(self) -> bool:
        texts = (self.reason, self.type, self.file, self.part, self.set, self.dtype)
        numbers = (self.line, self.count, *self.shape)
        return all(isinstance(text, str) for text in texts) and all(
            type(number) is int and number >= 0 for number in numbers
        )
