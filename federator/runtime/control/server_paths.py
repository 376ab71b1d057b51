"""Where things are in the server's container, as options and environment say."""

import argparse
import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from federator.errors import InputError
from federator.runtime.control.control_api import Control
from federator.runtime.options import PREFIX, Parser, file
from federator.runtime.server.settings import FIRST_MODEL, ServerSettings


@dataclass(frozen=True)
class ServerPaths:
    """Where things are in the server's container.

    Attributes:
        superlink: ``host:port`` of the SuperLink.
        certificate: what it shows (PEM).
        app: folder of the Flower App.
        federation: JSON file with the federation's part of the server's settings.
        signer: the socket of the coordinator's signer.
        results: folder of all results, on a volume.
        store: folder of weights on their way, on a volume that the gateway serves.
        sites: folder of the public keys of admitted sites.
        gateway: ``host:port`` of the gateway, to see what it shows the sites; empty for none.
        coordinator_key: the coordinator's public keys, as the sites' files name them.
        strategy_socket: where the author's strategy connects, if it has a process of its own.
        first_model: the file of the first model, on a volume that the service ``init`` writes to.
        outbox: folder of what is to be told, on a volume that the service ``notify`` reads.
    """

    superlink: str
    certificate: Path
    app: Path
    federation: Path
    signer: Path
    results: Path
    store: Path
    sites: Path
    gateway: str = ""
    coordinator_key: str = ""
    strategy_socket: Path = Path("/strategy/socket")
    first_model: Path = Path(FIRST_MODEL)
    outbox: Path = Path("/notices")

    @property
    def settings(self) -> ServerSettings:
        """What the federation file says, as the compose file brings it.

        Raises:
            InputError: if it cannot be read.
        """
        try:
            read = json.loads(self.federation.read_text())
            return ServerSettings(**{"run": "", **read, "sites": tuple(read["sites"])})
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise InputError(f"{self.federation}: not a server's settings: {error}") from None

    @property
    def runs(self) -> Path:
        """The folder of this federation's runs."""
        return self.results / self.settings.federation

    @property
    def run_settings(self) -> Path:
        """The settings of the run that is going on, which the ServerApp reads."""
        return self.runs / "server.json"

    @property
    def order(self) -> Path:
        """The note of which order was begun and is not done."""
        return self.runs / "unfinished.json"

    @property
    def environment(self) -> dict[str, str]:
        """The environment that says the same."""
        return {f"{PREFIX}{name.upper()}": str(value) for name, value in asdict(self).items()}

    def control(self) -> Control:
        """Return the SuperLink's Control API."""
        return Control(self.superlink, self.certificate)


def add_path_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that say where things are; their defaults are those of the image."""
    add = parser.add_argument
    add("--superlink", default="superlink:8000", help="host:port of the SuperLink")
    add("--certificate", type=Path, default=Path("/run/federator/superlink.crt"), help="its own")
    add("--app", type=Path, default=Path("/app"), help="folder of the Flower App")
    add("--federation", type=file, default=Path("/run/federator/federation.json"),
        help="the server's settings, or their file")  # fmt: skip
    add("--signer", type=Path, default=Path("/signing/socket"),
        help="the socket of the coordinator's signer")  # fmt: skip
    add("--results", type=Path, default=Path("/results"), help="folder of all results")
    add("--store", type=Path, default=Path("/store"), help="folder of weights on their way")
    add("--sites", type=Path, default=Path("/run/federator/sites"), help="the sites' public keys")
    add("--gateway", default="gateway:8443", help="host:port of the gateway")
    add("--coordinator-key", default="", help="the coordinator's public keys")
    add("--strategy-socket", type=Path, default=Path("/strategy/socket"),
        help="where the author's strategy connects")  # fmt: skip
    add("--first-model", type=Path, default=Path(FIRST_MODEL), help="file of the first model")
    add("--outbox", type=Path, default=Path("/notices"), help="folder of what is to be told")


def server_paths(options: argparse.Namespace | None = None) -> ServerPaths:
    """Return what those options say; without them, what the environment says."""
    if options is None:
        parser = Parser()
        add_path_options(parser)
        options = parser.parse_args([])
    names = [field.name for field in fields(ServerPaths)]
    return ServerPaths(**{name: getattr(options, name) for name in names})
