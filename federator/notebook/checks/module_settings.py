"""Settings of imported modules at the top level of a notebook, and of the environment.

A setting goes in if its module does (``torch.set_default_dtype(…)``,
``Image.MAX_IMAGE_PIXELS = …``, ``os.environ["X"] = …`` where X is read or meant for a module that
goes in). A setting that fits one machine stays behind with a warning. A secret never goes in. Seeds
stay behind: a run has its own.
"""

import ast
import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from federator.errors import Problem
from federator.notebook.checks import made_folders, portability
from federator.notebook.slicing import imports
from federator.notebook.slicing.closure import Program
from federator.notebook.slicing.statements import Step

_SECRET = re.compile(r"(?:.*_)?(?:TOKEN|KEY|APIKEY|SECRET|PASSWORD|PASSWD|CREDENTIALS?)S?(?:_.*)?")
_OF_A_MACHINE = re.compile(
    r"CUDA_VISIBLE_DEVICES|(?:.*_)?(?:HOME|DIR|PATH|CACHE|PROXY|ADDR|HOST|PORT|UR[IL]|ENDPOINT)"
    r"|USER|DISPLAY|WANDB_.*|MLFLOW_.*",
    re.IGNORECASE,
)
_CALLS_OF_A_MACHINE = re.compile(
    r"sys\.path\..*|torch\.cuda\.set_device|torch\.hub\.set_dir|.*_uri"
)
_ENVIRONMENT = re.compile(r"os\.(?:environ(?:\..*)?|putenv)")
_MEANT_FOR = {
    ("CUBLAS_", "CUDA_", "PYTORCH_", "TORCH_", "NCCL_"): {"torch"},
    ("OMP_", "MKL_", "KMP_", "OPENBLAS_", "NUMEXPR_"): {"torch", "numpy"},
    ("TOKENIZERS_", "TRANSFORMERS_", "HF_"): {"transformers", "tokenizers", "datasets", "timm"},
    ("TF_", "KERAS_"): {"tensorflow", "keras"},
    ("OPENCV_",): {"cv2"},
    ("NO_ALBUMENTATIONS_", "ALBUMENTATIONS_"): {"albumentations"},
}


@dataclass(frozen=True)
class Setting:
    """A setting of a module, or a variable of the environment.

    Attributes:
        step: the statement that sets it.
        node: where in it.
        name: its full name, or the environment variable's.
        module: the module that it is a setting of; None for the environment.
    """

    step: Step
    node: ast.AST
    name: str
    module: str | None

    @property
    def is_secret(self) -> bool:
        """Whether it is a secret of the author's."""
        return self.module is None and _SECRET.fullmatch(self.name.upper()) is not None

    @property
    def fits_one_machine(self) -> bool:
        """Whether it says where something is on the author's machine."""
        texts = [n.value for n in ast.walk(self.node) if isinstance(n, ast.Constant)]
        for top in self.step.nodes:
            if isinstance(top, ast.Assign) and self.node in top.targets:
                texts += [n.value for n in ast.walk(top.value) if isinstance(n, ast.Constant)]
        if any(isinstance(t, str) and portability.is_own_path(t) for t in texts):
            return True
        if self.module is None:
            return _OF_A_MACHINE.fullmatch(self.name) is not None
        device = self.name.endswith("set_default_device") and any("cuda" in str(t) for t in texts)
        return device or _CALLS_OF_A_MACHINE.fullmatch(self.name) is not None

    def concerns(self, steps: Iterable[Step]) -> bool:
        """Whether it may make a difference to these steps."""
        steps = list(steps)
        inside = set(_imported(steps))
        if self.name.endswith("tqdm.pandas"):
            return "pandas" in inside and any(".progress_" in step.source for step in steps)
        if self.module is not None:
            return self.module in inside
        meant = [found for starts, found in _MEANT_FOR.items() if self.name.startswith(starts)]
        read = {step.index for step in steps if self._is_read(step)} - {self.step.index}
        return bool(read) or any(found & inside for found in meant)

    def _is_read(self, step: Step) -> bool:
        return any(
            isinstance(node, ast.Constant) and node.value == self.name for node in step.walk()
        )


def settings(program: Program) -> Iterator[Setting]:
    """Yield all settings that the steps of a notebook make, seeds apart."""
    for step in program.steps:
        for name, node in program.effects[step.index].settings.items():
            if not _ENVIRONMENT.fullmatch(name):
                yield Setting(step, node, name, name.split(".")[0])
                continue
            for key in _keys(node):
                if key != "PYTHONHASHSEED":
                    yield Setting(step, node, key, None)


def closure(program: Program, names: Iterable[str], forced: Collection[Step] = ()) -> list[Step]:
    """Return what names need, with the settings and folders that plainly belong to it."""
    names, taken = list(names), list(forced)
    found = [
        setting
        for setting in settings(program)
        if not (setting.is_secret or setting.fits_one_machine)
        and not program.trains_or_reads(setting.step)
    ]
    refused = {s.step.index for s in settings(program) if s.is_secret or s.fits_one_machine}
    while True:
        steps = program.closure(names, taken)
        inside = {step.index for step in steps} | refused
        more = [s.step for s in found if s.step.index not in inside and s.concerns(steps)]
        more += made_folders.needed(program, steps)
        if not more:
            return steps
        taken += more


def secrets(program: Program, steps: list[Step]) -> Iterator[Problem]:
    """Yield an error for every secret that would go in."""
    taken = {step.index for step in steps}
    for setting in settings(program):
        if setting.is_secret and setting.step.index in taken:
            message = f"`{setting.name}` is a secret, and its statement goes to all sites"
            hint = "Set it in a statement of its own, in a cell without the tag `federate`."
            yield Problem(message, setting.step.where(setting.node), hint)


def left_behind(program: Program, steps: list[Step]) -> Iterator[Problem]:
    """Yield a warning for every setting that may make a difference, and stays behind."""
    taken = {step.index for step in steps}
    for setting in settings(program):
        if setting.step.index in taken or not setting.concerns(steps):
            continue
        message = f"the setting `{setting.name}` stays behind"
        if setting.is_secret:
            hint = "A secret goes to no site: what goes in must work without it."
        elif setting.fits_one_machine:
            hint = "It fits your machine only: what goes in must work without it."
        else:
            hint = "If what goes in needs it, tag the cell `federate`."
        yield Problem(message, setting.step.where(setting.node), hint)


def _imported(steps: Iterable[Step]) -> Iterator[str]:
    for step in steps:
        yield from (found.top for found in imports.found(step.nodes, step.where))


def _keys(node: ast.AST) -> Iterator[str]:
    """Yield the names that are set in ``os.environ``, where the text gives them."""
    found: list[ast.expr | None] = []
    if isinstance(node, ast.Subscript):
        found = [node.slice]
    elif isinstance(node, ast.Call):
        found = list(node.args[:1])
        for one in [a for a in node.args if isinstance(a, ast.Dict)]:
            found += one.keys
        yield from (keyword.arg for keyword in node.keywords if keyword.arg)
    for key in found:
        if isinstance(key, ast.Constant) and isinstance(key.value, str):
            yield key.value
