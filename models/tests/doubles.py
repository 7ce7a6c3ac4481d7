"""Files of the published shape with random weights, made without PyTorch.

    python -m tests.doubles FOLDER [--full]

writes ``big-lama.pt`` and ``birefnet_lite.onnx`` into FOLDER: LaMa in its published size and the
smallest segmenter of the right construction. With ``--full`` the segmenter is a heavier one, and
``birefnet.onnx``, which ``--network full`` asks for, is there too. They stand in for the published
files where those cannot be had.
"""

import argparse
import io
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from lacuna_models.birefnet import INPUT, OUTPUT, SIDE
from lacuna_models.birefnet import architecture as birefnet
from lacuna_models.lama.architecture import BIG_LAMA, TINY_LAMA, Architecture
from lacuna_models.lama.random_weights import random_weights

Arrays = Mapping[str, NDArray[np.generic]]

_STORAGES = {"float32": "FloatStorage", "float16": "HalfStorage", "int64": "LongStorage"}


def lama_tensors(architecture: Architecture = TINY_LAMA, seed: int = 1) -> dict[str, NDArray[Any]]:
    """The generator's weights under their checkpoint names, with what else lies there."""
    tensors: dict[str, NDArray[Any]] = {
        f"generator.{name}": array for name, array in random_weights(architecture, seed).items()
    }
    for name in list(tensors):
        if name.endswith(".running_mean"):
            counter = name.replace("running_mean", "num_batches_tracked")
            tensors[counter] = np.array(7, np.int64)
    tensors["discriminator.model0.0.weight"] = np.ones((2, 3, 4, 4), np.float32)
    return tensors


def write_checkpoint(file: Path, tensors: Arrays) -> None:
    """A checkpoint as training leaves it: a state dictionary among other things."""
    content = {
        "epoch": 3,
        "state_dict": OrderedDict(tensors),
        "callbacks": {_stranger("trainer.callbacks", "Checkpoint"): {"best": 0.5}},
        "optimizer_states": [{"state": {}, "param_groups": [{"lr": 1e-3}]}],
    }
    _write_archive(file, "archive", content)


def write_torchscript(file: Path, tensors: Arrays) -> None:
    """A traced wrapper: modules in modules, their code left out."""
    module = _stranger("__torch__.jit_wrapper", "JITWrapper")
    root = module()
    root.__dict__["training"] = False
    for name, array in tensors.items():
        at = root
        for part in ("model", *name.split("."))[:-1]:
            at = at.__dict__.setdefault(part, module())
        at.__dict__[name.rpartition(".")[2]] = array
    _write_archive(file, file.stem, root)


def write_published_zip(file: Path, tensors: Arrays) -> None:
    """A compressed zip with a checkpoint and the training's settings in it."""
    checkpoint = file.with_suffix(".ckpt")
    write_checkpoint(checkpoint, tensors)
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(checkpoint, "big-lama/models/best.ckpt")
        archive.writestr("big-lama/config.yaml", "generator:\n  kind: ffc_resnet\n")
    checkpoint.unlink()


