"""For all tests."""

import os

import pytest


@pytest.fixture(autouse=True, scope="session")
def no_job():
    """Where the tests are a job of GitHub Actions, what they test is none."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("GITHUB_")]:
            patch.delenv(name)
        yield
