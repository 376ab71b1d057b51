"""The names of a model's tensors, as far as the text of a notebook shows them."""

import ast
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

_AFFINE = ("weight", "bias")
_STATISTICS = ("running_mean", "running_var", "num_batches_tracked")
# The state of torch.nn's modules that notebooks use most, by the ends of their names.
_STATES: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("Linear", "Bilinear", "LayerNorm", "GroupNorm"), _AFFINE),
    **{f"Conv{kind}{d}d": _AFFINE for kind in ("", "Transpose") for d in (1, 2, 3)},
    **{f"BatchNorm{d}d": (*_AFFINE, *_STATISTICS) for d in (1, 2, 3)},
    **dict.fromkeys(("Embedding", "PReLU"), ("weight",)),
    **{f"{kind}Pool{d}d": () for kind in ("Max", "Avg", "AdaptiveAvg") for d in (1, 2, 3)},
    **{f"Dropout{d}": () for d in ("", "1d", "2d", "3d")},
    **dict.fromkeys(("ReLU", "GELU", "ELU", "LeakyReLU", "SiLU", "Sigmoid", "Tanh", "Softmax"), ()),
    **dict.fromkeys(("LogSoftmax", "Flatten", "Unflatten", "Identity", "Upsample"), ()),
    **{f"{kind}Loss": () for kind in ("CrossEntropy", "BCE", "BCEWithLogits", "MSE", "NLL")},
}
# What of it such an option leaves out if it is False.
_OPTIONS = {
    **dict.fromkeys(("affine", "elementwise_affine"), _AFFINE),
    **{"bias": ("bias",), "track_running_stats": _STATISTICS},
}
_ADDERS = frozenset({"add_module", "register_module", "register_buffer", "register_parameter"})
_DEEPEST = 10


@dataclass(frozen=True)
class TensorNames:
    """What the text shows.

    Attributes:
        known: names of tensors, in the order of the text.
        unknown: names of modules whose tensors it does not show; empty for the whole model.
    """

    known: tuple[str, ...]
    unknown: tuple[str, ...]


def tensor_names(sources: Iterable[str]) -> TensorNames:
    """Return the names of the tensors of ``Model``, from the statements that define it."""
    classes: dict[str, ast.ClassDef] = {}
    for source in sources:
        for node in ast.parse(source).body:
            if isinstance(node, ast.ClassDef):
                classes[node.name] = node
    if "Model" not in classes:
        return TensorNames((), ("",))
    found = list(_of_class(classes["Model"], classes, "", _DEEPEST))
    known = tuple(name for name, shown in found if shown)
    return TensorNames(known, tuple(name for name, shown in found if not shown))


def _of_class(
    node: ast.ClassDef, classes: Mapping[str, ast.ClassDef], prefix: str, depth: int
) -> Iterator[tuple[str, bool]]:
    """Yield a tensor's name and True, or that of a module that is not understood and False."""
    own = ("Module",)
    bases = [base.attr if isinstance(base, ast.Attribute) else _name(base) for base in node.bases]
    made = [n for n in node.body if isinstance(n, ast.FunctionDef) and n.name == "__init__"]
    if not all(base in own for base in bases) or not made or not depth:
        yield prefix.rstrip("."), False
        return
    for inside in ast.walk(made[0]):
        if isinstance(inside, ast.Assign):
            for name, value in _assigned(inside):
                yield from _of_value(value, classes, f"{prefix}{name}", depth - 1)
        elif isinstance(inside, ast.Attribute) and inside.attr in _ADDERS:
            yield prefix.rstrip("."), False


def _assigned(node: ast.Assign) -> Iterator[tuple[str, ast.expr]]:
    """Yield what is set of ``self``, and to what."""
    for target in node.targets:
        pairs = [(target, node.value)]
        if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
            pairs = list(zip(target.elts, node.value.elts, strict=False))
        for one, value in pairs:
            if isinstance(one, ast.Attribute) and _name(one.value) == "self":
                yield one.attr, value


def _of_value(
    value: ast.expr, classes: Mapping[str, ast.ClassDef], name: str, depth: int
) -> Iterator[tuple[str, bool]]:
    """Yield as :func:`_of_class`, of what an attribute of this name is set to."""
    if not isinstance(value, ast.Call):
        if not isinstance(value, ast.Constant | ast.Name):
            yield name, False
        return
    called = value.func.attr if isinstance(value.func, ast.Attribute) else _name(value.func)
    left_out = {one.arg for one in value.keywords if getattr(one.value, "value", None) is False}
    if called == "Parameter":
        yield name, True
    elif called in _STATES:
        without = {state for option in left_out for state in _OPTIONS.get(option or "", ())}
        yield from ((f"{name}.{state}", True) for state in _STATES[called] if state not in without)
    elif called == "Sequential" and not any(isinstance(a, ast.Starred) for a in value.args):
        for number, part in enumerate(value.args):
            if isinstance(part, ast.Call):
                yield from _of_value(part, classes, f"{name}.{number}", depth)
            else:
                yield f"{name}.{number}", False
    elif called in classes:
        yield from _of_class(classes[called], classes, f"{name}.", depth)
    else:
        yield name, False


def _name(node: ast.expr) -> str:
    return node.id if isinstance(node, ast.Name) else ""
