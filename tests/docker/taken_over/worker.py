"""What a worker does that was taken over, in the order of the rounds: Python runs this first.

It tries to get rows of data past its link: in metrics, in a tensor more, in an exception; then to
change its update after it was handed over, and at last to keep memory that it can change.
"""

import sys

if sys.orig_argv[-2:] == ["federator.runtime", "worker"]:
    import os

    import numpy as np

    from federator.runtime import handover, sealed
    from federator.runtime.worker import Worker

    ROW = {"Jane Doe, MRN 4711": 4711.0}
    WAYS = iter(["metrics", "tensor", "exception", "changed", "unsealed"])
    honest, send = Worker.answer, handover.Channel.send
    way = ""

    def answer(self, packet, weights):
        global way
        told, trained = honest(self, packet, weights)
        way = next(WAYS, "") if trained is not None else ""
        if way == "metrics":
            told |= ROW
            for evaluation in told["evaluations"].values():
                evaluation |= {"metrics": ROW, "Jane Doe": 4711.0}
            told["evaluations"] = told["evaluations"] | {"Jane Doe": ROW}
        elif way == "tensor":
            trained |= {"patients": np.full(8, 4711.0, np.float32)}
        elif way == "exception":
            failure = {"reason": "exception", "type": "Jane Doe", "file": "MRN 4711", "line": 4711}
            told, trained = {"failure": failure}, None
        elif way == "unsealed":
            sealed._SEALS = 0
        return told, trained

    def hand_over(self, packet, weights=None):
        send(self, packet, weights)
        if way == "changed" and weights is not None:
            try:
                os.pwrite(weights.fd, b"Jane Doe", 0)
            except PermissionError:
                print("what was handed over cannot be changed", flush=True)

    Worker.answer, handover.Channel.send = answer, hand_over
