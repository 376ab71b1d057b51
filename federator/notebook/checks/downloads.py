"""Warnings about calls that fetch something from the Internet: a site has no network.

Pretrained weights are an exception. ``Model()`` may fetch them: this happens where the first model
is made, and the sites get the weights from the server (``runtime/pretrained.py``).
"""

import ast
import re
from collections.abc import Iterator

from federator.errors import Problem
from federator.notebook.slicing.closure import Program
from federator.notebook.slicing.statements import Step
from federator.runtime.worker.sandbox.pretrained import ARGUMENT

_WEIGHTS = frozenset({"load_state_dict_from_url", "load_url", "download_url_to_file"})
_WHATEVER = frozenset({
    *("from_pretrained", "hf_hub_download", "snapshot_download", "load_dataset"),
    *("encoding_for_model", "urlretrieve", "urlopen", "download_and_extract_archive"),
})  # fmt: skip
_DOTTED = frozenset({
    *("torch.hub.load", "nltk.download", "gdown.download", "wget.download", "requests.get"),
    *("tiktoken.get_encoding", "spacy.cli.download"),
})  # fmt: skip
_NAMED_WEIGHTS = re.compile(r"DEFAULT|IMAGENET\w*|COCO\w*|KINETICS\w*|imagenet|\w+_Weights\.\w+")
_PARTS = ("load_data", "train", "test", "predict", "patients_of")
_BESIDE = "put the file beside the notebook or into each site's data folder, and read it from there"
_MOVED = "move it into Model, where it is run once, for the first model"
_IN_MODEL = (
    f"let Model take `{ARGUMENT}` (True where the first model is made, False at a site, which "
    "needs the structure only), or put the files beside the notebook"
)


def warnings(program: Program, task: list[Step]) -> Iterator[Problem]:
    """Yield a warning for each call that would fetch something at a site."""
    elsewhere = {step.index for step in program.closure(_PARTS)}
    of_model = {step.index for step in program.closure(["Model"])} - elsewhere
    asks = any(_takes_argument(step) for step in program.bindings("Model"))
    for step in task:
        for call, at_once in _calls(step):
            what = f"`{_shown(call)}` fetches from the Internet, and a site has no network"
            weights, whatever = _fetches_weights(call), _fetches(program, call)
            read = any(call is one for one in program.effects[step.index].reads)
            if not (weights or whatever) or (read and not weights):  # told as a read
                continue
            if at_once and step.index in of_model | elsewhere:
                movable = weights and step.index in of_model
                told = _MOVED if movable else _BESIDE
                yield Problem(what, step.where(call), told)
            elif step.index not in of_model:
                yield Problem(what, step.where(call), _BESIDE)
            elif whatever and not asks:
                yield Problem(what, step.where(call), _IN_MODEL)


def _calls(step: Step) -> Iterator[tuple[ast.Call, bool]]:
    """Yield the calls of a step, and whether each runs as soon as the code is loaded."""
    waiting: list[tuple[ast.AST, bool]] = [(node, True) for node in step.nodes]
    while waiting:
        node, at_once = waiting.pop()
        if isinstance(node, ast.Call):
            made_later = ast.unparse(node.func).rpartition(".")[2] == "partial"
            yield node, at_once and not made_later
        function = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        waiting += [(child, at_once and not function) for child in ast.iter_child_nodes(node)]


def _fetches_weights(call: ast.Call) -> bool:
    """Return whether a call fetches pretrained weights in a way that a site can do without."""
    if ast.unparse(call.func).rpartition(".")[2] in _WEIGHTS:
        return True
    for keyword in call.keywords:
        value = keyword.value
        if keyword.arg == ARGUMENT and isinstance(value, ast.Constant) and value.value is True:
            return True
        if keyword.arg in ("weights", "weights_backbone", "encoder_weights"):
            named = value.value if isinstance(value, ast.Constant) else ast.unparse(value)
            if isinstance(named, str) and _NAMED_WEIGHTS.search(named):
                return True
    return False


def _fetches(program: Program, call: ast.Call) -> bool:
    """Return whether a call fetches anything else."""
    dotted = program.dotted(call.func) or ""
    if dotted in _DOTTED:
        return True
    if ast.unparse(call.func).rpartition(".")[2] in _WHATEVER:
        return not _is_path(call)
    return any(
        keyword.arg == "download"
        and isinstance(keyword.value, ast.Constant)
        and keyword.value.value is True
        for keyword in call.keywords
    )


def _is_path(call: ast.Call) -> bool:
    """Return whether a call names a file or folder, not something on the Internet."""
    first = call.args[0] if call.args else None
    text = first.value if isinstance(first, ast.Constant) else None
    return isinstance(text, str) and text.startswith((".", "/", "file:"))


def _takes_argument(step: Step) -> bool:
    """Return whether the step that defines ``Model`` has it take ``pretrained``."""
    functions = (ast.FunctionDef, ast.Lambda)
    found = (node for node in step.walk() if isinstance(node, functions))
    for node in found:
        arguments = node.args
        if ARGUMENT in {one.arg for one in (*arguments.args, *arguments.kwonlyargs)}:
            return True
    return False


def _shown(call: ast.Call) -> str:
    text = ast.unparse(call)
    return text if len(text) <= 60 else f"{text[:57]}..."
