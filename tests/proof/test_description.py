"""The description of the service, /openapi.json, is OpenAPI 3.1, and its examples are right."""

from __future__ import annotations

import asyncio
import json
import urllib.request
from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from rig.gateway import Gateway

NOWHERE = "http://127.0.0.1:9"


@pytest.fixture(scope="module")
def description(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """The description, from a gateway that reaches no Triton."""
    gateway = Gateway(NOWHERE, tmp_path_factory.mktemp("description") / "log", {})
    try:
        asyncio.run(gateway.wait("/livez"))
        with urllib.request.urlopen(f"{gateway.address}/openapi.json") as answer:
            yield json.load(answer)
    finally:
        gateway.terminate()
        asyncio.run(gateway.ended())


def test_it_is_openapi_3_1(description: dict[str, Any]) -> None:
    assert description["openapi"] == "3.1.0"
    OpenAPIV31SpecValidator(description).validate()


def test_every_example_fits_its_schema(description: dict[str, Any]) -> None:
    seen = 0
    for place in places(description):
        examples = [example["value"] for example in objects(place.get("examples")).values()]
        examples += [place["example"]] if "example" in place else []
        for example in examples:
            # References are to the whole document.
            schema = {**description, **place["schema"]}
            jsonschema_rs.Draft202012Validator(schema).validate(example)
            seen += 1
    assert seen > 40, "the examples were looked for in the wrong places"


def test_everything_that_can_be_referred_to_is(description: dict[str, Any]) -> None:
    text = json.dumps(description)
    for kind in ("headers", "parameters", "schemas"):
        for name in description["components"][kind]:
            assert f'"#/components/{kind}/{name}"' in text, f"{kind} {name}"


def places(value: object) -> Iterator[dict[str, Any]]:
    """Every object that has a schema: parameters, headers, contents."""
    if isinstance(value, dict):
        if isinstance(value.get("schema"), dict):
            yield value
        for child in value.values():
            yield from places(child)
    elif isinstance(value, list):
        for child in value:
            yield from places(child)


def objects(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
