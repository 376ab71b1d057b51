"""The command ``check``: the part of ``join`` that sees the data, in a container without a network.

It waits until ``join`` (join.py) lets it begin. Then it looks at the data as the doctor does, and
tells ``join`` each finding over a socket. The full text of an error stays in this container's log.
"""

import sys
from pathlib import Path

from federator.runtime.doctor.command import of_data, options_of
from federator.runtime.protocol.handover import HandoverError, connect

SOCKET = "join"
"""The socket of ``join``, beside that at which the link waits for the worker."""
LOG = "docker compose logs check"
"""What shows the log of this container."""
_PATIENCE = 120.0  # seconds in which join must be there: its image may have to be fetched


def main(arguments: list[str] | None = None) -> int:
    """Tell join what there is to say of the data, when it asks; 1 if it does not."""
    parser = options_of("check", main.__doc__, "data")
    parser.add_argument("--socket", type=Path, required=True, help="where the link listens")
    options = parser.parse_args(arguments)
    try:
        channel = connect(options.socket.with_name(SOCKET), _PATIENCE)
        channel.receive()
        for finding in of_data(options, f"the log: {LOG}"):
            channel.send(finding._asdict())
        channel.send({"done": True})
    except HandoverError as error:
        print(f"join has ended before this had: {error}", file=sys.stderr)
        return 1
    return 0
