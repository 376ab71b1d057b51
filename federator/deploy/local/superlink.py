"""A SuperLink on this machine: its environment, its port, and the wait until it answers."""

import secrets
import socket
import time
from contextlib import suppress
from pathlib import Path

import requests

from federator.deploy.local.processes import Processes
from federator.errors import RunError
from federator.runtime.control import control_api

_START_SECONDS = 60.0  # long enough for a machine on which other things run


def environment(scratch: Path) -> dict[str, str]:
    """Return an environment in which Flower writes to its own folder and calls nobody."""
    env = control_api.environment(scratch, "127.0.0.1:0")
    env.pop("PYTHONPATH", None)  # what lies there is in no image
    return env


def free_port() -> int:
    """Return a port of the loopback interface that nobody listens on.

    It is below the ports that Linux gives to outgoing connections (from 32768), since such a
    connection could take it before the SuperLink listens there.
    """
    while True:
        port = 20_000 + secrets.randbelow(12_000)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def wait_for(url: str, processes: Processes) -> None:
    """Wait until the SuperLink answers.

    Raises:
        RunError: if it ends, or does not answer within a minute.
    """
    deadline = time.monotonic() + _START_SECONDS
    with requests.Session() as session:
        session.trust_env = False  # no proxy leads to this machine
        while time.monotonic() < deadline and processes.ended("superlink") is None:
            with suppress(requests.RequestException):
                if session.get(url, timeout=1).ok:
                    return
            time.sleep(0.05)
    raise RunError(f"the SuperLink did not start:\n{processes.tail('superlink')}")
