"""Flower's grid as a strategy sees it: the sites that joined, here or beyond a socket."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, NamedTuple, Protocol

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict
from flwr.proto.node_pb2 import NodeInfo
from flwr.serverapp import Grid
from flwr.serverapp.strategy import Strategy
from flwr.supercore.run import Run

from federator.errors import RunError
from federator.runtime.weights.format import Tensor, Weights, describe, require_same

Kind = Literal["train", "evaluate"]

LEAST_SITES = ("min_available_nodes", "min_train_nodes", "min_evaluate_nodes")
"""The attributes of a strategy that say how many sites it waits for."""


class Request(NamedTuple):
    """What a strategy asks of one site.

    Attributes:
        node: the site's.
        parameters: the model's; one object for all sites that get the same.
        config: what it writes for the site.
    """

    node: int
    parameters: Weights
    config: Mapping[str, object]


class Reply(NamedTuple):
    """What a strategy is told of one site.

    Attributes:
        node: the site's.
        numbers: examples, losses, and an accuracy where there is one.
        parameters: those of its update; None of an evaluation.
    """

    node: int
    numbers: Mapping[str, float]
    parameters: Weights | None


class StrategySites(Protocol):
    """The sites of a run, as far as a strategy reaches them. Each may raise RunError."""

    def nodes(self) -> list[int]:
        """Return the nodes of the sites that joined, with those that have come meanwhile."""

    def ask(self, kind: Kind, requests: Sequence[Request]) -> list[Reply]:
        """Have sites train or evaluate, and return what there is to tell of it."""

    def keep(self, number: int, parameters: Weights) -> None:
        """Keep the model of a round, counted from 0, the model that this start began with."""


def run(
    strategy: Strategy, sites: StrategySites, parameters: Weights, rounds: int, timeout: float
) -> None:
    """Run rounds by Flower's own ``Strategy.start``.

    Args:
        strategy: any of Flower's, or the author's.
        sites: those of the run.
        parameters: the model's, without its buffers.
        rounds: how many to run.
        timeout: seconds that a strategy is told; the server's own deadline holds.

    Raises:
        RunError: if the run cannot go on.
    """
    grid = StrategyGrid(sites)
    strategy.start(grid, _record(parameters), rounds, timeout=timeout, evaluate_fn=grid.keep)


class StrategyGrid(Grid):
    """The grid that a strategy sees."""

    def __init__(self, sites: StrategySites) -> None:
        self._sites = sites

    def keep(self, number: int, arrays: ArrayRecord) -> None:
        """Keep a round's model; ``Strategy.start`` calls it as the evaluation at the server."""
        self._sites.keep(number, _weights(arrays))

    def set_run(self, run: Run) -> None:
        """Do nothing: the run is the server's."""

    @property
    def run(self) -> Run:
        """Not for strategies."""
        raise NotImplementedError

    def create_message(
        self,
        content: RecordDict,
        message_type: str,
        dst_node_id: int,
        group_id: str,
        ttl: float | None = None,
    ) -> Message:
        """Return a message; Flower's own name for its constructor."""
        return Message(content, dst_node_id, message_type, ttl=ttl, group_id=group_id)

    def get_node_ids(self) -> list[int]:
        """Return the nodes of the sites that joined."""
        return self._sites.nodes()

    def get_nodes(self) -> Iterable[NodeInfo]:
        """Return the nodes of the sites that joined."""
        return [NodeInfo(node_id=node) for node in self.get_node_ids()]

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        """Not for strategies: they send and receive in one."""
        raise NotImplementedError

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        """Not for strategies: they send and receive in one."""
        raise NotImplementedError

    def send_and_receive(
        self, messages: Iterable[Message], *, timeout: float | None = None
    ) -> list[Message]:
        """Turn a strategy's messages into requests, and what is told into replies.

        Raises:
            RunError: if a message has no model, or the run cannot go on.
        """
        del timeout  # the server's own deadline holds
        by_node = {message.metadata.dst_node_id: message for message in messages}
        if not by_node:
            return []
        kind = next(iter(by_node.values())).metadata.message_type
        read: dict[int, tuple[ArrayRecord, Weights]] = {}  # each model once
        requests = []
        for node, message in by_node.items():
            arrays = next(iter(message.content.array_records.values()), None)
            if arrays is None:
                raise RunError("the strategy sends a message without a model")
            if id(arrays) not in read:
                read[id(arrays)] = arrays, _weights(arrays)
            config = next(iter(message.content.config_records.values()), ConfigRecord())
            requests.append(Request(node, read[id(arrays)][1], dict(config)))
        told = self._sites.ask("evaluate" if kind == "evaluate" else "train", requests)
        return [Message(_content(one), reply_to=by_node[one.node]) for one in told]


def as_model(given: Weights, tensors: Mapping[str, Tensor]) -> Weights:
    """Return what a strategy made as the model's parameters.

    They get back the types of the model: Flower's average makes floats of integers.

    Args:
        given: arrays of any numeric type.
        tensors: the model's, without its buffers; the result is in their order.

    Raises:
        WeightsError: if there is another tensor, or one of another shape.
    """
    types = {name: tensors[name].dtype for name in given if name in tensors}
    found = {
        name: Tensor(types.get(name, tensor.dtype), tensor.shape)
        for name, tensor in describe(given).items()
    }
    require_same(found, tensors)
    return {
        name: (given[name] if tensor.is_float else np.rint(given[name])).astype(tensor.dtype)
        for name, tensor in tensors.items()
    }


def _record(parameters: Weights) -> ArrayRecord:
    """Return parameters as Flower's strategies know them: an array each."""
    return ArrayRecord(
        {name: Array(np.asarray(array, order="C")) for name, array in parameters.items()}
    )


def _weights(arrays: ArrayRecord) -> Weights:
    return {name: array.numpy() for name, array in arrays.items()}


def _content(reply: Reply) -> RecordDict:
    content = RecordDict({"metrics": MetricRecord(dict(reply.numbers))})
    if reply.parameters is not None:
        content["arrays"] = _record(reply.parameters)
    return content
