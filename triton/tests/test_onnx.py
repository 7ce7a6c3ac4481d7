"""Graphs picked by side, and models over them, on graphs made here."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from lacuna_triton.items import BadItem, split_items
from lacuna_triton.onnx_graphs import OnnxGraphs, UnknownSide
from lacuna_triton.onnx_model import OnnxModel

CONFIG = {"output": [{"name": "output"}]}


def write_graph(file: Path, side: int | str, marker: int) -> None:
    """A graph of UINT8 that answers ``image`` with every pixel raised by ``marker``."""
    shape = [1, side, side, 3]
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["image"], ["wide"], to=TensorProto.INT32),
            helper.make_node("Add", ["wide", "marker"], ["sum"]),
            helper.make_node("Cast", ["sum"], ["output"], to=TensorProto.UINT8),
        ],
        "raise",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, shape)],
        [helper.make_tensor_value_info("output", TensorProto.UINT8, shape)],
        [helper.make_tensor("marker", TensorProto.INT32, [], [marker])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    onnx.save(model, file)


def loaded(folder: Path) -> OnnxModel:
    model = OnnxModel()
    model.load(folder, CONFIG)
    return model


def image(side: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.full((side, side, 3), 50, dtype=np.uint8)


def test_the_graph_of_the_side_answers(tmp_path: Path) -> None:
    write_graph(tmp_path / "model_16.onnx", 16, 1)
    write_graph(tmp_path / "model_32.onnx", 32, 2)
    model = loaded(tmp_path)
    assert (model.answer({"image": image(16)})["output"] == 51).all()
    answer = model.answer({"image": image(32)})["output"]
    assert (answer == 52).all()
    assert answer.shape == (32, 32, 3)
    assert answer.dtype == np.uint8


def test_the_graph_for_any_side_answers_where_no_other_does(tmp_path: Path) -> None:
    write_graph(tmp_path / "model.onnx", "side", 9)
    write_graph(tmp_path / "model_16.onnx", 16, 1)
    model = loaded(tmp_path)
    assert (model.answer({"image": image(16)})["output"] == 51).all()
    assert (model.answer({"image": image(24)})["output"] == 59).all()


def test_a_side_without_a_graph_is_refused_with_the_sides_there_are(tmp_path: Path) -> None:
    write_graph(tmp_path / "model_16.onnx", 16, 1)
    write_graph(tmp_path / "model_32.onnx", 32, 1)
    with pytest.raises(BadItem, match="side 24, but the model serves only 16, 32"):
        loaded(tmp_path).answer({"image": image(24)})
    with pytest.raises(UnknownSide):
        OnnxGraphs(tmp_path).run(24, {"image": image(24)[None]}, ["output"])


@pytest.mark.parametrize(
    "item",
    [
        {"image": np.zeros((16, 24, 3), np.uint8)},
        {"image": np.zeros((16, 16, 3), np.uint8), "mask": np.zeros((24, 24, 1), np.uint8)},
    ],
    ids=["not a square", "two sides"],
)
def test_an_item_that_is_no_square_of_one_side_is_refused(
    item: dict[str, np.ndarray[tuple[int, ...], np.dtype[np.uint8]]], tmp_path: Path
) -> None:
    write_graph(tmp_path / "model.onnx", "side", 1)
    with pytest.raises(BadItem, match="squares of one side"):
        loaded(tmp_path).answer(item)


def test_a_folder_without_a_graph_cannot_be_loaded(tmp_path: Path) -> None:
    (tmp_path / "other.onnx").write_bytes(b"")
    with pytest.raises(FileNotFoundError, match=r"neither model\.onnx nor model_<side>\.onnx"):
        loaded(tmp_path)


def test_a_damaged_graph_cannot_be_loaded(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"not a graph")
    with pytest.raises(Exception, match="INVALID_PROTOBUF"):
        loaded(tmp_path)


def test_a_batch_is_split_into_items() -> None:
    items = split_items(
        {"image": np.arange(6, dtype=np.uint8)[:, None], "mask": np.ones((6, 2), np.uint8)}
    )
    assert [int(item["image"][0]) for item in items] == list(range(6))
    assert {item["mask"].shape for item in items} == {(2,)}


def test_inputs_of_two_batch_sizes_are_refused() -> None:
    with pytest.raises(BadItem, match="batch size"):
        split_items({"image": np.zeros((2, 4), np.uint8), "mask": np.zeros((3, 4), np.uint8)})
