"""Reading PyTorch's files without PyTorch. ``tests_torch`` reads files that PyTorch wrote."""

import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from lacuna_models.archive import read_tensors
from lacuna_models.errors import ModelsError
from tests import doubles

TENSORS: dict[str, NDArray[np.generic]] = {
    "generator.model.1.weight": np.arange(24, dtype=np.float32).reshape(2, 3, 4),
    "generator.model.1.half": np.arange(4, dtype=np.float16),
    "generator.model.1.num_batches_tracked": np.array(5, np.int64),
}


@pytest.mark.parametrize(
    ("write", "prefix"),
    [
        (doubles.write_checkpoint, ""),
        (doubles.write_torchscript, "model."),
        (doubles.write_published_zip, ""),
    ],
)
def test_every_form_gives_the_same_tensors(
    tmp_path: Path, write: Callable[[Path, doubles.Arrays], None], prefix: str
) -> None:
    file = tmp_path / "weights.bin"
    write(file, TENSORS)
    found = read_tensors(file)
    assert found.keys() == {prefix + name for name in TENSORS}
    for name, array in TENSORS.items():
        assert found[prefix + name].dtype == array.dtype
        assert (found[prefix + name] == array).all()


def archive(file: Path, content: bytes, storages: dict[str, bytes] | None = None) -> Path:
    with zipfile.ZipFile(file, "w") as made:
        made.writestr("a/data.pkl", content)
        for key, raw in (storages or {}).items():
            made.writestr(f"a/data/{key}", raw)
    return file


def tensor_pickle(shape: str, strides: str, *, offset: int = 0, count: int = 4) -> bytes:
    """``{"t": _rebuild_tensor_v2(storage "0", offset, shape, strides)}``, opcode by opcode."""
    return (
        b"\x80\x02}U\x01tctorch._utils\n_rebuild_tensor_v2\n(("
        b"U\x07storagectorch\nFloatStorage\nU\x010U\x03cpuK" + bytes([count]) + b"tQ"
        b"K" + bytes([offset]) + integers(shape) + integers(strides) + b"I00\n}tRs."
    )


def integers(numbers: str) -> bytes:
    return b"(" + b"".join(f"I{number}\n".encode() for number in numbers.split()) + b"t"


FOUR = {"0": np.arange(4, dtype=np.float32).tobytes()}


def test_views_follow_their_strides(tmp_path: Path) -> None:
    file = archive(tmp_path / "f", tensor_pickle("2 2", "1 2"), FOUR)
    assert read_tensors(file)["t"].tolist() == [[0, 2], [1, 3]]


@pytest.mark.parametrize(
    ("content", "storages"),
    [
        (tensor_pickle("5", "1"), FOUR),
        (tensor_pickle("2 2", "1 3"), FOUR),
        (tensor_pickle("2", "-1", offset=1), FOUR),
        (tensor_pickle("-1", "1"), FOUR),
        (tensor_pickle("2 2", "1"), FOUR),
        (tensor_pickle("4", "1", offset=1), FOUR),
        (tensor_pickle("4", "1", count=5), FOUR),
        (tensor_pickle("4", "1"), {}),
        (b"\x80\x02}U\x01t", {}),
        (b"", {}),
    ],
    ids=["too long", "strides past the end", "negative stride", "negative size", "ranks differ",
         "offset past the end", "storage too short", "storage missing", "pickle cut", "empty"],
)  # fmt: skip
def test_damaged_archives_are_refused(
    tmp_path: Path, content: bytes, storages: dict[str, bytes]
) -> None:
    file = archive(tmp_path / "f", content, storages)
    with pytest.raises(ModelsError, match="not a PyTorch archive, or is damaged"):
        read_tensors(file)


def test_files_that_are_no_archives_are_refused(tmp_path: Path) -> None:
    page = tmp_path / "page.pt"
    page.write_text("<!DOCTYPE html>")
    with pytest.raises(ModelsError, match="not a PyTorch archive"):
        read_tensors(page)
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as made:
        made.writestr("readme.txt", "hello")
    with pytest.raises(ModelsError, match=r"0 entries named data\.pkl"):
        read_tensors(tmp_path / "other.zip")


def test_half_an_archive_is_refused(tmp_path: Path) -> None:
    whole = tmp_path / "whole.pt"
    doubles.write_torchscript(whole, TENSORS)
    half = tmp_path / "half.pt"
    half.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    with pytest.raises(ModelsError, match="damaged"):
        read_tensors(half)


class Mischief:
    """Pickles as the call of a shell command."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.target}",)


def test_nothing_in_a_file_is_called(tmp_path: Path) -> None:
    target = tmp_path / "was-here"
    content = pickle.dumps({"state_dict": {"x": Mischief(target)}}, protocol=2)
    assert read_tensors(archive(tmp_path / "f", content)) == {}
    assert not target.exists()
    pickle.loads(content)
    assert target.exists(), "the file is not the mischief that it is meant to be"
