"""How long the gateway of ``run`` may take to shut down."""

import re
from pathlib import Path

import pytest

from local_stack.gateway import REQUEST_SECONDS, drain_seconds

CONFIG = Path(__file__).resolve().parents[2] / "src/config.rs"


@pytest.mark.parametrize(
    ("environment", "seconds"),
    [
        ({}, REQUEST_SECONDS),
        ({"LACUNA_REQUEST_TIMEOUT": "300"}, 300),
        ({"LACUNA_REQUEST_TIMEOUT": "300", "LACUNA_DRAIN_TIMEOUT": "4.5"}, 4.5),
        ({"LACUNA_DRAIN_TIMEOUT": "", "LACUNA_REQUEST_TIMEOUT": "soon"}, REQUEST_SECONDS),
    ],
)
def test_it_is_given_its_drain(environment: dict[str, str], seconds: float) -> None:
    assert drain_seconds(environment) == seconds


def test_the_default_is_the_gateways_own() -> None:
    setting = re.search(
        r'value_name = "LACUNA_REQUEST_TIMEOUT",\s*default_value = "(\d+)"', CONFIG.read_text()
    )
    assert setting
    assert float(setting[1]) == REQUEST_SECONDS
