"""Many links with stand-ins for their workers, in the threads of one process.

Each has its own key, its own connections and its own socket, as if it stood alone.
"""

import argparse
import logging
import ssl
import threading
from pathlib import Path

from benchmarks.light import worker
from federator.runtime.keys.coordinator_key import read_keys
from federator.runtime.keys.site_key import read_private
from federator.runtime.link import fleet as fleet_api
from federator.runtime.link.gateway import Gateway
from federator.runtime.link.link import Link
from federator.runtime.link.process import serve
from federator.runtime.link.records.record import Record
from federator.runtime.link.transfer import PartTransfer
from federator.runtime.protocol.disclosure import Policy
from federator.runtime.protocol.handover import WorkerListener


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--server", required=True)
    parser.add_argument("--ca", type=Path, required=True)
    parser.add_argument("--coordinator-key", required=True)
    parser.add_argument("--app-hash", required=True)
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("names", nargs="+")
    options = parser.parse_args()
    logging.getLogger("federator").setLevel(logging.WARNING)
    known = read_keys(options.coordinator_key.split())

    def take_part(name: str) -> None:
        socket = options.root / f"{name}.socket"
        listener, transfer = (
            WorkerListener(socket),
            PartTransfer(Gateway(options.server, ssl.create_default_context(cafile=options.ca))),
        )
        private = options.root / name / "site.key"
        written = [key.write() for key in known]
        record = Record(name, read_private(private), written, private.parent)
        link = Link(
            name, options.app_hash, known, Policy(2), True, listener, transfer, record=record
        )
        number = int(name.rpartition("-")[2])
        threading.Thread(target=worker.serve, args=(socket, number), daemon=True).start()
        with fleet_api.connect(options.server, options.ca, private, None) as fleet:
            serve(link, fleet)

    threads = [threading.Thread(target=take_part, args=(name,)) for name in options.names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main()
