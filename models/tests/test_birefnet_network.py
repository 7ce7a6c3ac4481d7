"""BiRefNet built from its weights. ``tests_torch`` compares its answer with PyTorch's."""

import json
import math
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from safetensors.numpy import save_file

from lacuna_models.birefnet.architecture import (
    SWIN_L,
    SWIN_TOY,
    Architecture,
    load_weights,
    weight_shapes,
)
from lacuna_models.birefnet.backbone import relative_position, shifted_parts
from lacuna_models.birefnet.network import build_graph
from lacuna_models.errors import ModelsError
from lacuna_models.manifest import load_manifest
from lacuna_models.operators import problems_for_tensorrt
from tests.doubles import birefnet_weights

Tensors = dict[str, NDArray[np.generic]]


def with_bookkeeping(shapes: dict[str, tuple[int, ...]], window: int) -> dict[str, tuple[int, ...]]:
    """What PyTorch saves beside the weights: index tables and counters, 64-bit integers."""
    found: dict[str, tuple[int, ...]] = {}
    for name in shapes:
        if name.endswith(".running_var"):
            found[name.replace("running_var", "num_batches_tracked")] = ()
        if name.endswith(".relative_position_bias_table"):
            index = name.replace("bias_table", "index")
            found[index] = (window**2, window**2)
    return found


def safetensors_size(architecture: Architecture) -> int:
    """Bytes of the file that holds the network in half precision."""
    shapes = weight_shapes(architecture)
    integers = with_bookkeeping(shapes, architecture.window)
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    end = 0
    for kind, width, tensors in (("I64", 8, integers), ("F16", 2, shapes)):
        for name, shape in sorted(tensors.items()):
            start, end = end, end + width * math.prod(shape)
            header[name] = {"dtype": kind, "shape": shape, "data_offsets": [start, end]}
    length = len(json.dumps(header, separators=(",", ":")))
    return 8 + length + -length % 8 + end


def test_the_list_of_weights_makes_the_published_file_to_the_byte() -> None:
    (published,) = (f for f in load_manifest() if f.name == "birefnet.safetensors")
    assert safetensors_size(SWIN_L) == published.bytes == 444_473_596


def test_the_graph_is_valid_and_for_tensorrt() -> None:
    model = build_graph(birefnet_weights(SWIN_TOY), SWIN_TOY)
    onnx.checker.check_model(model, full_check=True)
    assert problems_for_tensorrt(model) == []
    deformable = [node for node in model.graph.node if node.op_type == "DeformConv"]
    assert len(deformable) == 5 * 4
    output = model.graph.output[0].type.tensor_type.shape.dim
    assert [dim.dim_param or dim.dim_value for dim in output] == ["batch", 1024, 1024, 1]


def saved(tmp_path: Path, change: Tensors) -> Path:
    tensors: Tensors = {
        name: array.astype(np.float16) for name, array in birefnet_weights(SWIN_TOY).items()
    }
    for name, shape in with_bookkeeping(weight_shapes(SWIN_TOY), SWIN_TOY.window).items():
        tensors[name] = np.zeros(shape, np.int64)
    tensors |= change
    save_file(
        {name: array for name, array in tensors.items() if array.size}, tmp_path / "w.safetensors"
    )
    return tmp_path / "w.safetensors"


def test_weights_in_half_precision_are_read(tmp_path: Path) -> None:
    found = load_weights(saved(tmp_path, {}), SWIN_TOY)
    assert found.keys() == weight_shapes(SWIN_TOY).keys()
    assert all(array.dtype == np.float32 for array in found.values())


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("bb.norm2.bias", np.empty(0), r"missing from this BiRefNet: bb\.norm2\.bias"),
        ("bb.norm4.bias", np.ones(3), r"do not belong to this BiRefNet: bb\.norm4\.bias"),
        ("bb.norm2.bias", np.ones(3), r"another shape .*: bb\.norm2\.bias \[3\] instead of \[64\]"),
    ],
    ids=["missing", "spare", "misshapen"],
)
def test_a_weight_that_does_not_fit_is_named(
    tmp_path: Path, name: str, value: NDArray[np.generic], message: str
) -> None:
    with pytest.raises(ModelsError, match=message):
        load_weights(saved(tmp_path, {name: value}), SWIN_TOY)


def test_half_a_file_is_refused(tmp_path: Path) -> None:
    file = saved(tmp_path, {})
    file.write_bytes(file.read_bytes()[:-1000])
    with pytest.raises(ModelsError, match="not a safetensors file, or is damaged"):
        load_weights(file, SWIN_TOY)


def test_positions_are_counted_from_the_other_pixel() -> None:
    index = relative_position(3)
    assert index[0, 0] == index[4, 4] == 2 * 5 + 2, "a pixel and itself: the middle of the table"
    assert index[0, 8] == 0, "the first and the last pixel: as far up and left as can be"
    assert index[8, 0] == 24
    assert index[1, 0] == index[0, 0] + 1


def test_shifted_windows_know_what_was_brought_from_the_other_edge() -> None:
    parts = shifted_parts(count=2, window=4)
    first, right, below, last = parts.reshape(4, 4, 4).tolist()
    assert first == [[0] * 4] * 4
    assert right == [[1, 1, 2, 2]] * 4
    assert below == [[3] * 4] * 2 + [[6] * 4] * 2
    assert last == [[4, 4, 5, 5]] * 2 + [[7, 7, 8, 8]] * 2
