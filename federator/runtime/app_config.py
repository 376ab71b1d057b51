"""The configuration of a Flower App, and the parameters of the notebook that a run may set.

The converter writes the assignments of the cell tagged ``parameters`` as
``NAME = parameter("NAME", default)``, so that whatever is computed from them follows.
"""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

Setting = bool | float | int | str
Value = TypeVar("Value", bool, float, int, str)

_PREFIX = "parameters."
_chosen: dict[str, Setting] = {}


def app_config(folder: Path) -> dict[str, Setting]:
    """Return the configuration of a Flower App's folder, nested keys joined by dots."""
    table = tomllib.loads((folder / "pyproject.toml").read_text())["tool"]["flwr"]["app"]["config"]
    flat: dict[str, Setting] = {}
    for key, value in table.items():
        nested = value if isinstance(value, dict) else {"": value}
        flat.update({f"{key}.{name}".rstrip("."): item for name, item in nested.items()})
    return flat


def choose(run_config: Mapping[str, Setting]) -> None:
    """Take the parameters of a run from its configuration, before ``task`` is imported."""
    _chosen.clear()
    for key, value in run_config.items():
        if key.startswith(_PREFIX):
            _chosen[key.removeprefix(_PREFIX)] = value


def parameter(name: str, default: Value) -> Value:
    """Return the run's value of a parameter, in the type of its default.

    Raises:
        TypeError: if the run's value is not of the default's type (an int passes for a float).
    """
    value = _chosen.get(name, default)
    if isinstance(default, float) and type(value) is int:
        value = float(value)
    if not isinstance(value, type(default)) or isinstance(value, bool) != isinstance(default, bool):
        raise TypeError(
            f"parameter {name} is a {type(default).__name__} in the notebook, "
            f"but the run sets it to {value!r}"
        )
    return value


def local_steps(config: Mapping[str, Setting]) -> int | None:
    """Return how many batches an epoch has; None for those that a site's loader has."""
    return int(config["local-steps"]) if "local-steps" in config else None
