"""What needs Flower's internals on both sides (flwr 1.42.0, checked at import).

Flower's public API has neither an app's hash nor a way to pull a reply without waiting a whole
second for objects that arrive milliseconds later. The site's side of Flower's internals is in
link/admission.py and link/fleet.py, the server's in control/control_api.py.
"""

import functools
from collections.abc import Callable, Iterable
from pathlib import Path

import flwr
from flwr.app import Message
from flwr.supercore.inflatable.inflatable_utils import (
    ObjectPullError,
    inflate_object_from_contents,
    pull_objects,
)
from flwr.supercore.task_identity import TaskIdentity

from federator.runtime.app_files import require_listed
from federator.runtime.files import sha256

FLWR_VERSION = "1.42.0"
if flwr.__version__ != FLWR_VERSION:
    raise ImportError(
        f"this version of federator speaks flwr {FLWR_VERSION}, but {flwr.__version__} is installed"
    )

# Flower waits a second before it asks again for an object that is announced but not yet there. In
# seconds, too: a message of some kilobytes arrives within milliseconds.
FIRST_WAIT = 0.01
LONGEST_WAIT = 0.5
_patient_pull = functools.partial(
    pull_objects, initial_backoff=FIRST_WAIT, backoff_cap=LONGEST_WAIT
)


def app_hash(app: Path) -> str:
    """Return the SHA-256 (hex) of a Flower App's folder, as Flower names it (its FAB hash).

    Raises:
        InputError: if an asset is not the one that the app lists, so that the hash is not its own.
    """
    from flwr.cli.build import build_fab_from_disk  # slow to import, and no link needs it

    require_listed(app)
    return sha256(build_fab_from_disk(app))


def left_out(files: Iterable[str]) -> list[str]:
    """Return those of an app's files, by path, that Flower would not take into its bundle."""
    from flwr.cli.build import get_filtered_fab_paths
    from flwr.cli.utils import filter_paths_for_publish

    named = dict.fromkeys(files, b"")
    return sorted(named.keys() - get_filtered_fab_paths(filter_paths_for_publish(named), {}))


def allow_messages() -> None:
    """Let this process write messages, though Flower has given it none of its tasks.

    A message says from which task it is; where it goes to, the server that sends it says again.
    """
    TaskIdentity.run_id = TaskIdentity.task_id = TaskIdentity.node_id = 0


def prepare_grid(reason: str) -> None:
    """Let the server's grid ask soon for what is arriving, and take what is no message for lost.

    Flower's own grid fails as a whole, with all replies that came together, if one of them cannot
    be taken apart; an object that cannot be pulled is the only failure of a single one that it
    knows.

    Args:
        reason: what the error says of a reply that is no message.

    Raises:
        ImportError: if Flower's grid is not the one that this was written for.
    """
    from flwr.superlink.grid import http_grid  # likewise

    def pull(object_ids: list[str], pull_object_fn: Callable[[str], bytes]) -> dict[str, Message]:
        found, whole = _patient_pull(object_ids, pull_object_fn), object_ids[-1]
        try:
            message = inflate_object_from_contents(whole, found)
            if not isinstance(message, Message):
                raise TypeError
        except Exception:
            raise ObjectPullError(whole, reason) from None
        return {whole: message}

    def inflate(_: str, found: dict[str, Message]) -> Message:
        (message,) = found.values()
        return message

    for name, changed in (("pull_objects", pull), ("inflate_object_from_contents", inflate)):
        if not hasattr(http_grid, name):
            raise ImportError(f"flwr's grid has no {name}")
        setattr(http_grid, name, changed)
