"""The published ONNX graph of BiRefNet with pictures of bytes at both ends.

The published graph takes ``input_image`` [1, 3, 1024, 1024] with ImageNet's mean and
deviation taken out and gives logits, ``output_image`` [1, 1, 1024, 1024]. What is grafted on
turns ``image`` [N, 1024, 1024, 3] of bytes into that and the logits into ``alpha``
[N, 1024, 1024, 1] of bytes.
"""

from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from lacuna_models.errors import ModelsError

SIDE = 1024
INPUT, OUTPUT = "input_image", "output_image"
MEAN = np.array([0.485, 0.456, 0.406])
DEVIATION = np.array([0.229, 0.224, 0.225])
"""Of ImageNet's pictures in 0..1, red, green, blue."""
LARGEST_FREE_BATCH = 2

_OLDEST_OPSET = 13
_PREFIX = "lacuna_"


@dataclass(frozen=True)
class Grafted:
    """A graph with bytes at both ends."""

    model: onnx.ModelProto
    largest_batch: int
    """1 where the published graph is made for single pictures, else ``LARGEST_FREE_BATCH``."""


def graft(model: onnx.ModelProto) -> Grafted:
    """Changes ``model`` in place. Raises ``ModelsError`` if it is not such a graph."""
    graph = model.graph
    source, logits = _tensor(graph.input, INPUT, "input"), _tensor(graph.output, OUTPUT, "output")
    constants = {each.name for each in graph.initializer}
    others = [each.name for each in graph.input if each.name not in constants | {INPUT}]
    if others:
        raise ModelsError(f"the graph has further inputs: {', '.join(others)}")
    opset = max(
        (each.version for each in model.opset_import if each.domain in ("", "ai.onnx")), default=0
    )
    if opset < _OLDEST_OPSET:
        raise ModelsError(f"the graph has opset {opset}; {_OLDEST_OPSET} or newer is needed")
    taken = {name for node in graph.node for name in (*node.input, *node.output)}
    if any(name.startswith(_PREFIX) for name in taken) or {"image", "alpha"} & taken:
        raise ModelsError("the graph has been grafted already, or uses its names")
    free = _check_shape(source, 3) and _check_shape(logits, 1)

    floats = source.type.tensor_type.elem_type
    if floats not in (TensorProto.FLOAT, TensorProto.FLOAT16):
        raise ModelsError(f"{INPUT} is neither FLOAT nor FLOAT16")
    before = _before(graph, floats, single=not free)
    after = _after(graph, single=not free)
    nodes = [*before, *graph.node, *after]
    del graph.node[:], graph.input[:], graph.output[:]
    graph.node.extend(nodes)
    graph.input.append(_bytes("image", 3))
    graph.output.append(_bytes("alpha", 1))
    return Grafted(model, LARGEST_FREE_BATCH if free else 1)


