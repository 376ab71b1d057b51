"""The author's strategy, which runs in a process of its own: the server's end of the conversation.

It is told of the sites' updates, and asks for training and evaluation; the server does what a
strategy may have done (flower_strategies.py). Of the memory that it writes to, the server takes
nothing but numbers: which tensors a model has, it knows itself.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from time import time

from flwr.serverapp.strategy import Strategy

from federator.errors import RunError
from federator.runtime.app_config import Setting
from federator.runtime.protocol.handover import HandoverError, WorkerListener
from federator.runtime.protocol.shared_memory import Memory
from federator.runtime.server.aggregation.plain import placed
from federator.runtime.server.aggregation.split_model import SplitModel
from federator.runtime.strategy.grid import Kind, Reply, Request, StrategySites
from federator.runtime.untrusted import MALFORMED, printable
from federator.runtime.weights.block_file import WeightFile
from federator.runtime.weights.format import Weights, file_form, read_from

Answers = Iterable[tuple[Mapping[str, object], Sequence[Memory]]]
"""Packets, each with the memory beside it."""

_LOADING = 300.0  # seconds in which the process is there, and has imported the author's code
_MODELS = 256  # that a strategy sends at a time: Linux lets a process have 1,024 descriptors
_SITES = 100_000  # more than any strategy waits for
_NO_ANSWER = "see the log of the strategy's process"


class OwnStrategy:
    """A strategy of the author's, as the server knows it.

    Args:
        socket: where its process connects.
        parameters: those of the run.
        module: the file of the author's code, for its places in the notebook.
        source_map: where the converter wrote which cell each line came from.

    Attributes:
        name: of its class.
        min_available_nodes: how many sites it waits for; so the next two.
        proximal_mu: the weight of the sites' proximal term.
        needs_train_loss: whether it weighs the sites by their training loss, as QFedAvg does.

    Raises:
        RunError: if its process is not there, or the author's code does not make a strategy.
    """

    def __init__(
        self,
        socket: Path,
        parameters: Mapping[str, Setting],
        module: Path,
        source_map: str | None,
    ) -> None:
        self._module, self._source_map = module, source_map
        self._listener = WorkerListener(socket)
        channel = self._listener.worker(time() + _LOADING)
        if channel is None:
            raise RunError(f"the strategy's process has not come within {_LOADING:.0f} s")
        self._channel = channel
        self._send({"do": "load", "parameters": dict(parameters)})
        told = self._hear(_LOADING)
        try:
            self.name = printable(str(told["name"]), 100)
            self.min_available_nodes = _between(told["min_available_nodes"], _SITES)
            self.min_train_nodes = _between(told["min_train_nodes"], _SITES)
            self.min_evaluate_nodes = _between(told["min_evaluate_nodes"], _SITES)
            self.proximal_mu = float(str(told["proximal_mu"]))
            self.needs_train_loss = told["needs_train_loss"] is True
        except MALFORMED as error:
            raise self._nonsense(error) from None

    def run(
        self,
        sites: StrategySites,
        model: SplitModel,
        start: WeightFile,
        rounds: int,
        timeout: float,
    ) -> None:
        """Do what the strategy asks for, until it is done.

        Args:
            sites: those of the run.
            model: of which the strategy makes the parameters.
            start: the model to start from.
            rounds: how many to run.
            timeout: seconds that the strategy may compute without a word.

        Raises:
            RunError: if the run cannot go on, or the author's code breaks down or is silent.
        """
        asked = _Asked(sites, model)
        first = Memory.of(model.parameters_of(start))
        try:
            self._send({"do": "start", "rounds": rounds, "timeout": timeout}, first)
            del first
            while (packet := self._hear(timeout)).get("ask") != "done":
                try:
                    answer = asked.read(packet)
                except MALFORMED as error:
                    raise self._nonsense(error) from None
                for told, memory in answer():
                    self._send(told, *memory)
        finally:
            self._listener.disconnect()

    def _send(self, packet: Mapping[str, object], *memory: Memory) -> None:
        try:
            self._channel.send(packet, *memory)
        except HandoverError:
            raise self._gone() from None

    def _hear(self, patience: float) -> dict[str, object]:
        try:
            packet = self._listener.answer(time() + patience)
        except HandoverError:
            raise self._gone() from None
        if packet is None:
            raise RunError(f"the strategy has said nothing for {patience:.0f} s: {_NO_ANSWER}")
        if "failure" in packet:
            text = printable(str(packet["failure"]), 1_000)
            line = packet.get("line")
            known = line if type(line) is int else 0
            raise RunError(placed(text, self._source_map, self._module, known))
        return packet

    def _gone(self) -> RunError:
        return RunError(f"the strategy's process ended without a word: {_NO_ANSWER}")

    def _nonsense(self, error: BaseException) -> RunError:
        what = printable(f"{type(error).__name__}: {error}", 100)
        return RunError(f"the strategy's process says what it cannot say ({what}): {_NO_ANSWER}")


class _Asked:
    """What a strategy has asked for and is not yet done."""

    def __init__(self, sites: StrategySites, model: SplitModel) -> None:
        self._sites = sites
        self._head, self._size = file_form(model.parameters)
        self._models: list[Weights] = []
        self._requests: list[Request] = []

    def read(self, packet: Mapping[str, object]) -> Callable[[], Answers]:
        """Return what answers a packet: it gives the packets to send.

        Raises:
            ValueError: or another of ``MALFORMED``, if it is no packet of a strategy's.
        """
        match packet["ask"]:
            case "nodes":
                return lambda: [({"nodes": self._sites.nodes()}, [])]
            case "memory":
                if len(self._models) >= _MODELS:
                    raise ValueError("too many models at once")
                return self._share
            case "request":
                config = packet["config"]
                if not isinstance(config, dict):
                    raise TypeError("config")
                node, model = _between(packet["node"], 2**64), self._model(packet)
                self._requests.append(Request(node, model, config))
                return list
            case "train" | "evaluate":
                kind: Kind = "evaluate" if packet["ask"] == "evaluate" else "train"
                requests = self._taken()
                return lambda: self._told(self._sites.ask(kind, requests))
            case "keep":
                number, model = _between(packet["round"], 2**31), self._model(packet)
                self._taken()
                return lambda: self._keep(number, model)
        raise ValueError("an unknown question")

    def _share(self) -> Answers:
        """Return memory for a model."""
        memory = Memory.new(self._size)
        self._models.append(read_from(memory.buffer, self._head))
        return [({"model": len(self._models) - 1}, [memory])]

    def _keep(self, number: int, model: Weights) -> Answers:
        self._sites.keep(number, model)
        return [({"kept": number}, [])]

    def _model(self, packet: Mapping[str, object]) -> Weights:
        return self._models[_between(packet["model"], _MODELS)]

    def _taken(self) -> list[Request]:
        """Return the requests that have come; their models' memory is let go with them."""
        requests, self._requests, self._models = self._requests, [], []
        return requests

    def _told(self, replies: Iterable[Reply]) -> Answers:
        """Yield a packet for each reply, and one that says that this was all."""
        for reply in replies:
            memory = [] if reply.parameters is None else [Memory.of(reply.parameters)]
            yield {"node": reply.node, "numbers": dict(reply.numbers)}, memory
        yield {"all": True}, []


def name_of(strategy: Strategy | OwnStrategy) -> str:
    """Return the name of a strategy's class."""
    return strategy.name if isinstance(strategy, OwnStrategy) else type(strategy).__name__


def _between(number: object, most: int) -> int:
    """Return a whole number from 0 to below ``most``.

    Raises:
        ValueError: if it is none.
    """
    if type(number) is not int or not 0 <= number < most:
        raise ValueError("a number")
    return number
