"""What is written into ``model_repository``: a whole graph and what it was made from, or nothing.

``1/manifest.json`` stands beside ``1/model.onnx`` and ``1/model.plan`` and says what each of
them is; its part ``onnx`` is written here, its part ``plan`` by ``tensorrt``. Only the
standard library is imported at the top, since ``tensorrt`` runs inside the Triton image.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lacuna_models.errors import ModelsError

GRAPH = "model.onnx"
PLAN = "model.plan"
MANIFEST = "manifest.json"


def version_folder(repository: Path, model: str) -> Path:
    """``model_repository/<model>/1``; raises ``ModelsError`` if that model has no folder."""
    folder = repository / model / "1"
    if not folder.is_dir():
        raise ModelsError(f"{folder} is not there: is {repository} the model repository?")
    return folder


def read_manifest(folder: Path) -> dict[str, Any]:
    """The version folder's manifest; empty where there is none.

    Raises ``ModelsError`` if it is there and is not JSON.
    """
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise ModelsError(
            f"{folder / MANIFEST} is damaged ({error}); build the model anew"
        ) from error
    if not isinstance(manifest, dict):
        raise ModelsError(f"{folder / MANIFEST} is not a manifest; build the model anew")
    return manifest


def write_manifest(folder: Path, part: str, content: dict[str, Any]) -> None:
    """Replaces one part of the version folder's manifest."""
    manifest = read_manifest(folder) | {part: content}
    text = json.dumps(manifest, indent=2, sort_keys=True) + "\n"
    write_whole(folder / MANIFEST, lambda part_file: _write_text(part_file, text))


def write_whole(path: Path, write: Callable[[Path], None]) -> None:
    """Has ``write`` fill a file beside ``path`` and puts it there only when that succeeded.

    Raises ``ModelsError`` on a full disk. Whatever goes wrong, nothing half-written stays.
    """
    part = path.with_name(f"{path.name}.part")
    try:
        write(part)
        os.replace(part, path)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise ModelsError(f"no space left in {path.parent} for {path.name}") from error
        raise
    finally:
        part.unlink(missing_ok=True)


def sha256_of(path: Path) -> str:
    """The file's SHA-256 as 64 hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
