"""Requests to answers, with doubles of the classes that exist only inside Triton."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import triton_python_backend_utils as pb_utils

from lacuna_triton.items import BadItem, Item, ItemModel
from tests.pictures import Pixels

CONFIG = '{"input": [{"name": "image"}], "output": [{"name": "output"}]}'


@dataclass
class Tensor:
    name: str
    array: Pixels

    def as_numpy(self) -> Pixels:
        return self.array


@dataclass
class Error:
    message: str
    code: int
    INVALID_ARG = 3
    INTERNAL = 1


@dataclass
class Response:
    output_tensors: list[Tensor]
    error: Error | None = None


@dataclass
class Log:
    errors: list[str] = field(default_factory=list)

    def log_error(self, message: str) -> None:
        self.errors.append(message)


class Doubling(ItemModel):
    """Doubles; refuses 13 and breaks on 66."""

    def load(self, folder: Path, config: Mapping[str, Any]) -> None:
        self.folder = folder

    def answer(self, item: Item) -> Item:
        if item["image"][0] == 13:
            raise BadItem("13 brings bad luck")
        if item["image"][0] == 66:
            raise ZeroDivisionError("no such number")
        return {"output": item["image"] + item["image"]}


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Log:
    log = Log()
    doubles = {"Tensor": Tensor, "TritonError": Error, "InferenceResponse": Response, "Logger": log}
    for name, double in doubles.items():
        monkeypatch.setattr(pb_utils, name, double, raising=False)
    monkeypatch.setattr(pb_utils, "get_input_tensor_by_name", lambda request, name: request[name])
    return log


@pytest.fixture
def model(log: Log) -> Doubling:
    model = Doubling()
    arguments = {"model_config": CONFIG, "model_name": "doubling"}
    model.initialize({**arguments, "model_repository": "/models/doubling", "model_version": "1"})
    return model


def request(*values: int) -> dict[str, Tensor]:
    return {"image": Tensor("image", np.array(values, dtype=np.uint8)[:, None])}


def test_the_model_is_loaded_from_its_version_folder(model: Doubling) -> None:
    assert model.folder == Path("/models/doubling/1")


def test_each_request_is_answered_with_its_own_items(model: Doubling) -> None:
    first, second = model.execute([request(1, 2), request(3)])
    assert [tensor.name for tensor in first.output_tensors] == ["output"]
    assert first.output_tensors[0].array.tolist() == [[2], [4]]
    assert second.output_tensors[0].array.tolist() == [[6]]


def test_a_bad_request_is_refused_and_the_others_are_answered(model: Doubling, log: Log) -> None:
    good, bad, late = model.execute([request(1), request(2, 13), request(4)])
    assert good.error is None
    assert late.output_tensors[0].array.tolist() == [[8]]
    assert bad.error == Error("doubling: 13 brings bad luck", Error.INVALID_ARG)
    assert bad.output_tensors == []
    assert log.errors == [], "the caller is at fault, not the model"


def test_a_failure_is_reported_and_logged_and_the_others_are_answered(
    model: Doubling, log: Log
) -> None:
    broken, good = model.execute([request(66), request(5)])
    assert broken.error == Error(
        "doubling failed: ZeroDivisionError: no such number", Error.INTERNAL
    )
    assert log.errors == ["doubling failed: ZeroDivisionError: no such number"]
    assert good.output_tensors[0].array.tolist() == [[10]]
