"""What a strategy writes into its messages for the sites, on its way to the author's ``train``.

Flower hands a strategy's ConfigRecord to its ClientApp. Here its plain entries (numbers, strings,
truth values) travel in the signed instruction, and reach ``train`` where that takes a parameter
of such a name: ``strategy`` writes ``config["learning-rate"]``, ``train`` takes ``learning_rate``.
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import replace

from federator.errors import RunError
from federator.runtime.app_config import Setting
from federator.runtime.protocol.instructions import MOST_SETTINGS, Instruction, is_setting

_POSITIONAL = 4  # net, trainloader, valloader, epochs


def with_settings(
    instruction: Instruction, config: Mapping[str, object]
) -> tuple[Instruction, list[str]]:
    """Put a strategy's entries into an instruction to train.

    ``epochs`` and ``proximal-mu`` set what the instruction has of that name.

    Returns:
        The instruction, and the names of the entries that cannot travel.

    Raises:
        RunError: if there are too many.
    """
    entries = {name.replace("-", "_"): value for name, value in config.items()}
    entries.pop("server_round", None)
    left = [name for name, value in entries.items() if not is_setting(name, value)]
    taken: dict[str, Setting] = {n: v for n, v in entries.items() if n not in left}  # type: ignore[misc]
    if len(taken) > MOST_SETTINGS:
        raise RunError(
            f"the strategy writes {len(taken)} entries for the sites, {MOST_SETTINGS} can travel"
        )
    epochs, mu = taken.pop("epochs", None), taken.pop("proximal_mu", None)
    if type(epochs) is int and epochs > 0:
        instruction = replace(instruction, epochs=epochs)
    elif epochs is not None:
        left.append("epochs")
    if isinstance(mu, float | int):
        instruction = replace(instruction, proximal_mu=float(mu))
    return replace(instruction, settings=taken), left


def split_settings(
    train: Callable[..., object], settings: Mapping[str, Setting]
) -> tuple[dict[str, Setting], list[str]]:
    """Return the entries that a ``train`` takes by name, and the names of the others."""
    parameters = inspect.signature(train).parameters
    names = [
        name
        for name, one in list(parameters.items())[_POSITIONAL:]
        if one.kind in (one.KEYWORD_ONLY, one.POSITIONAL_OR_KEYWORD)
    ]
    if any(one.kind is one.VAR_KEYWORD for one in parameters.values()):
        names += settings.keys() - parameters.keys()
    taken = {name: value for name, value in settings.items() if name in names}
    return taken, [name for name in settings if name not in taken]
