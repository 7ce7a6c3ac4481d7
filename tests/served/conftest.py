"""Gives the tests of served models their server."""

import os
from collections.abc import Iterator

import pytest

from grpc_client import Client


@pytest.fixture(scope="session")
def triton() -> Iterator[Client]:
    """A client of the real Triton that `scripts/stack.py with-triton` started."""
    addresses = os.environ.get("LACUNA_TEST_TRITON")
    if not addresses:
        pytest.fail(
            "LACUNA_TEST_TRITON is not set. Run: python3 scripts/stack.py with-triton -- "
            "tests/.venv/bin/pytest tests/served"
        )
    with Client(addresses.split(",")[0]) as client:
        yield client
