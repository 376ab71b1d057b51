"""The sites of a run, as the strategy's process reaches them: through the server's socket."""

from collections.abc import Mapping, Sequence

from federator.errors import RunError
from federator.runtime.protocol.handover import Channel
from federator.runtime.protocol.instructions import is_setting
from federator.runtime.strategy.grid import Kind, Reply, Request, as_model
from federator.runtime.weights.format import Tensor, Weights, WeightsError


class RemoteSites:
    """Asks the server for what a strategy wants of the sites.

    Args:
        channel: the connection to the server.
        tensors: the model's parameters, by name.
        name: of the strategy's class.
    """

    def __init__(self, channel: Channel, tensors: Mapping[str, Tensor], name: str) -> None:
        self._channel, self._tensors, self._name = channel, tensors, name

    def nodes(self) -> list[int]:
        """Return the nodes of the sites that joined.

        Raises:
            HandoverError: here and below, if the server ends the run.
        """
        self._channel.send({"ask": "nodes"})
        nodes = self._channel.receive()[0]["nodes"]
        return [int(node) for node in nodes] if isinstance(nodes, list) else []

    def ask(self, kind: Kind, requests: Sequence[Request]) -> list[Reply]:
        """Have sites train or evaluate, and return what there is to tell of it.

        Raises:
            RunError: if a model is none.
        """
        models: dict[int, int] = {}  # each model once
        for request in requests:
            if id(request.parameters) not in models:
                models[id(request.parameters)] = self._share(request.parameters)
            config = {n: v if is_setting(n, v) else None for n, v in request.config.items()}
            model = models[id(request.parameters)]
            said = {"ask": "request", "node": request.node, "model": model, "config": config}
            self._channel.send(said)
        self._channel.send({"ask": kind})
        replies: list[Reply] = []
        while True:
            packet, memory = self._channel.receive()
            if "all" in packet:
                return replies
            numbers = packet["numbers"]
            assert isinstance(numbers, dict)
            parameters = memory[0].weights if memory else None
            replies.append(Reply(int(str(packet["node"])), numbers, parameters))

    def keep(self, number: int, parameters: Weights) -> None:
        """Keep the model of a round.

        Raises:
            RunError: if it is none.
        """
        self._channel.send({"ask": "keep", "round": number, "model": self._share(parameters)})
        self._channel.receive()

    def _share(self, parameters: Weights) -> int:
        """Write a model into memory of the server's; return its number there."""
        try:
            model = as_model(parameters, self._tensors)
        except WeightsError as error:
            text = f"{self._name} made something else than the model: {error}"
            raise RunError(text) from None
        self._channel.send({"ask": "memory"})
        packet, memory = self._channel.receive()
        memory[0].fill(model)
        return int(str(packet["model"]))
