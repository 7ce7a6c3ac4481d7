"""Published weights to ``model_repository/<model>/1/model.onnx``, checked before it is there."""

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from google.protobuf.message import DecodeError
from numpy.typing import NDArray

from lacuna_models import artefact, birefnet
from lacuna_models.archive import read_tensors
from lacuna_models.birefnet.architecture import SWIN_L, load_weights
from lacuna_models.birefnet.network import build_graph as build_birefnet
from lacuna_models.errors import ModelsError
from lacuna_models.lama.architecture import BIG_LAMA, SIDES, TINY_LAMA, Architecture, select_weights
from lacuna_models.lama.graph import build_graph
from lacuna_models.lama.random_weights import random_weights
from lacuna_models.operators import problems_for_tensorrt

Say = Callable[[str], None]

FORMAT = 1
"""Raised whenever the same weights give another graph, so that old ones are built anew."""


@dataclass(frozen=True)
class Source:
    """What a graph is made from."""

    file: str
    sha256: str
    verified: bool
    """Whether it is the published file."""
    licence: str


def export_lama(
    weights: Path, folder: Path, source: Source, say: Say, architecture: Architecture = BIG_LAMA
) -> None:
    """Writes ``model.onnx`` into the version folder from big-LaMa's weights.

    ``weights`` is a TorchScript file, a checkpoint, or a zip with the checkpoint in it.
    Raises ``ModelsError`` if it does not hold exactly this network.
    """
    selected = select_weights(read_tensors(weights), architecture)
    say(f"lama: {sum(array.size for array in selected.values()) / 1e6:.1f} million weights")
    model = build_graph(selected, architecture)
    if problems := problems_for_tensorrt(model):
        raise AssertionError(f"TensorRT would refuse this: {problems}. This is a bug.")
    _write(model, folder, {"source": asdict(source), "format": FORMAT, "largest_batch": 4})


def export_birefnet(weights: Path, folder: Path, source: Source, say: Say) -> None:
    """Writes ``model.onnx`` into the version folder from what is published of BiRefNet.

    ``weights`` is a published ONNX graph, or the full network's ``.safetensors``. Raises
    ``ModelsError`` if it is neither.
    """
    if weights.suffix == ".safetensors":
        grafted = _birefnet_of_weights(weights, say)
    else:
        grafted = _birefnet_of_graph(weights, say)
    for problem in problems_for_tensorrt(grafted.model):
        say(f"birefnet: TensorRT will not take it: {problem} (it runs on the CPU all the same)")
    info = {"source": asdict(source), "format": FORMAT, "largest_batch": grafted.largest_batch}
    _write(grafted.model, folder, info)


def _birefnet_of_weights(path: Path, say: Say) -> birefnet.Grafted:
    weights = load_weights(path)
    say(f"birefnet: {sum(array.size for array in weights.values()) / 1e6:.1f} million weights")
    return birefnet.Grafted(build_birefnet(weights, SWIN_L), birefnet.LARGEST_FREE_BATCH)


def _birefnet_of_graph(weights: Path, say: Say) -> birefnet.Grafted:
    try:
        model = onnx.load(weights)
    except (DecodeError, OSError) as error:
        raise ModelsError(f"{weights} is not an ONNX file: {error}") from error
    grafted = birefnet.graft(model)
    batch = "single pictures" if grafted.largest_batch == 1 else "batches"
    say(f"birefnet: {len(model.graph.node)} nodes, for {batch}")
    return grafted


def is_current(folder: Path, source: Source) -> bool:
    """Whether the version folder has the graph of this source, whole, from this exporter."""
    graph, stated = folder / artefact.GRAPH, artefact.read_manifest(folder).get("onnx", {})
    return (
        stated.get("source", {}).get("sha256") == source.sha256
        and stated.get("format") == FORMAT
        and graph.is_file()
        and artefact.sha256_of(graph) == stated.get("sha256")
    )


def write_tiny_lama(folder: Path, seed: int) -> None:
    """Writes a ``model.onnx`` of LaMa's construction with few, random weights, for tests."""
    model = build_graph(random_weights(TINY_LAMA, seed), TINY_LAMA)
    source = Source(f"random weights, seed {seed}", "", verified=False, licence="Apache-2.0")
    _write(model, folder, {"source": asdict(source), "format": FORMAT, "largest_batch": 4})


def open_session(graph: Path | bytes) -> onnxruntime.InferenceSession:
    """A graph, in a file or in memory, ready to run on the CPU."""
    source = graph if isinstance(graph, bytes) else str(graph)
    return onnxruntime.InferenceSession(source, providers=["CPUExecutionProvider"])


def _write(model: onnx.ModelProto, folder: Path, info: dict[str, object]) -> None:
    def write(part: Path) -> None:
        onnx.save(model, part)
        onnx.checker.check_model(part, full_check=True)
        _try(part)
        # Before the graph: a graph without its line in the manifest is built anew, while a
        # line without its graph would pass for a damaged one.
        content = info | {"sha256": artefact.sha256_of(part)}
        artefact.write_manifest(folder, "onnx", content)

    artefact.write_whole(folder / artefact.GRAPH, write)


def _try(path: Path) -> None:
    """Runs the graph once, so that what is put in place is known to work."""
    session = open_session(path)
    inputs = {each.name: _blank(each.shape) for each in session.get_inputs()}
    (answer,) = session.run(None, inputs)
    image = next(iter(inputs.values()))
    if answer.dtype != np.uint8 or answer.shape[:3] != image.shape[:3]:
        raise AssertionError(f"the graph answers {answer.dtype} {answer.shape}. This is a bug.")


def _blank(shape: Iterable[int | str]) -> NDArray[np.uint8]:
    names = {"batch": 1, "side": SIDES[0]}
    return np.full(
        [names[size] if isinstance(size, str) else size for size in shape], 128, np.uint8
    )
