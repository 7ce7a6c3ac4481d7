"""The check of a graph against what TensorRT's parser takes."""

from typing import Any

import onnx
import pytest
from onnx import TensorProto, helper

from lacuna_models.operators import problems_for_tensorrt

FLOAT, UINT8 = TensorProto.FLOAT, TensorProto.UINT8


def graph(
    *nodes: onnx.NodeProto, types: tuple[int, int] = (FLOAT, FLOAT), opset: int = 17
) -> onnx.ModelProto:
    x, y = (helper.make_tensor_value_info(n, t, [1]) for n, t in zip("xy", types, strict=True))
    opsets = [helper.make_opsetid("", opset)]
    return helper.make_model(helper.make_graph(list(nodes), "g", [x], [y]), opset_imports=opsets)


def node(operator: str, source: str = "x", target: str = "y", **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(operator, [source], [target], **attributes)


@pytest.mark.parametrize(
    "good",
    [
        graph(node("Relu")),
        graph(node("Cast", to=FLOAT), types=(UINT8, FLOAT)),
        graph(node("Cast", "x", "m", to=FLOAT), node("Cast", "m", to=UINT8), types=(UINT8, UINT8)),
        graph(node("Einsum", equation="ij,jk->ik")),
        graph(node("Resize", mode="linear")),
        graph(node("DeformConv", pads=[1, 2, 1, 2]), opset=19),
    ],
)
def test_what_tensorrt_takes_is_not_complained_about(good: onnx.ModelProto) -> None:
    assert problems_for_tensorrt(good) == []


@pytest.mark.parametrize(
    ("bad", "problem"),
    [
        (graph(node("DFT")), "operator DFT is not supported"),
        (graph(node("Loop"), node("Loop")), "operator Loop is not supported (2 times)"),
        (graph(node("If")), "operator If is not supported"),
        (graph(node("Gelu", domain="a.b")), "operator a.b.Gelu is not a standard one"),
        (graph(node("Einsum", equation="...i->i...")), "Einsum ...i->i... has an ellipsis or a diagonal"),
        (graph(node("Einsum", equation="ii->i")), "Einsum ii->i has an ellipsis or a diagonal"),
        (graph(node("Resize", mode="cubic")), "Resize has the mode cubic"),
        (graph(node("Resize", mode="linear", antialias=1)), "Resize has antialiasing"),
        (graph(node("DeformConv", pads=[0, 0, 1, 1])), "DeformConv has unequal padding at its ends"),
        (graph(node("Relu"), opset=23), "opset 23 is newer than 20"),
        (graph(node("Relu"), types=(UINT8, UINT8)), "Relu takes the UINT8 input x"),
        (graph(node("Cast", "x", "m", to=UINT8), node("Relu", "m")), "m is UINT8 inside the graph"),
    ],
)  # fmt: skip
def test_what_tensorrt_refuses_is_named(bad: onnx.ModelProto, problem: str) -> None:
    assert [each.removesuffix(" (1 times)") for each in problems_for_tensorrt(bad)] == [problem]
