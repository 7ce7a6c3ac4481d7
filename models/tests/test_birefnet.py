"""Grafting bytes onto a graph of BiRefNet's published inputs and outputs."""

from collections.abc import Callable

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper

from lacuna_models import birefnet
from lacuna_models.birefnet import INPUT, OUTPUT, SIDE
from lacuna_models.errors import ModelsError
from lacuna_models.export import open_session
from lacuna_models.operators import problems_for_tensorrt
from tests.doubles import segmenter


def run(model: onnx.ModelProto, inputs: dict[str, NDArray[np.generic]]) -> NDArray[np.generic]:
    (answer,) = open_session(model.SerializeToString()).run(None, inputs)
    return np.asarray(answer)


def photo(batch: int = 1) -> NDArray[np.uint8]:
    return np.random.default_rng(2).integers(0, 256, (batch, SIDE, SIDE, 3), dtype=np.uint8)


def test_the_grafted_graph_answers_as_the_published_one() -> None:
    image = photo()
    logits = run(segmenter(), {INPUT: birefnet.normalised(image)})
    alpha = run(birefnet.graft(segmenter()).model, {"image": image})
    expected = birefnet.alpha_of(logits.astype(np.float32))
    assert alpha.dtype == np.uint8
    assert alpha.shape == (1, SIDE, SIDE, 1)
    assert np.abs(alpha.astype(int) - expected.astype(int)).max() <= 1
    assert expected.std() > 10, "the network says too little for a comparison to mean anything"


def test_normalisation_is_that_of_imagenet() -> None:
    image = np.zeros((1, SIDE, SIDE, 3), np.uint8)
    image[..., 0] = 255
    planes = birefnet.normalised(image)[0, :, 0, 0]
    np.testing.assert_allclose(planes, [(1 - 0.485) / 0.229, -0.456 / 0.224, -0.406 / 0.225])


def test_a_graph_for_single_pictures_keeps_a_free_batch_at_its_edges() -> None:
    grafted = birefnet.graft(segmenter())
    assert grafted.largest_batch == 1
    onnx.checker.check_model(grafted.model, full_check=True)
    for tensor in (grafted.model.graph.input[0], grafted.model.graph.output[0]):
        assert tensor.type.tensor_type.elem_type == TensorProto.UINT8
        assert tensor.type.tensor_type.shape.dim[0].dim_param == "batch"


def test_a_graph_with_a_free_batch_takes_batches() -> None:
    grafted = birefnet.graft(segmenter(batch="n"))
    assert grafted.largest_batch == 2
    image = photo(batch=2)
    together = run(grafted.model, {"image": image})
    for number in range(2):
        one = slice(number, number + 1)
        assert (together[one] == run(grafted.model, {"image": image[one]})).all()


def test_the_grafted_graph_is_for_tensorrt() -> None:
    assert problems_for_tensorrt(birefnet.graft(segmenter()).model) == []


def renamed(model: onnx.ModelProto) -> None:
    model.graph.input[0].name = "pixels"


def without_output(model: onnx.ModelProto) -> None:
    model.graph.output[0].name = "mask"


def smaller(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[2].dim_value = 512


def of_bytes(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.UINT8


def with_a_second_input(model: onnx.ModelProto) -> None:
    model.graph.input.append(helper.make_tensor_value_info("extra", TensorProto.FLOAT, [1]))


def old(model: onnx.ModelProto) -> None:
    model.opset_import[0].version = 11


def grafted_already(model: onnx.ModelProto) -> None:
    birefnet.graft(model)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (renamed, "no input named input_image .it has: pixels"),
        (without_output, "no output named output_image .it has: mask"),
        (smaller, r"input_image has the shape \[1, 3, 512, 1024\] instead of"),
        (of_bytes, "neither FLOAT nor FLOAT16"),
        (with_a_second_input, "further inputs: extra"),
        (old, "opset 11; 13 or newer"),
        (grafted_already, "no input named input_image .it has: image"),
    ],
)
def test_other_graphs_are_refused(change: Callable[[onnx.ModelProto], None], message: str) -> None:
    model = segmenter()
    change(model)
    with pytest.raises(ModelsError, match=message):
        birefnet.graft(model)


def test_the_published_names_are_what_the_graph_is_asked_for() -> None:
    assert (INPUT, OUTPUT, SIDE) == ("input_image", "output_image", 1024)
