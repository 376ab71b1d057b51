"""A SuperLink's Control API: admits sites, starts and stops runs. Touches Flower's internals.

It has no authentication of its own: whoever reaches it may do all of this, so the gateway does
not pass it, and only the server speaks it.
"""

import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.context import ForkProcess
from pathlib import Path
from typing import NamedTuple

import flwr
import httpx
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_public_key,
)
from flwr.common.serde import fab_to_proto, user_config_to_proto
from flwr.proto.control_pb2 import (
    ListNodesRequest,
    ListRunsRequest,
    RegisterNodeRequest,
    StartRunRequest,
    StopRunRequest,
    UnregisterNodeRequest,
)
from flwr.supercore import telemetry
from flwr.supercore.control import ControlHttpClient
from flwr.supercore.error import FlowerError
from flwr.supercore.fab import Fab
from flwr.supercore.interceptors import RuntimeVersionHttpInterceptor
from flwr.supercore.superexec.run_superexec import run_superexec
from flwr.supercore.utils import disable_process_dumping

from federator.errors import Problem, RunError
from federator.runtime.app_config import Setting
from federator.runtime.files import sha256
from federator.runtime.server_part import require_ours

_BIN = Path(sys.executable).parent
MEMORY = {
    # Flower starts many threads, of whose heaps each keeps some MB for the next round.
    "MALLOC_ARENA_MAX": "2",
    # Blocks of weights are taken and given back by the thousand. glibc asks the kernel for each
    # anew, which takes as long as the arithmetic; up to 32 MiB, its limit, it can keep them.
    "MALLOC_MMAP_THRESHOLD_": str(2**25),
    "MALLOC_TRIM_THRESHOLD_": str(2**25),
}
"""What the GNU C library, where there is one, is told in the process that runs the rounds."""
PARTS = ("flower-superlink", "flower-superexec", "flwr-serverapp")
"""What Flower starts one after the other so that a run's server is there."""
ENDED = "finished"
_LATEST = 20  # runs that are asked for: one runs at a time, so the one that is meant is among them


class Admitted(NamedTuple):
    """A key that the SuperLink lets in, and under which name."""

    node_id: int
    name: str
    key: ec.EllipticCurvePublicKey


class RunState(NamedTuple):
    """The state of a run: its status (``pending``, ``starting``, ``running``, ``finished``)."""

    status: str
    details: str

    @property
    def is_waiting(self) -> bool:
        """Whether nothing runs yet that could write its journal."""
        return self.status in ("pending", "starting")


class Control:
    """The Control API at ``host:port``; without ``root_certificates``, not encrypted."""

    def __init__(self, address: str, root_certificates: Path | None) -> None:
        self._address = address
        with _no_proxy():
            self._client = ControlHttpClient.from_server_address(
                address,
                root_certificates is None,
                root_certificates.read_bytes() if root_certificates else None,
                [RuntimeVersionHttpInterceptor(component_name="flwr CLI")],
            )

    def admitted(self) -> list[Admitted]:
        """Return the keys that are admitted.

        Raises:
            RunError: here and below, if the SuperLink does not answer, or does not do it.
        """
        with self._explained("list the sites"):
            nodes = self._client.ListNodes(ListNodesRequest()).nodes_info
        found = []
        for node in nodes:
            key = load_pem_public_key(node.public_key) if node.public_key else None
            if node.status != "unregistered" and isinstance(key, ec.EllipticCurvePublicKey):
                found.append(Admitted(node.node_id, node.name, key))
        return found

    def admit(self, name: str, key: ec.EllipticCurvePublicKey) -> None:
        """Let a key in, as the site of that name."""
        pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        with self._explained(f"admit site {name}"):
            self._client.RegisterNode(RegisterNodeRequest(public_key=pem, name=name))

    def lock_out(self, node_id: int) -> None:
        """Lock a key out: for good, the SuperLink never takes it again."""
        with self._explained("lock a site out"):
            self._client.UnregisterNode(UnregisterNodeRequest(node_id=node_id))

    def start(self, app: Path, overrides: Mapping[str, Setting]) -> int:
        """Start a run of the Flower App in a folder; return its number.

        Raises:
            InputError: if its author's code would run in the server's own process.
        """
        require_ours(app)
        from flwr.cli.build import build_fab_from_disk  # 3 MB, and most of the time not needed

        content = build_fab_from_disk(app)
        fab = Fab(sha256(content), content, {})
        request = StartRunRequest(
            fab=fab_to_proto(fab), override_config=user_config_to_proto(dict(overrides))
        )
        with self._explained("start the run"):
            return int(self._client.StartRun(request).run_id)

    def stop(self, run_id: int) -> None:
        """Stop a run."""
        with self._explained("stop the run"):
            self._client.StopRun(StopRunRequest(run_id=run_id))

    def going(self) -> list[int]:
        """Return the numbers of the latest runs that have not ended."""
        return [run_id for run_id, state in self.states().items() if state.status != ENDED]

    def states(self) -> dict[int, RunState]:
        """Return how the latest runs stand, by their numbers."""
        with self._explained("list the runs"):
            found = self._client.ListRuns(ListRunsRequest(limit=_LATEST)).run_dict
        return {
            number: RunState(run.status.status, run.status.details) for number, run in found.items()
        }

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    @contextmanager
    def _explained(self, what: str) -> Iterator[None]:
        try:
            yield
        except httpx.HTTPStatusError as error:
            told = FlowerError.from_json(error.response.text)
            reason = told.message if told else f"it answers {error.response.status_code}"
            raise RunError(f"the SuperLink did not {what}: {reason}") from None
        except httpx.HTTPError as error:
            raise RunError(f"the SuperLink at {self._address} does not answer: {error}") from None


