"""The files of a federation's keys: secrets for the server's containers, and public halves."""

import os
from dataclasses import dataclass, field
from pathlib import Path

from federator.errors import InputError, Problem
from federator.runtime.files import write_secret

CONTAINER_USER = 10001  # the user that link.Dockerfile.j2 creates


@dataclass
class KeyFiles:
    """The folders of a federation's keys.

    Attributes:
        keys: folder of the secrets, which stay on the server.
        public: folder of the public halves, which are committed.
        written: the files that were made.
    """

    keys: Path
    public: Path
    written: list[Path] = field(default_factory=list)

    def make_folders(self) -> None:
        """Make both folders; git ignores that of the secrets."""
        self.keys.mkdir(mode=0o700, parents=True, exist_ok=True)
        _own(self.keys)
        self.public.mkdir(exist_ok=True)
        (self.keys / ".gitignore").write_text("*\n")

    def keep(self, name: str, content: bytes) -> None:
        """Write a secret, which the containers' user may read."""
        write_secret(self.keys / name, content)
        _own(self.keys / name)
        self.written.append(self.keys / name)

    def publish(self, name: str, content: bytes) -> None:
        """Write a public half, unless the file is like that already."""
        path = self.public / name
        if not path.exists() or path.read_bytes() != content:
            write_secret(path, content)
            path.chmod(0o644)
            self.written.append(path)

    def require(self, name: str, secret: Path) -> None:
        """Check that the key of a public half is here, if that is.

        Raises:
            InputError: if it is not.
        """
        if (self.public / name).exists() and not secret.exists():
            message = f"{self.public / name} is here, but not its key, {secret}"
            hint = "run this on the machine that has it, or put the copy from your safe there"
            raise InputError(Problem(f"{message}", hint=f"{hint}: docs/when-things-go-wrong.md"))


def _own(path: Path) -> None:
    # The containers run as this user and could not read root's files.
    if os.geteuid() == 0:
        os.chown(path, CONTAINER_USER, CONTAINER_USER)
