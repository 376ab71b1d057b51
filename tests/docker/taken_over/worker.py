"""What a worker does that was taken over, in the order of the rounds: Python runs this first.

It tries to get rows of data past its link: in metrics, before the numbers of its update, in an
exception; then in an update that was handed over, and at last pulls the memory from under the link.
"""

import sys

if sys.orig_argv[-2:] == ["federator.runtime", "worker"]:
    import os

    from federator.runtime.protocol import handover, shared_memory
    from federator.runtime.worker.process import Worker

    ROW, ROWS = {"Jane Doe, MRN 4711": 4711.0}, b"Jane Doe, MRN 4711 ."
    WAYS = iter(["metrics", "head", "exception", "changed", "cut off"])
    honest, fill, send = Worker.answer, shared_memory.Memory.fill, handover.Channel.send
    way, update = "", None

    def answer(self, packet, weights):
        global way
        told, trained = honest(self, packet, weights)
        way = next(WAYS, "") if trained is not None else ""
        if way == "metrics":
            told |= ROW
            for evaluation in told["evaluations"].values():
                evaluation |= {"metrics": ROW, "Jane Doe": 4711.0}
            told["evaluations"] = told["evaluations"] | {"Jane Doe": ROW}
        elif way == "exception":
            failure = {"reason": "exception", "type": "Jane Doe", "file": "MRN 4711", "line": 4711}
            told, trained = {"failure": failure}, None
        return told, trained

    def remember(self, weights):
        global update
        update = self
        fill(self, weights)
        if way == "head":
            update.buffer[:20] = ROWS

    def hand_over(self, packet):
        send(self, packet)
        if way == "changed":
            update.buffer[:20] = ROWS
        elif way == "cut off":
            try:
                os.ftruncate(update.fd, 0)
            except PermissionError:
                print("what was handed over cannot be cut off", flush=True)

    Worker.answer, shared_memory.Memory.fill, handover.Channel.send = answer, remember, hand_over
