"""The containers of a federation's server, as Docker Compose reaches them on this machine."""

import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from federator.deploy.server_file.approval import SERVER
from federator.errors import InputError, Problem
from federator.federation.schema import Federation
from federator.images import engine


@dataclass(frozen=True)
class Server:
    """The server of a federation.

    Args:
        federation: the federation file, beside which ``server.yaml`` is.
    """

    federation: Federation

    @property
    def _compose(self) -> list[str]:
        """The words of a Compose command, after ``docker``.

        Raises:
            InputError: if the server's file is not written yet.
        """
        file = self.federation.folder / SERVER
        if not file.exists():
            hint = f"federator serve {self.federation.folder}"
            raise InputError(Problem(f"{file}: there is no such file yet", hint=hint))
        return ["compose", "--file", str(file)]

    def show(self, *arguments: str) -> None:
        """Run a Compose command and show what it prints.

        Raises:
            EngineError: if it fails.
        """
        engine.show(*self._compose, *arguments)

    def pass_on(self, *arguments: str) -> int:
        """Run a Compose command with this terminal as its own; return its status.

        Ctrl-C is that command's to answer.
        """
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            begun = subprocess.Popen(
                ["docker", *self._compose, *arguments],
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
            )
        except OSError as error:
            raise engine.missing(error) from None
        else:
            return begun.wait()
        finally:
            signal.signal(signal.SIGINT, before)

    def inside(self, *command: str) -> int:
        """Run a command in the server's container, with a terminal where this one is one."""
        plain = [] if sys.stdin.isatty() and sys.stdout.isatty() else ["--no-TTY"]
        return self.pass_on("exec", *plain, "server", *command)

    def order(self, *options: str) -> int:
        """Give the signer an order; return the command's status."""
        return self.pass_on("run", "--rm", "--no-TTY", "order", *options)

    def copy_results(self, target: Path) -> None:
        """Copy the results of all runs into a folder.

        Raises:
            EngineError: if it fails.
        """
        target.mkdir(parents=True, exist_ok=True)
        name = self.federation.name
        engine.docker(*self._compose, "cp", f"server:/results/{name}/.", str(target))
