"""What a generated Flower App imports of this library: these three functions and nothing else.

An app's hash covers its import lines, and each site approves that hash. So neither this module nor
its functions are ever renamed: every app would change, and every site would have to approve it
again. The imports are inside the functions, because a site's image holds no server code, and the
server starts without the code of a worker.
"""

from typing import TYPE_CHECKING

from federator.runtime.app_config import parameter

if TYPE_CHECKING:
    from flwr.clientapp import ClientApp
    from flwr.serverapp import ServerApp

__all__ = ["client_app", "parameter", "server_app"]


def client_app(module: str) -> "ClientApp":
    """Return a Flower ClientApp around the author's code, for stock SuperNodes.

    Args:
        module: the module with the author's code, always ``task``.

    Raises:
        ValueError: if it is another module.
    """
    from federator.runtime.worker.process import client_app

    return client_app(module)


def server_app(module: str) -> "ServerApp":
    """Return a Flower ServerApp that runs the federation's rounds.

    Args:
        module: the module that defines ``strategy``.
    """
    from federator.runtime.server.server_app import server_app
    from federator.runtime.weights.buffers import Buffers
    from federator.runtime.weights.format import Weights
    from federator.runtime.weights.local_tensors import LocalTensors

    def first_model(seed: int, local: LocalTensors) -> tuple[Weights, Buffers]:
        from federator.runtime.worker.initial_model import build  # needs torch

        return build(None, seed, local)[:2]

    return server_app(module, first_model)
