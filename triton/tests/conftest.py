"""Makes Triton's own Python module importable, which only its Python processes have on their
path, and gives the tests of served models their server."""

import importlib.util
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.client import Client

_wheel = importlib.util.find_spec("pytriton")
assert _wheel and _wheel.origin, "run the tests with .triton/venv (scripts/stack.py dev makes it)"
sys.path.append(str(Path(_wheel.origin).parent / "tritonserver/backends/python"))


@pytest.fixture(scope="session")
def triton() -> Iterator[Client]:
    """A client of the real Triton that `scripts/stack.py with-triton` started."""
    addresses = os.environ.get("LACUNA_TEST_TRITON")
    if not addresses:
        pytest.fail(
            "LACUNA_TEST_TRITON is not set. Run: python3 scripts/stack.py with-triton -- "
            ".triton/venv/bin/pytest triton"
        )
    with Client(addresses.split(",")[0]) as client:
        yield client
