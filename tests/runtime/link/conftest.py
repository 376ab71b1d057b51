"""A link with a worker of the tests' own, and a server with its gateway."""

import pytest
from fakes.coordinator import KEYS, Worker
from fixtures.deployment import deploy

from federator.runtime.link.link import Link
from federator.runtime.protocol.disclosure import Policy


@pytest.fixture
def worker():
    return Worker()


@pytest.fixture
def link(worker):
    return Link("north", "a" * 64, KEYS, Policy(2), False, worker)


@pytest.fixture(scope="module")
def deployment(tmp_path_factory):
    """A server with its gateway; the three sites' keys are registered, no site is running."""
    with deploy(tmp_path_factory.mktemp("deployment"), ["north", "south", "west"]) as deployed:
        yield deployed


@pytest.fixture
def no_exceptions(monkeypatch):
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
