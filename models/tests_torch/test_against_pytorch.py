"""The parts that have to agree with PyTorch, against PyTorch itself.

A suite of its own, since PyTorch is large: ``pytest tests_torch``. It fails where PyTorch is
not installed.
"""

import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from lacuna_models import chain, export, verify
from lacuna_models.archive import read_tensors
from lacuna_models.lama.architecture import (
    BIG_LAMA,
    SIDES,
    TINY_LAMA,
    Architecture,
    select_weights,
    weight_shapes,
)
from lacuna_models.lama.random_weights import random_weights
from lacuna_models.lama.reference import Generator, Reference
from tests import doubles

SOURCE = export.Source("big-lama.pt", "0" * 64, verified=False, licence="Apache-2.0")


class Wrapper(nn.Module):
    """As the published file was traced: generator in a model in a wrapper."""

    def __init__(self, generator: nn.Module) -> None:
        super().__init__()
        self.model = nn.Module()
        self.model.generator = generator

    def forward(self, image: Tensor, mask: Tensor) -> Tensor:
        predicted = self.model.generator(torch.cat([image * (1 - mask), mask], dim=1))
        return mask * predicted + (1 - mask) * image


def network(seed: int) -> tuple[Generator, dict[str, np.ndarray[Any, Any]]]:
    weights = random_weights(TINY_LAMA, seed)
    return Reference(weights, TINY_LAMA).generator, weights


@pytest.mark.parametrize("architecture", [TINY_LAMA, BIG_LAMA], ids=["tiny", "big"])
def test_the_weights_are_those_of_the_module(architecture: Architecture) -> None:
    state = Generator(architecture).state_dict()
    named = {
        name: tuple(tensor.shape)
        for name, tensor in state.items()
        if not name.endswith(".num_batches_tracked")
    }
    assert named == weight_shapes(architecture)


def test_what_torch_jit_writes_is_read(tmp_path: Path) -> None:
    generator, weights = network(3)
    inputs = (torch.rand(1, 3, 256, 256), torch.ones(1, 1, 256, 256))
    traced = torch.jit.trace(Wrapper(generator).eval(), inputs, check_trace=False)
    traced.save(str(tmp_path / "big-lama.pt"))
    assert_same(tmp_path / "big-lama.pt", weights)


def test_what_torch_save_writes_is_read(tmp_path: Path) -> None:
    generator, weights = network(4)
    state = OrderedDict((f"generator.{name}", t) for name, t in generator.state_dict().items())
    state["discriminator.weight"] = torch.ones(3)
    # Parameters, views with strides, half precision, and classes that only training knows.
    name = "generator.model.1.ffc.convl2l.weight"
    state[name] = nn.Parameter(state[name].permute(3, 2, 1, 0).contiguous().permute(3, 2, 1, 0))
    content = {"state_dict": state, "callbacks": {Path: Path("x")}, "head": nn.Linear(2, 2)}
    torch.save(content, tmp_path / "best.ckpt")
    assert_same(tmp_path / "best.ckpt", weights)
    with zipfile.ZipFile(tmp_path / "big-lama.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(tmp_path / "best.ckpt", "big-lama/models/best.ckpt")
    assert_same(tmp_path / "big-lama.zip", weights)


def assert_same(file: Path, weights: dict[str, np.ndarray[Any, Any]]) -> None:
    found = select_weights(read_tensors(file), TINY_LAMA)
    assert found.keys() == weights.keys()
    assert all((found[name] == weights[name]).all() for name in weights)


@pytest.mark.parametrize("side", SIDES)
def test_the_tiny_graph_answers_within_one_level(tmp_path: Path, side: int) -> None:
    compare(tmp_path, TINY_LAMA, doubles.lama_tensors(TINY_LAMA), side)


def test_the_published_size_answers_within_one_level(tmp_path: Path) -> None:
    compare(tmp_path, BIG_LAMA, doubles.lama_tensors(BIG_LAMA), 256)


def test_activations_beyond_half_precision_stay_finite_in_the_published_size(
    tmp_path: Path,
) -> None:
    tensors = doubles.lama_tensors(BIG_LAMA)
    for part in ("weight", "bias"):
        tensors[f"generator.model.1.bn_l.{part}"] *= np.float32(3e5)
    tensors[f"generator.model.{BIG_LAMA.last_convolution}.weight"] /= np.float32(3e5)
    reference = Reference(select_weights(tensors, BIG_LAMA), BIG_LAMA)
    largest: list[float] = []
    for layer in reference.generator.model[: BIG_LAMA.first_upsampling]:
        layer.register_forward_hook(
            lambda _module, _inputs, parts: largest.extend(
                float(part.abs().max()) for part in parts if isinstance(part, Tensor)
            )
        )
    rows = compare(tmp_path, BIG_LAMA, tensors, 256, reference)
    assert max(largest) > 65504
    assert np.isfinite(largest).all()
    assert rows[0].spread > 10


def compare(
    folder: Path,
    architecture: Architecture,
    tensors: dict[str, Any],
    side: int,
    reference: Reference | None = None,
) -> list[verify.Row]:
    """Exports the weights and compares the graph's answer with PyTorch's."""
    doubles.write_torchscript(folder / "big-lama.pt", tensors)
    export.export_lama(folder / "big-lama.pt", folder, SOURCE, print, architecture)
    published = chain.pytorch_lama(folder / "big-lama.pt", architecture)
    if reference is not None:
        published = lambda inputs: reference(inputs["image"], inputs["mask"])  # noqa: E731
    networks = {"PyTorch": published, "ONNX": chain.graph(folder / "model.onnx")}
    ((name, image),) = verify.pictures(None, side)
    cases = [(side, name, {"image": image, "mask": verify.hole(side)})]
    rows = verify.compare(cases, networks, print)
    verify.refuse_over(rows, bound=1)
    return rows
