"""A stand-in for a site's worker: answers at once, with other numbers."""

import json
import sys
from pathlib import Path

import numpy as np

from federator.runtime.protocol.handover import HandoverError, connect
from federator.runtime.protocol.shared_memory import Memory
from federator.runtime.weights.format import describe, head

_EXAMPLES = {"trainset": 100, "valset": 10, "testset": 10}
_EVALUATION = {"tables": {"confusion": [[5, 0], [0, 5]]}, "loss": 0.5, "metrics": {}}


def train(model: Memory, update: Memory, site: int) -> None:
    """Write other numbers (all are float32), different ones at each site."""
    start = len(head(describe(model.weights)))
    factor = np.float32(1 + 0.01 * (site + 1))
    before, after = (np.frombuffer(one.buffer[start:], np.float32) for one in (model, update))
    np.multiply(before, factor, out=after)


def serve(socket: Path, site: int) -> None:
    """Answer a link until it hangs up."""
    channel = connect(socket, 60)
    said = {"examples": _EXAMPLES, "evaluations": {"val": _EVALUATION, "test": _EVALUATION}}
    while True:
        try:
            packet, memory = channel.receive()
            trains = json.loads(str(packet["instruction"]))["kind"] == "train"
            if trains:
                train(memory[0], memory[-1], site)
            channel.send({**said, "update": trains})
        except HandoverError:
            return


if __name__ == "__main__":
    serve(Path(sys.argv[1]), int(sys.argv[2]))
