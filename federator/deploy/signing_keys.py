"""The coordinator's signing keys: made, exchanged for the next one, replaced when one has leaked.

``keys/coordinator.key`` signs. ``public/coordinator.pub`` has the keys that the sites' next files
name, the signing one first. An exchange takes two steps, between which each site takes over a file
with both keys: so no site misses a round. A leaked key is replaced in one step, and sites take part
again when they have the new file.
"""

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from federator.deploy.certificates import load_key
from federator.deploy.key_files import KeyFiles
from federator.errors import InputError, Problem
from federator.federation.schema import Federation
from federator.runtime.keys.coordinator_key import MOST, CoordinatorKey, is_encrypted, read_keys

SECRET, NEXT = "coordinator.key", "coordinator.next.key"
_SHORTEST = 20  # characters of a passphrase
PUBLISHED, FORMER = "coordinator.pub", "coordinator.former"


class SigningKeys:
    """The signing keys of one federation.

    Args:
        files: the folders of its keys.
    """

    def __init__(self, files: KeyFiles) -> None:
        self._files = files
        self._secret, self._next = files.keys / SECRET, files.keys / NEXT

    @classmethod
    def of(cls, federation: Federation, lost: bool = False) -> "SigningKeys":
        """Return the signing keys of a federation, on the machine that has or ``lost`` them.

        Raises:
            InputError: if this machine has none, or was never the server.
        """
        files = KeyFiles(federation.folder / "keys", federation.folder / "public")
        needed = files.keys / ("server.key" if lost else SECRET)
        if not needed.exists():
            message = f"{needed} is not here: this machine does not sign"
            hint = f"run this on the server, after: federator provision {federation.folder}"
            raise InputError(Problem(message, hint=hint))
        return cls(files)

    def prepare(self) -> None:
        """Make the first key, if there is none, and publish it.

        Raises:
            InputError: if the key that signs is not the first of those that the sites know.
        """
        if not self._secret.exists():
            self._files.keep(SECRET, _new())
        if is_encrypted(self._secret.read_bytes()) and (self._files.public / PUBLISHED).exists():
            return  # whose key it is shows when it is used
        public = _private(self._secret).public_key()
        if not (self._files.public / PUBLISHED).exists():
            self._publish(CoordinatorKey.of(public))
        if self.known()[0].public != public.public_bytes_raw():
            message = f"{self._secret} is not the key of {self._files.public / PUBLISHED}"
            hint = "if `federator key retire` or `replace` was broken off, run it again"
            raise InputError(Problem(message, hint=hint))

    def known(self) -> tuple[CoordinatorKey, ...]:
        """Return the keys that the sites' next files name, the signing one first.

        Raises:
            InputError: if the file of them is damaged.
        """
        return _known(self._files.public / PUBLISHED)

    def add(self) -> CoordinatorKey:
        """Make the next key, for the sites to know beside the present one; return it.

        Raises:
            InputError: if there is one already.
        """
        known = self.known()
        if len(known) == MOST:
            message = f"there is a next key already, {known[1].name}"
            hint = "when each site has taken over a file with both: federator key retire"
            raise InputError(Problem(message, hint=hint))
        self._files.keep(NEXT, _new())
        made = CoordinatorKey.of(_private(self._next).public_key())
        self._publish(*known, made)
        return made

    def retire(self) -> CoordinatorKey:
        """Sign with the next key from now on, and remove the present one; return the next one.

        It does no harm to say so again, if it was broken off.

        Raises:
            InputError: if there is no next key.
        """
        public = None
        if self._next.exists():
            public = _private(self._next).public_key().public_bytes_raw()
        kept = [key for key in self.known() if key.public == public]
        if not kept:
            hint = "make one, and give each site a file with both: federator key add"
            raise InputError(Problem("there is no next key to sign with", hint=hint))
        self._note([key for key in self.known() if key.public != public])
        self._publish(*kept)
        self._next.replace(self._secret)
        return kept[0]

    def replace(self) -> tuple[CoordinatorKey, ...]:
        """Make one key that takes the place of all others at once; return those that it replaces.

        They are not noted among the former keys: what they have signed proves nothing.
        """
        replaced = self.known() if (self._files.public / PUBLISHED).exists() else ()
        self._next.unlink(missing_ok=True)
        self._files.keep(SECRET, _new())
        self._publish(CoordinatorKey.of(_private(self._secret).public_key()))
        return replaced

    def lock(self, passphrase: bytes) -> None:
        """Encrypt the key that signs with a passphrase, which the signer needs from then on.

        Raises:
            InputError: if it is encrypted already, or the passphrase is too short.
        """
        if len(passphrase) < _SHORTEST:
            hint = "such as six words of a list, by dice: https://www.eff.org/dice"
            message = f"a passphrase has at least {_SHORTEST} characters"
            raise InputError(Problem(message, hint=hint))
        key, method = _private(self._secret), BestAvailableEncryption(passphrase)
        self._files.keep(SECRET, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, method))

    def _publish(self, *keys: CoordinatorKey) -> None:
        lines = "".join(f"{key.write()}\n" for key in keys)
        self._files.publish(PUBLISHED, lines.encode())

    def _note(self, keys: list[CoordinatorKey]) -> None:
        """Note keys that signed before: signatures of earlier runs are checked by them."""
        file = self._files.public / FORMER
        noted = file.read_text(encoding="ascii").split() if file.exists() else []
        lines = dict.fromkeys([*noted, *(key.write() for key in keys)])
        self._files.publish(FORMER, "".join(f"{line}\n" for line in lines).encode())


def published(federation: Federation) -> tuple[CoordinatorKey, ...]:
    """Return the keys that a federation's sites know with their next file, on any machine.

    Raises:
        InputError: if there are none.
    """
    return _known(federation.folder / "public" / PUBLISHED)


def as_setting(published: str) -> str:
    """Return the text of a file ``coordinator.pub`` as a site's file has it, in one line.

    Raises:
        InputError: if it has no keys, or the one that signs has ended.
    """
    keys = read_keys(published.split())
    if keys[0].ended:
        what = f"the coordinator's key {keys[0].name} ended on {keys[0].last_day}"
        raise InputError(Problem(what, hint="the sites would refuse what it signs: make the next"))
    return " ".join(key.write() for key in keys)


def _known(path: Path) -> tuple[CoordinatorKey, ...]:
    try:
        return read_keys(path.read_text(encoding="ascii").split())
    except FileNotFoundError:
        hint = f"on the server: federator provision {path.parent.parent}"
        raise InputError(Problem(f"{path} is missing", hint=hint)) from None
    except InputError as error:
        raise InputError(f"{path}: {error.problems[0].message}") from None
    except UnicodeDecodeError:
        raise InputError(f"{path}: is no file of keys") from None


def _new() -> bytes:
    key = Ed25519PrivateKey.generate()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _private(path: Path) -> Ed25519PrivateKey:
    """Return the private key in a file.

    Raises:
        InputError: if it is none, or is encrypted.
    """
    key = load_key(path.read_bytes(), path)
    if not isinstance(key, Ed25519PrivateKey):
        raise InputError(f"{path}: is not an Ed25519 key")
    return key
