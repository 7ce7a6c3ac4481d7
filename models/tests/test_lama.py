"""The LaMa graph against the same network in NumPy, on every window side."""

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray

from lacuna_models.errors import ModelsError
from lacuna_models.export import open_session
from lacuna_models.lama import fourier
from lacuna_models.lama.architecture import (
    BIG_LAMA,
    SIDES,
    STRIDE,
    TINY_LAMA,
    Architecture,
    select_weights,
    weight_shapes,
)
from lacuna_models.lama.graph import SIDES_KEY, build_graph
from lacuna_models.lama.random_weights import random_weights
from lacuna_models.operators import problems_for_tensorrt
from lacuna_models.verify import hole, pictures
from lacuna_models.weights import Weights
from tests.doubles import lama_tensors
from tests.numpy_lama import NumpyLama

Bytes = NDArray[np.uint8]

SLIGHT = Architecture(width=4, blocks=2)
"""Small enough for the network in NumPy to take seconds at the largest side."""


@pytest.fixture(scope="module")
def weights() -> Weights:
    return random_weights(SLIGHT, seed=11)


@pytest.fixture(scope="module")
def session(weights: Weights) -> onnxruntime.InferenceSession:
    return ready(build_graph(weights, SLIGHT))


def ready(model: onnx.ModelProto) -> onnxruntime.InferenceSession:
    return open_session(model.SerializeToString())


def noise(side: int, batch: int = 1) -> tuple[Bytes, Bytes]:
    rng = np.random.default_rng(side)
    image = rng.integers(0, 256, (batch, side, side, 3), dtype=np.uint8)
    return image, np.repeat(hole(side), batch, axis=0)


@pytest.mark.parametrize("side", SIDES)
def test_the_graph_answers_within_one_level_of_the_network(
    session: onnxruntime.InferenceSession, weights: Weights, side: int
) -> None:
    image, mask = noise(side)
    (answer,) = session.run(["output"], {"image": image, "mask": mask})
    expected = NumpyLama(weights, SLIGHT)(image, mask)
    assert answer.dtype == np.uint8
    assert answer.shape == image.shape
    off = np.abs(answer.astype(int) - expected.astype(int))
    assert off.max() <= 1
    assert off.mean() < 0.001
    filled = expected[mask[..., 0] >= 128]
    assert filled.std() > 10, "the network says too little for a comparison to mean anything"


def test_the_graph_keeps_what_is_not_in_the_hole(session: onnxruntime.InferenceSession) -> None:
    image, mask = noise(256)
    (answer,) = session.run(None, {"image": image, "mask": mask})
    known = mask[..., 0] < 128
    assert (answer[known] == image[known]).all()
    assert (answer[~known] != image[~known]).any()


def test_what_is_in_the_hole_does_not_reach_the_answer(
    session: onnxruntime.InferenceSession,
) -> None:
    image, mask = noise(256)
    other = np.where(mask >= 128, 255 - image, image)
    (answer,) = session.run(None, {"image": image, "mask": mask})
    (again,) = session.run(None, {"image": other, "mask": mask})
    assert (answer == again).all()


def test_masks_count_from_128(session: onnxruntime.InferenceSession) -> None:
    image, mask = noise(256)
    grey = np.where(mask >= 128, 128, 127).astype(np.uint8)
    (answer,) = session.run(None, {"image": image, "mask": mask})
    (same,) = session.run(None, {"image": image, "mask": grey})
    assert (answer == same).all()


def test_a_batch_answers_as_its_pictures_do_alone(session: onnxruntime.InferenceSession) -> None:
    image, mask = noise(256, batch=3)
    (together,) = session.run(None, {"image": image, "mask": mask})
    for number in range(3):
        one = slice(number, number + 1)
        (alone,) = session.run(None, {"image": image[one], "mask": mask[one]})
        assert np.abs(together[one].astype(int) - alone.astype(int)).max() <= 1


def test_activations_beyond_half_precision_stay_finite() -> None:
    loud = dict(random_weights(SLIGHT, seed=12))
    for part in ("weight", "bias"):
        loud[f"model.1.bn_l.{part}"] = loud[f"model.1.bn_l.{part}"] * np.float32(3e5)
    last = f"model.{SLIGHT.last_convolution}.weight"
    loud[last] = loud[last] / np.float32(3e5)
    image, mask = noise(256)
    network = NumpyLama(loud, SLIGHT)
    expected = network(image, mask)
    assert network.largest > 65504, "the activations do not pass half precision"
    (answer,) = ready(build_graph(loud, SLIGHT)).run(None, {"image": image, "mask": mask})
    assert np.abs(answer.astype(int) - expected.astype(int)).max() <= 1
    assert expected[mask[..., 0] >= 128].std() > 10


