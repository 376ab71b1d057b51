"""A site that does what no link does: it answers what ends a careless server, and writes to others.

Takes a link's arguments; where the SuperLink's log is stands in ``HOSTILE_LOG``.
"""

import json
import os
import re
import sys
import time
from pathlib import Path

from flwr.app import Array, ArrayRecord, ConfigRecord, Error, Message, RecordDict
from flwr.supercore.task_identity import TaskIdentity

from federator.runtime.keys.site_key import read_private
from federator.runtime.link import fleet as fleet_api
from federator.runtime.link.records.record import Record
from federator.runtime.protocol import messages, replies
from federator.runtime.protocol.disclosure import SETS
from federator.runtime.protocol.instructions import Instruction
from federator.runtime.protocol.outcomes import Outcome

DEEP = "[" * 100_000
SUPERLINK = 1  # Flower's number of the server, as whose message it is delivered
HEAD = len(DEEP).to_bytes(8, "little") + DEEP.encode()
SIZES = dict.fromkeys(SETS, 10)


def packed() -> ArrayRecord:
    """Return weights that no reader should take apart carelessly."""
    return ArrayRecord({"safetensors": Array("uint8", (len(HEAD),), "safetensors", HEAD)})


def write_to_others(fleet: fleet_api.Fleet, run_id: int) -> None:
    """Send every other site messages that nobody has signed, as if they were the server's."""
    text = Path(os.environ["HOSTILE_LOG"]).read_text()
    for name, value in (("_run_id", run_id), ("_task_id", 1), ("_node_id", SUPERLINK)):
        setattr(TaskIdentity, name, value)
    others = {int(found) for found in re.findall(r"Activated node_id=(\d+)", text)}
    for node in others - {fleet.node_id}:
        for further in ({"manifest": DEEP}, {}):
            record = messages.instruction_record("{}", bytes(64))
            record.update(further)
            content = RecordDict({"config": record, "arrays": packed()})
            message = Message(content, node, "train", ttl=600.0)
            message.metadata.__dict__["_message_id"] = message.object_id
            fleet._push(message, 0.0)
    print(f"written to {len(others) - 1} others", flush=True)


def answer(message: Message, fleet: fleet_api.Fleet, record: Record, site: str) -> Message:
    """Return what is to end the run: something else each time."""
    received = messages.Received.of(message)
    told = Instruction.read(received.instruction)
    kind, number, said = told.kind, told.round, replies.site_record(site)
    if kind == "join":
        record.begin(received, told, fleet.run(message.metadata.run_id), fleet.node_id)
        said = replies.site_record(site, receipt=record.answer(Outcome(SIZES)))
        return replies.outcome_reply(message, said, Outcome(SIZES))
    if number == 1:
        return Message(Error(2023, DEEP), reply_to=message)
    outcome = replies.numbers(Outcome(SIZES)) | {"val.loss": 0.5, "val.table.confusion": [1] * 9}
    content = {"site": ConfigRecord({**said, **outcome}), "arrays": packed()}
    return Message(RecordDict(content), reply_to=message)


def main(arguments: list[str]) -> None:
    """Take part until the process is stopped."""
    server, site = (arguments[arguments.index(name) + 1] for name in ("--server", "--site"))
    given = {name: Path(value) for name, _, value in (one.partition("=") for one in arguments)}
    record = Record(site, read_private(given["--record-key"]), [], given["--records"])
    with fleet_api.connect(server, None, None, 60.0, insecure=True) as fleet:
        while True:
            if (message := fleet.receive()) is None:
                time.sleep(0.1)
                continue
            told = json.loads(messages.Received.of(message).instruction)
            if told["kind"] == "train":
                write_to_others(fleet, message.metadata.run_id)
            fleet.reply(answer(message, fleet, record, site), 0.1)


if __name__ == "__main__":
    main(sys.argv[1:])
