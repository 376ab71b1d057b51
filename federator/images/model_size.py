"""The size of a federation's model: noted in the server's file, or asked of the client image."""

from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from federator.errors import FederatorError, Problem
from federator.images import engine
from federator.images.build import Images
from federator.runtime.protocol.outcomes import Failure

MODEL_BYTES = "x-model-bytes"
"""The key of ``server.yaml`` under which it is noted."""


def model_bytes(server: Path, images: Images) -> int:
    """Return the model's size in bytes, from the server's file or by a run of the client image.

    Args:
        server: ``server.yaml``, which need not be there.
        images: the pushed images.

    Raises:
        EngineError: if the image cannot be run.
        FederatorError: if the author's code cannot build the model there.
    """
    try:
        known = YAML(typ="safe").load(server.read_text(encoding="utf-8"))
        if known["services"]["init"]["image"] == str(images.client):
            return int(known[MODEL_BYTES])
    except (OSError, YAMLError, LookupError, TypeError, ValueError):
        pass  # there is none, or it is of another model
    # As at a site, the author's code has no network here.
    confined = ("--rm", "--network=none", "--read-only", "--tmpfs=/tmp", "--cap-drop=ALL")
    command = ("initial", "--app=/app", "--size")
    try:
        said = engine.docker("run", *confined, str(images.client), *command)
    except engine.EngineError as error:
        raise _not_built(error) from None
    return int(said.splitlines()[-1])  # the last line: the author's code may print before it


def _not_built(error: engine.EngineError) -> FederatorError:
    """Return the error to report when the client image could not build the model."""
    *_, last = error.printed.strip().splitlines() or [""]
    if not last.startswith("{"):
        return error
    message = f"the model's size is unknown: {Failure.read(last)}"
    hint = (
        "it is built in the client image without a network, as at a site: let Model() fetch "
        "nothing there, and have a file of weights: initial_weights in federation.yaml"
    )
    return FederatorError(Problem(message, hint=hint))