def segmenter(
    channels: int = 4, depth: int = 1, *, batch: int | str = 1, opset: int = 17
) -> onnx.ModelProto:
    """A network of BiRefNet's published inputs and outputs: down, ``depth`` convolutions, up."""
    rng = np.random.default_rng(5)
    constants: list[onnx.TensorProto] = []
    nodes: list[onnx.NodeProto] = []

    def constant(name: str, array: NDArray[Any]) -> str:
        constants.append(numpy_helper.from_array(array, name))
        return name

    def convolution(x: str, name: str, shape: tuple[int, ...], **attributes: Any) -> str:
        fan_in = int(np.prod(shape[1:]))
        weight = rng.normal(0.0, np.sqrt(2.0 / fan_in), shape).astype(np.float32)
        inputs = [x, constant(f"{name}.weight", weight)]
        nodes.append(helper.make_node("Conv", inputs, [name], **attributes))
        return name

    x = convolution(INPUT, "patches", (channels, 3, 8, 8), strides=[8, 8])
    for number in range(depth):
        y = convolution(x, f"conv_{number}", (channels, channels, 3, 3), pads=[1, 1, 1, 1])
        nodes.append(helper.make_node("Relu", [y], [f"relu_{number}"]))
        x = f"relu_{number}"
    x = convolution(x, "head", (1, channels, 1, 1))
    sizes = constant("sizes", np.array([1, 1, 8, 8], np.float32))
    nodes.append(helper.make_node("Resize", [x, "", sizes], [OUTPUT], mode="linear"))

    def tensor(name: str, depth_: int) -> onnx.ValueInfoProto:
        shape: list[str | int | None] = [batch, depth_, SIDE, SIDE]
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

    graph = helper.make_graph(nodes, "birefnet", [tensor(INPUT, 3)], [tensor(OUTPUT, 1)], constants)
    opsets = [helper.make_opsetid("", opset)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def birefnet_weights(architecture: birefnet.Architecture) -> dict[str, NDArray[np.float32]]:
    """Random weights for all of the network, none of them special."""
    rng = np.random.default_rng(9)

    def draw(name: str, shape: tuple[int, ...]) -> NDArray[np.float64]:
        if name.endswith("running_var"):
            return rng.uniform(0.5, 1.5, shape)
        if name.endswith(".weight") and len(shape) == 1:
            return rng.uniform(0.7, 1.3, shape)
        if name.endswith("bias_table"):
            return rng.normal(0.0, 1.0, shape)
        fan_in = int(np.prod(shape[1:])) if len(shape) > 1 else 100
        return rng.normal(0.0, np.sqrt(1.0 / fan_in), shape)

    shapes = birefnet.weight_shapes(architecture)
    return {name: draw(name, shape).astype(np.float32) for name, shape in shapes.items()}


def _stranger(module: str, name: str) -> type:
    """A class that no reader knows."""
    return type(name, (), {"__module__": module})


class _Global:
    """Pickles as a name, which the reader is to resolve."""

    def __init__(self, module: str, name: str) -> None:
        self.module, self.name = module, name


class _Pickler(pickle._Pickler):
    """Writes arrays as PyTorch writes tensors; their bytes go into ``storages``.

    The pickler in Python, since the one in C checks that a global can be imported.
    """

    def __init__(self, stream: io.BytesIO) -> None:
        super().__init__(stream, protocol=2)
        self.storages: list[bytes] = []

    def save(self, obj: Any, save_persistent_id: bool = True) -> Any:
        if isinstance(obj, np.ndarray):
            return self._save_tensor(obj)
        if isinstance(obj, _Global):
            return self.write(f"c{obj.module}\n{obj.name}\n".encode())
        if isinstance(obj, type) and obj is not OrderedDict:
            return self.save(_Global(obj.__module__, obj.__name__))
        if type(obj).__module__.startswith(("__torch__", "trainer")):
            self.save(type(obj))
            self.write(b")\x81")
            self.save(dict(obj.__dict__))
            return self.write(b"b")
        return super().save(obj, save_persistent_id)

    def _save_tensor(self, array: NDArray[Any]) -> None:
        self.storages.append(np.ascontiguousarray(array).tobytes())
        kind = _Global("torch", _STORAGES[array.dtype.name])
        key = str(len(self.storages) - 1)
        strides = tuple(step // array.itemsize for step in np.ascontiguousarray(array).strides)
        self.save(_Global("torch._utils", "_rebuild_tensor_v2"))
        self.write(b"(")
        self.save(("storage", kind, key, "cpu", array.size))
        self.write(b"Q")
        arguments: tuple[Any, ...] = (0, array.shape, strides[: array.ndim], False, OrderedDict())
        for argument in arguments:
            self.save(argument)
        self.write(b"tR")


def _write_archive(file: Path, name: str, content: Any) -> None:
    stream = io.BytesIO()
    pickler = _Pickler(stream)
    pickler.dump(content)
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(f"{name}/data.pkl", stream.getvalue())
        for number, raw in enumerate(pickler.storages):
            archive.writestr(f"{name}/data/{number}", raw)
        archive.writestr(f"{name}/version", "3\n")


def main(arguments: Sequence[str] | None = None) -> None:
    """Writes the files."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--full", action="store_true", help="birefnet.onnx too, and heavier")
    chosen = parser.parse_args(arguments)
    chosen.folder.mkdir(parents=True, exist_ok=True)
    # `export lama` takes nothing but the published size.
    write_torchscript(chosen.folder / "big-lama.pt", lama_tensors(BIG_LAMA))
    network = segmenter(256, 40) if chosen.full else segmenter()
    for name in ["birefnet_lite.onnx", *(["birefnet.onnx"] if chosen.full else [])]:
        onnx.save(network, chosen.folder / name)


if __name__ == "__main__":
    main()
