"""The first global model, made once on the coordinator's machine: never at a site.

``python -m federator.runtime initial`` writes it as safetensors, with the names of the tensors that
are no parameters beside it (buffers.py), from the author's ``Model()`` (which may fetch pretrained
weights here, where there is a network), or from a file of the author's own, whose tensors must
then be those of ``Model()``. Tensors that stay at the sites are left out of either.
"""

import logging
from pathlib import Path
from typing import NamedTuple

from federator.runtime.app_config import app_config, choose
from federator.runtime.options import Parser
from federator.runtime.protocol.outcomes import Failure
from federator.runtime.protocol.privacy.settings import PrivacySettings
from federator.runtime.weights.buffers import Buffers, find_buffers, write_buffers
from federator.runtime.weights.format import (
    Weights,
    WeightsError,
    describe,
    load,
    require_same,
    save,
    size,
)
from federator.runtime.weights.local_tensors import LocalTensors, LocalTensorsError
from federator.runtime.worker.author_code import import_task, reporting_failures, seed_all
from federator.runtime.worker.privacy.training import require_suitable
from federator.runtime.worker.sandbox.pretrained import first_model
from federator.runtime.worker.sandbox.scratch import Workspace
from federator.runtime.worker.state import take, tied
from federator.runtime.worker.targets import as_plain

_NONE = LocalTensors()


class First(NamedTuple):
    """The first model: its shared weights, which of them are no parameters, and its whole size."""

    weights: Weights
    buffers: Buffers
    size: int


def build(
    folder: Path | None, seed: int, local: LocalTensors = _NONE, private: bool = False
) -> First:
    """Return the author's ``Model()``, built from a seed; frozen weights first.

    Without the tensors that stay at the sites, which make them from the same seed.

    Raises:
        Failure: if the author's code fails; ``local``, if what is to stay does not go with it;
            ``privacy-model``, if it is to be trained with differential privacy and cannot be.
    """
    workspace = Workspace(folder, None)
    with reporting_failures("import"), workspace.entered():
        module = import_task(folder)
    seed_all(seed)
    with reporting_failures(part="Model"), workspace.entered():
        net = first_model(module.Model)
        if not hasattr(net, "state_dict"):
            raise Failure("contract", "Model")
        weights = take(net)
        try:
            local.require_fitting(weights, tied(net))
        except LocalTensorsError as error:
            raise Failure("local", str(error)) from None
        if private:
            require_suitable(net)
        frozen = {name for name, one in net.named_parameters() if not one.requires_grad}
    # Side by side, so that the parts that they fill need not travel again (parts.py).
    order = sorted(local.shared(weights), key=lambda name: name not in frozen)
    buffers = frozenset(find_buffers(net).intersection(order))
    return First({name: weights[name] for name in order}, buffers, size(weights))


def read(path: Path) -> Weights:
    """Return weights from a safetensors file, or a state dictionary saved by torch.

    Raises:
        WeightsError: if the file holds neither. Nothing in it is executed.
    """
    if path.suffix == ".safetensors":
        return load(path)
    import torch

    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        return {name: as_plain(tensor).numpy() for name, tensor in state.items()}
    except Exception as error:
        raise WeightsError(f"{path.name} is no state dictionary: {type(error).__name__}") from None


def main(arguments: list[str] | None = None) -> int:
    """Write the first model; 1 if the author's code fails, 2 if a given file is not its."""
    parser = Parser(prog="federator-initial", description=__doc__)
    parser.add_argument("--app", type=Path, required=True, help="folder of the Flower App")
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--out", type=Path, help="safetensors file to write")
    where.add_argument("--size", action="store_true", help="only print the bytes of the weights")
    parser.add_argument("--from", type=Path, dest="source", help="weights of the author's own")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO)
    config = app_config(options.app)
    choose(config)
    try:
        local = LocalTensors.of(config)
        private = PrivacySettings.in_config(config) is not None
        seed = int(config["seed"])
        weights, buffers, whole = build(options.app.resolve(), seed, local, private)
        if options.source is not None:
            given = local.shared(read(options.source))
            require_same(describe(given), describe(weights))
            weights = {name: given[name] for name in weights}
    except Failure as failure:
        if failure.reason == "fetch":  # no rule here, where there may be a network
            failure.reason = "exception"
        print(failure.write())
        return 1
    except WeightsError as error:
        print(error)
        return 2
    if options.size:
        print(whole)
    else:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        write_buffers(options.out, buffers)
        save(options.out, weights)
    return 0
