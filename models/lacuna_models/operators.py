"""Whether TensorRT's ONNX parser takes a graph, as far as a list can tell.

From the support matrix of onnx-tensorrt 10.x (``docs/operators.md``), narrowed to what the
networks here are made of. Control flow is left out although the parser has it: a network
with a loop in it was exported by mistake.
"""

from collections.abc import Iterator

import onnx
from onnx import TensorProto, helper

SUPPORTED = frozenset(
    """
    Abs Add And ArgMax ArgMin AveragePool BatchNormalization Cast Ceil Clip Concat Constant
    ConstantOfShape Conv ConvTranspose Cos DeformConv DepthToSpace Div Einsum Elu Equal Erf Exp
    Expand Flatten Floor Gather GatherElements GatherND Gelu Gemm GlobalAveragePool
    GlobalMaxPool Greater GreaterOrEqual GridSample GroupNormalization HardSigmoid HardSwish
    Identity InstanceNormalization LayerNormalization LeakyRelu Less LessOrEqual Log MatMul Max
    MaxPool Mean Min Mod Mul Neg Not Or PRelu Pad Pow Range Reciprocal ReduceL2 ReduceMax
    ReduceMean ReduceMin ReduceProd ReduceSum Relu Reshape Resize Round ScatterElements
    ScatterND Selu Shape Sigmoid Sign Sin Slice Softmax Softplus SpaceToDepth Split Sqrt
    Squeeze Sub Sum Tanh Tile TopK Transpose Unsqueeze Where Xor
    """.split()
)
NEWEST_OPSET = 20
"""What TensorRT 10.0 to 10.5 know; later ones know more."""


def problems_for_tensorrt(model: onnx.ModelProto) -> list[str]:
    """Why TensorRT would refuse the graph, a sentence each; empty if it should take it."""
    problems = []
    for opset in model.opset_import:
        if opset.domain not in ("", "ai.onnx"):
            # Declared and not used is harmless; a use is reported with its node.
            continue
        if opset.version > NEWEST_OPSET:
            problems.append(f"opset {opset.version} is newer than {NEWEST_OPSET}")
    counted: dict[str, int] = {}
    for node in model.graph.node:
        for problem in _problems_of(node):
            counted[problem] = counted.get(problem, 0) + 1
    problems += [f"{problem} ({count} times)" for problem, count in counted.items()]
    return problems + list(_bytes_inside(model.graph))


def _problems_of(node: onnx.NodeProto) -> Iterator[str]:
    attributes = {each.name: helper.get_attribute_value(each) for each in node.attribute}
    if node.domain not in ("", "ai.onnx"):
        yield f"operator {node.domain}.{node.op_type} is not a standard one"
    elif node.op_type not in SUPPORTED:
        yield f"operator {node.op_type} is not supported"
    elif node.op_type == "Einsum":
        left, _, _ = attributes["equation"].decode().replace(" ", "").partition("->")
        if "." in left or any(len(set(part)) != len(part) for part in left.split(",")):
            yield f"Einsum {attributes['equation'].decode()} has an ellipsis or a diagonal"
    elif node.op_type == "Resize":
        if attributes.get("mode", b"nearest") not in (b"nearest", b"linear"):
            yield f"Resize has the mode {attributes['mode'].decode()}"
        if attributes.get("antialias", 0):
            yield "Resize has antialiasing"
    elif node.op_type == "DeformConv":
        pads = list(attributes.get("pads", []))
        if pads[: len(pads) // 2] != pads[len(pads) // 2 :]:
            yield "DeformConv has unequal padding at its ends"


def _bytes_inside(graph: onnx.GraphProto) -> Iterator[str]:
    """UINT8 may only be the graph's input to a Cast, and the graph's output from one."""
    bytes_in = {
        each.name for each in graph.input if each.type.tensor_type.elem_type == TensorProto.UINT8
    }
    bytes_out = {
        each.name for each in graph.output if each.type.tensor_type.elem_type == TensorProto.UINT8
    }
    for each in graph.initializer:
        if each.data_type == TensorProto.UINT8:
            yield f"the constant {each.name} is UINT8"
    for node in graph.node:
        if node.op_type == "Cast":
            to = next(each.i for each in node.attribute if each.name == "to")
            if to == TensorProto.UINT8 and node.output[0] not in bytes_out:
                yield f"{node.output[0]} is UINT8 inside the graph"
        elif bytes_in & set(node.input):
            yield f"{node.op_type} takes the UINT8 input {', '.join(bytes_in & set(node.input))}"
