"""Tensors out of PyTorch's files, without PyTorch and without running what is in them.

Both kinds of file that PyTorch writes today are zip archives with a pickle, ``data.pkl``,
and one raw file for each storage: checkpoints (``torch.save``) and TorchScript programs
(``torch.jit.save``). A pickle can name any function to be called, so this reader knows a
handful of names and takes everything else for inert objects: nothing is imported, nothing
is called. The format is described in PyTorch's "Serialization semantics" note.
"""

import io
import math
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from lacuna_models.errors import ModelsError

Tensors = dict[str, NDArray[np.generic]]

_CHECKPOINT_IN_ZIP = "models/best.ckpt"
_PICKLE_AT_MOST = 256 * 1024 * 1024

_DTYPES = {
    "FloatStorage": np.dtype("<f4"),
    "DoubleStorage": np.dtype("<f8"),
    "HalfStorage": np.dtype("<f2"),
    "LongStorage": np.dtype("<i8"),
    "IntStorage": np.dtype("<i4"),
    "ShortStorage": np.dtype("<i2"),
    "CharStorage": np.dtype("<i1"),
    "ByteStorage": np.dtype("<u1"),
    "BoolStorage": np.dtype("?"),
}


def read_tensors(file: Path) -> Tensors:
    """Every tensor of a checkpoint or TorchScript file, by its dotted name.

    ``file`` may also be a zip that holds a checkpoint as ``models/best.ckpt``, as big-LaMa
    is published. In a checkpoint the entry ``state_dict`` is read, where there is one.
    Raises ``ModelsError`` if the file is none of these or is damaged.
    """
    try:
        with zipfile.ZipFile(file) as outer:
            inner = [name for name in outer.namelist() if name.endswith(_CHECKPOINT_IN_ZIP)]
            if not inner:
                return _read(outer)
            # Zips inside zips cannot be read in place when the outer one is compressed.
            with zipfile.ZipFile(io.BytesIO(outer.read(inner[0]))) as archive:
                return _read(archive)
    except (zipfile.BadZipFile, pickle.UnpicklingError, EOFError, ValueError, KeyError) as error:
        raise ModelsError(f"{file} is not a PyTorch archive, or is damaged: {error}") from error


def _read(archive: zipfile.ZipFile) -> Tensors:
    names = [name for name in archive.namelist() if name.rpartition("/")[2] == "data.pkl"]
    if len(names) != 1:
        raise pickle.UnpicklingError(f"it has {len(names)} entries named data.pkl instead of one")
    if archive.getinfo(names[0]).file_size > _PICKLE_AT_MOST:
        raise pickle.UnpicklingError("its data.pkl is unreasonably large")
    folder = names[0].rpartition("/")[0]
    with archive.open(names[0]) as stream:
        root = _Reader(stream, archive, folder).load()
    if isinstance(root, dict) and isinstance(root.get("state_dict"), dict):
        root = root["state_dict"]
    return dict(_walk(root, "", set()))


def _walk(value: Any, name: str, above: set[int]) -> Iterator[tuple[str, NDArray[np.generic]]]:
    if isinstance(value, np.ndarray):
        yield name, value
        return
    members = value.state if isinstance(value, _Inert) else value
    if not isinstance(members, dict) or id(members) in above:
        return
    for key, member in members.items():
        if isinstance(key, str):
            yield from _walk(member, f"{name}.{key}" if name else key, above | {id(members)})


class _Inert:
    """An object of a class that is not known here; keeps its state and does nothing."""

    def __new__(cls, *_args: Any, **_kwargs: Any) -> "_Inert":
        made = super().__new__(cls)
        made.state = None
        return made

    state: Any

    def __setstate__(self, state: Any) -> None:
        self.state = state

    # The pickle's ways to fill a list, a set or a mapping of an unknown class.
    def append(self, _item: Any) -> None: ...
    def extend(self, _items: Any) -> None: ...
    def add(self, _item: Any) -> None: ...
    def __setitem__(self, _key: Any, _item: Any) -> None: ...


class _Reader(pickle.Unpickler):
    def __init__(self, stream: IO[bytes], archive: zipfile.ZipFile, folder: str) -> None:
        super().__init__(stream)
        self._archive = archive
        self._folder = folder
        self._storages: dict[str, NDArray[np.generic]] = {}

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if module == "torch._utils" and name in ("_rebuild_tensor", "_rebuild_tensor_v2"):
            return _tensor
        if module == "torch._utils" and name == "_rebuild_parameter":
            return _parameter
        if module in ("torch", "torch.storage") and name in _DTYPES:
            return _DTYPES[name]
        return _Inert

    def persistent_load(self, reference: Any) -> NDArray[np.generic]:
        kind, dtype, key, _device, count = reference
        if kind != "storage" or not isinstance(dtype, np.dtype):
            raise pickle.UnpicklingError(f"a storage of a type that is not known: {reference}")
        if key not in self._storages:
            raw = self._archive.read(f"{self._folder}/data/{key}")
            if len(raw) != count * dtype.itemsize:
                raise pickle.UnpicklingError(
                    f"storage {key} has {len(raw)} bytes instead of {count * dtype.itemsize}"
                )
            self._storages[key] = np.frombuffer(raw, dtype)
        return self._storages[key]


def _tensor(
    storage: NDArray[np.generic],
    offset: int,
    shape: tuple[int, ...],
    strides: tuple[int, ...],
    *_: Any,
) -> NDArray[np.generic]:
    """A view of a storage; its bounds are checked, since the file may be anything."""
    if min((offset, *shape, *strides), default=0) < 0 or len(shape) != len(strides):
        raise pickle.UnpicklingError(f"a tensor of shape {shape} with strides {strides}")
    last = offset + sum((size - 1) * step for size, step in zip(shape, strides, strict=True))
    if math.prod(shape) and last >= len(storage):
        raise pickle.UnpicklingError(f"a tensor of shape {shape} reaches past its storage")
    if not math.prod(shape):
        return np.empty(shape, storage.dtype)
    return np.lib.stride_tricks.as_strided(
        storage[offset:],
        shape,
        [step * storage.itemsize for step in strides],
        writeable=False,
    )


def _parameter(tensor: NDArray[np.generic], *_: Any) -> NDArray[np.generic]:
    return tensor
