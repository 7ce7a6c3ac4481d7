"""The links that ``verify`` compares, for each model."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from lacuna_models import artefact, birefnet
from lacuna_models.archive import read_tensors
from lacuna_models.errors import ModelsError
from lacuna_models.export import open_session
from lacuna_models.lama.architecture import BIG_LAMA, Architecture, select_weights
from lacuna_models.served import Served
from lacuna_models.verify import Bytes, Network

OUTPUTS = {"lama": "output", "birefnet": "alpha"}


def networks(
    model: str, repository: Path, weights: Path | None, triton: str | None
) -> dict[str, Network]:
    """The links by name, the one to compare with first.

    That is the published network where ``weights`` is given, else the ONNX graph. Raises
    ``ModelsError`` if fewer than two links are asked for.
    """
    found: dict[str, Network] = {}
    if weights is not None:
        published = pytorch_lama(weights) if model == "lama" else published_birefnet(weights)
        found["PyTorch" if model == "lama" else "published"] = published
    found["ONNX"] = graph(artefact.version_folder(repository, model) / artefact.GRAPH)
    if triton is not None:
        served = Served(triton, model)
        found["Triton"] = lambda inputs: served(inputs, OUTPUTS[model])
    if len(found) < 2:
        raise ModelsError("nothing to compare: give --weights, --triton or both")
    return found


def pytorch_lama(weights: Path, architecture: Architecture = BIG_LAMA) -> Network:
    """The published weights in PyTorch, with its own Fourier transform."""
    try:
        from lacuna_models.lama.reference import Reference
    except ImportError as error:
        raise ModelsError(
            "verify compares with PyTorch, which is not installed: apt-get install python3-torch "
            "(Debian, small), or pip install torch"
        ) from error
    reference = Reference(select_weights(read_tensors(weights), architecture), architecture)
    return lambda inputs: reference(inputs["image"], inputs["mask"])


def published_birefnet(path: Path) -> Network:
    """The published graph, with normalisation and sigmoid done in NumPy."""
    session = open_session(path)

    def answer(inputs: Mapping[str, Bytes]) -> Bytes:
        image = birefnet.normalised(inputs["image"])
        (logits,) = session.run([birefnet.OUTPUT], {birefnet.INPUT: image})
        return birefnet.alpha_of(logits)

    return answer


def graph(path: Path) -> Network:
    """An exported graph on the CPU."""
    if not path.is_file():
        raise ModelsError(f"{path} is not there yet; export it first")
    session = open_session(path)

    def answer(inputs: Mapping[str, Bytes]) -> Bytes:
        (output,) = session.run(None, dict(inputs))
        return np.asarray(output, dtype=np.uint8)

    return answer