def test_the_graph_is_valid_and_for_tensorrt(weights: Weights) -> None:
    model = build_graph(weights, SLIGHT)
    onnx.checker.check_model(model, full_check=True)
    assert problems_for_tensorrt(model) == []
    used = {node.op_type for node in model.graph.node}
    assert not used & {"DFT", "Einsum", "Loop", "If", "Scan", "BatchNormalization"}
    stated = {entry.key: entry.value for entry in model.metadata_props}
    assert stated[SIDES_KEY] == "256,512,768,1024"


@pytest.mark.parametrize("side", SIDES)
def test_the_matrices_are_the_real_fourier_transform(side: int) -> None:
    n = side // STRIDE
    multiple = n // fourier.STEP
    tables = fourier.tables()
    row, inverse_row, count = (
        fourier.first_row(multiple),
        fourier.first_inverse_row(multiple),
        n // 2 + 1,
    )
    cos, sin = tables.cos[row : row + n, :n], tables.sin[row : row + n, :n]
    inverse = slice(inverse_row, inverse_row + count)
    x = np.random.default_rng(n).standard_normal((n, n))
    u = (cos - 1j * sin) @ x
    spectrum = u @ (cos - 1j * sin)[:, :count]
    np.testing.assert_allclose(spectrum, np.fft.rfft2(x, norm="ortho"), atol=2e-5)
    v = (cos + 1j * sin) @ spectrum
    back = v.real @ tables.inverse_cos[inverse, :n] - v.imag @ tables.inverse_sin[inverse, :n]
    np.testing.assert_allclose(back, x, atol=2e-5)


def test_the_published_network_has_51_million_weights() -> None:
    shapes = weight_shapes(BIG_LAMA)
    assert sum(int(np.prod(shape)) for shape in shapes.values()) == 51_057_027
    # Where the published names are known for certain.
    assert shapes["model.1.ffc.convl2l.weight"] == (64, 4, 7, 7)
    assert shapes["model.5.conv1.ffc.convg2g.fu.conv_layer.weight"] == (384, 384, 1, 1)
    assert shapes["model.22.conv2.bn_g.running_var"] == (384,)
    assert shapes["model.24.weight"] == (512, 256, 3, 3)
    assert shapes["model.34.weight"] == (3, 64, 7, 7)


def test_the_generator_is_picked_out_of_everything_else() -> None:
    tensors = lama_tensors()
    behind_a_wrapper = {f"model.{name}": array for name, array in tensors.items()}
    for named in (tensors, behind_a_wrapper):
        assert select_weights(named, TINY_LAMA).keys() == weight_shapes(TINY_LAMA).keys()


LAST_BIAS = f"generator.model.{TINY_LAMA.last_convolution}.bias"
FIRST_NORM = "generator.model.5.conv1.bn_l.weight"


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        (FIRST_NORM, None, r"are missing from .*model\.5\.conv1\.bn_l\.weight"),
        ("generator.model.40.bias", np.ones(3), r"do not belong to .*model\.40\.bias"),
        (LAST_BIAS, np.ones(4), r"another shape in .*model\.18\.bias \[4\] instead of \[3\]"),
        (LAST_BIAS, np.ones(3, int), r"not floating-point numbers in .*model\.18\.bias"),
        (LAST_BIAS, np.array([1, np.nan, 1]), r"not finite in .*model\.18\.bias"),
        (f"ema.{LAST_BIAS}", np.ones(3), r"model\.18\.bias more than once"),
    ],
    ids=["missing", "spare", "misshapen", "integers", "not finite", "twice"],
)
def test_a_weight_that_does_not_fit_is_named(
    name: str, value: NDArray[np.generic] | None, message: str
) -> None:
    tensors = lama_tensors()
    if value is None:
        del tensors[name]
    else:
        tensors[name] = value
    with pytest.raises(ModelsError, match=message):
        select_weights(tensors, TINY_LAMA)


def test_a_file_without_a_generator_is_not_listed_to_the_last_key() -> None:
    with pytest.raises(ModelsError, match=r"are missing from .* and 127 more"):
        select_weights({"discriminator.weight": np.ones(3)}, TINY_LAMA)


def test_random_weights_are_the_same_for_the_same_seed() -> None:
    first, second, other = (random_weights(TINY_LAMA, seed) for seed in (1, 1, 2))
    assert all((first[name] == second[name]).all() for name in first)
    assert any((first[name] != other[name]).any() for name in first)


def test_the_test_hole_leaves_enough_to_fill_and_to_keep() -> None:
    for side in SIDES:
        share = (hole(side) >= 128).mean()
        assert 0.2 < share < 0.5
        ((name, image),) = pictures(None, side)
        assert name == "noise"
        assert image.shape == (1, side, side, 3)