@contextmanager
def _no_proxy() -> Iterator[None]:
    """Have a client made here use no proxy: a SuperLink is on this machine or in its network."""
    before = os.environ.get("no_proxy")
    os.environ["no_proxy"] = "*"
    try:
        yield
    finally:
        del os.environ["no_proxy"]
        if before is not None:
            os.environ["no_proxy"] = before


def program(name: str) -> str:
    """Return where a program of Flower's is.

    Raises:
        RunError: if it is not installed beside this Python.
    """
    if (path := shutil.which(name, path=str(_BIN))) is None:
        what = f"{name}, a program of Flower's, is not beside {sys.executable}"
        hint = f"reinstall it there: pip install --force-reinstall flwr=={flwr.__version__}"
        raise RunError(Problem(what, hint=hint))
    return path


def require_programs() -> None:
    """Check that all of Flower's programs are there that a run's server needs.

    Without one, the SuperLink would start, and the run would wait for it without a word.

    Raises:
        RunError: if one is not installed beside this Python.
    """
    for name in PARTS:
        program(name)


def start_superexec(
    superlink: str, certificate: Path, secret: Path, env: Mapping[str, str]
) -> ForkProcess:
    """Start Flower's SuperExec, which starts what runs the rounds; it ends with this process.

    A fork of this process: what that has in memory is most of what a SuperExec needs.

    Raises:
        RunError: if what it starts is not installed.
    """
    require_programs()
    started = (superlink, certificate, secret.read_bytes(), {**MEMORY, **env}, os.getpid())
    process = get_context("fork").Process(target=_superexec, args=started)
    process.start()
    return process


def _superexec(
    superlink: str, certificate: Path, secret: bytes, env: Mapping[str, str], parent: int
) -> None:
    os.environ.update(env)
    telemetry.FLWR_TELEMETRY_ENABLED = "0"  # which it has read from the environment before
    disable_process_dumping(strict=False)
    run_superexec(superlink, False, str(certificate), secret, parent_pid=parent)


def environment(home: Path, superlink: str) -> dict[str, str]:
    """Return an environment in which Flower writes to its own folder and calls nobody else."""
    host = superlink.rpartition(":")[0]
    return {
        **os.environ,
        "PATH": f"{_BIN}{os.pathsep}{os.environ.get('PATH', '')}",
        "FLWR_HOME": str(home),
        "FLWR_TELEMETRY_ENABLED": "0",
        "FLWR_DISABLE_UPDATE_CHECK": "1",
        "NO_PROXY": host,
        "no_proxy": host,
        "PYTHONUNBUFFERED": "1",
    }