def normalised(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """What the published graph wants of [N, 1024, 1024, 3] bytes; for comparisons."""
    planes = (image / 255.0 - MEAN) / DEVIATION
    return np.ascontiguousarray(planes.transpose(0, 3, 1, 2), dtype=np.float32)


def alpha_of(logits: NDArray[np.float32]) -> NDArray[np.uint8]:
    """What the published graph's logits mean, as [N, 1024, 1024, 1] bytes."""
    alpha = 1.0 / (1.0 + np.exp(-logits.astype(np.float64)))
    levels: NDArray[np.uint8] = np.rint(alpha * 255.0).astype(np.uint8)
    return levels.transpose(0, 2, 3, 1)


def _before(graph: onnx.GraphProto, floats: int, *, single: bool) -> list[onnx.NodeProto]:
    def constant(name: str, array: NDArray[np.generic]) -> str:
        graph.initializer.append(numpy_helper.from_array(array, _PREFIX + name))
        return _PREFIX + name

    shift = constant("mean", (255.0 * MEAN).astype(np.float32).reshape(1, 3, 1, 1))
    scale = constant("deviation", (255.0 * DEVIATION).astype(np.float32).reshape(1, 3, 1, 1))
    nodes = [
        helper.make_node("Cast", ["image"], [_PREFIX + "floats"], to=TensorProto.FLOAT),
        helper.make_node(
            "Transpose", [_PREFIX + "floats"], [_PREFIX + "planes"], perm=[0, 3, 1, 2]
        ),
        helper.make_node("Sub", [_PREFIX + "planes", shift], [_PREFIX + "centred"]),
        helper.make_node("Div", [_PREFIX + "centred", scale], [_PREFIX + "scaled"]),
    ]
    last = _PREFIX + "scaled"
    if single:
        # The batch stays a free dimension at the edges, as Triton wants it of a model that
        # takes batches; the published graph sees the one picture that it is made for.
        shape = constant("single", np.array([1, 3, SIDE, SIDE], np.int64))
        nodes.append(helper.make_node("Reshape", [last, shape], [_PREFIX + "one"]))
        last = _PREFIX + "one"
    nodes.append(helper.make_node("Cast", [last], [INPUT], to=floats))
    return nodes


def _after(graph: onnx.GraphProto, *, single: bool) -> list[onnx.NodeProto]:
    def constant(name: str, array: NDArray[np.generic]) -> str:
        graph.initializer.append(numpy_helper.from_array(array, _PREFIX + name))
        return _PREFIX + name

    nodes = [
        helper.make_node("Cast", [OUTPUT], [_PREFIX + "logits"], to=TensorProto.FLOAT),
        helper.make_node("Sigmoid", [_PREFIX + "logits"], [_PREFIX + "opacity"]),
        helper.make_node(
            "Mul",
            [_PREFIX + "opacity", constant("white", np.array(255.0, np.float32))],
            [_PREFIX + "levels"],
        ),
        helper.make_node("Round", [_PREFIX + "levels"], [_PREFIX + "rounded"]),
    ]
    last = _PREFIX + "rounded"
    if single:
        nodes += [
            helper.make_node("Shape", [_PREFIX + "planes"], [_PREFIX + "shape"]),
            helper.make_node(
                "Gather",
                [_PREFIX + "shape", constant("first", np.array([0], np.int64))],
                [_PREFIX + "batch"],
            ),
            helper.make_node(
                "Concat",
                [_PREFIX + "batch", constant("square", np.array([1, SIDE, SIDE], np.int64))],
                [_PREFIX + "batched"],
                axis=0,
            ),
            helper.make_node("Reshape", [last, _PREFIX + "batched"], [_PREFIX + "all"]),
        ]
        last = _PREFIX + "all"
    return [
        *nodes,
        helper.make_node("Transpose", [last], [_PREFIX + "last"], perm=[0, 2, 3, 1]),
        helper.make_node("Cast", [_PREFIX + "last"], ["alpha"], to=TensorProto.UINT8),
    ]


def _tensor(tensors: "list[onnx.ValueInfoProto]", name: str, kind: str) -> onnx.ValueInfoProto:
    for each in tensors:
        if each.name == name:
            return each
    found = ", ".join(each.name for each in tensors) or "none"
    raise ModelsError(f"the graph has no {kind} named {name} (it has: {found})")


def _check_shape(tensor: onnx.ValueInfoProto, channels: int) -> bool:
    """Whether the batch is free; raises ``ModelsError`` for other dimensions than expected."""
    dims = tensor.type.tensor_type.shape.dim
    sizes = [each.dim_value if each.HasField("dim_value") else None for each in dims]
    fits = len(sizes) == 4 and sizes[0] in (1, None)
    fits = fits and all(
        size in (want, None) for size, want in zip(sizes[1:], (channels, SIDE, SIDE), strict=True)
    )
    if not fits:
        raise ModelsError(
            f"{tensor.name} has the shape {sizes} instead of [1, {channels}, {SIDE}, {SIDE}]"
        )
    return sizes[0] is None


def _bytes(name: str, channels: int) -> onnx.ValueInfoProto:
    shape: list[str | int | None] = ["batch", SIDE, SIDE, channels]
    return helper.make_tensor_value_info(name, TensorProto.UINT8, shape)
