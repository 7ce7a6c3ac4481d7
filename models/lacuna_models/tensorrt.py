"""ONNX graphs to TensorRT plans, and whether a plan fits the machine that is to serve it.

Runs inside the Triton image, on its own Python and without installing anything: only the
standard library is used. A plan works with the TensorRT that built it, on the kind of GPU
that built it; the manifest beside it says which those were.
"""

from __future__ import annotations

import ctypes
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lacuna_models import artefact
from lacuna_models.errors import ModelsError

TRTEXEC = Path("/usr/src/tensorrt/bin/trtexec")
"""Where the Triton image has it."""

PRECISIONS = {"fp32": ["--noTF32"], "tf32": [], "fp16": ["--fp16"]}
"""``trtexec``'s flags; TF32 is its default."""


@dataclass(frozen=True)
class Network:
    """What there is to know of a model to build its plan."""

    sides: tuple[int, ...]
    """A profile is made for each."""
    channels: dict[str, int]
    """The inputs by name."""
    usual: str
    """The precision that is built unless another one is asked for."""
    allowed: tuple[str, ...]


NETWORKS = {
    "lama": Network(
        sides=(256, 512, 768, 1024),
        channels={"image": 3, "mask": 1},
        usual="tf32",
        # In fp16 its activations overflow: the fill comes out black.
        allowed=("fp32", "tf32"),
    ),
    "birefnet": Network(
        sides=(1024,),
        channels={"image": 3},
        usual="fp16",
        allowed=("fp32", "tf32", "fp16"),
    ),
}


@dataclass(frozen=True)
class Machine:
    """What a plan is bound to."""

    tensorrt: str
    """As ``major.minor.patch``."""
    gpu: str
    compute_capability: str


@dataclass(frozen=True)
class Builder:
    """``trtexec``, and the file in which it keeps what it has timed.

    With that file, a second build takes a fraction of the time of the first.
    """

    timing_cache: Path
    program: Path = TRTEXEC


def command(model: str, folder: Path, precision: str, batch: int, builder: Builder) -> list[str]:
    """The call of ``trtexec`` that builds the plan of ``model``.

    ``folder`` is the version folder; ``batch`` the largest that the graph takes. Each window
    side has a profile of its own, so that each is tuned for exactly its size.
    """
    network = NETWORKS[model]
    if precision not in network.allowed:
        raise ModelsError(
            f"{model} is not built in {precision}; choose one of {', '.join(network.allowed)}"
        )
    call = [
        str(builder.program),
        f"--onnx={folder / artefact.GRAPH}",
        f"--saveEngine={folder / artefact.PLAN}.part",
        f"--timingCacheFile={builder.timing_cache}",
        "--skipInference",
        *PRECISIONS[precision],
    ]
    for number, side in enumerate(network.sides):
        smallest, largest = (
            ",".join(
                f"{name}:{n}x{side}x{side}x{depth}" for name, depth in network.channels.items()
            )
            for n in (1, batch)
        )
        call += [
            f"--profile={number}",
            f"--minShapes={smallest}",
            f"--optShapes={smallest}",
            f"--maxShapes={largest}",
        ]
    return call


def compile_plan(
    model: str,
    repository: Path,
    precision: str | None,
    builder: Builder,
    say: Callable[[str], None],
) -> None:
    """Builds ``model.plan`` from ``model.onnx`` and writes what it is bound to beside it.

    Raises ``ModelsError`` where the graph, ``trtexec``, TensorRT or the GPU is missing, or the
    build fails; an older plan then stays as it was.
    """
    folder, call = plan_command(model, repository, precision, builder)
    if not builder.program.is_file():
        raise ModelsError(
            f"{builder.program} is not there. Plans are built inside the Triton image "
            "(nvcr.io/nvidia/tritonserver:<yy.mm>-py3), on a machine with the GPU that will "
            "serve them; --dry-run prints the command."
        )
    machine = this_machine()
    graph_hash = artefact.sha256_of(folder / artefact.GRAPH)
    plan, part = folder / artefact.PLAN, folder / f"{artefact.PLAN}.part"
    builder.timing_cache.parent.mkdir(parents=True, exist_ok=True)
    say(shlex.join(call))
    try:
        status = subprocess.run(call, check=False).returncode
        if status != 0 or not part.is_file():
            raise ModelsError(f"trtexec ended with status {status}; its output is above")
        content: dict[str, Any] = {
            "sha256": artefact.sha256_of(part),
            "onnx_sha256": graph_hash,
            "machine": asdict(machine),
            "image": os.environ.get("NVIDIA_TRITON_SERVER_VERSION", "unknown"),
            "flags": call[1:],
        }
        # The old plan goes first: it must not pass for the one that the manifest describes.
        plan.unlink(missing_ok=True)
        artefact.write_manifest(folder, "plan", content)
        os.replace(part, plan)
    finally:
        part.unlink(missing_ok=True)
    say(f"{model}: {plan}, for TensorRT {machine.tensorrt} on {machine.gpu}")


def plan_command(
    model: str, repository: Path, precision: str | None, builder: Builder
) -> tuple[Path, list[str]]:
    """The version folder and the exact call that ``compile_plan`` would make there."""
    folder = artefact.version_folder(repository, model)
    stated = artefact.read_manifest(folder).get("onnx")
    if stated is None or not (folder / artefact.GRAPH).is_file():
        raise ModelsError(f"{folder / artefact.GRAPH} is not there yet; run: export {model}")
    batch = _configured_batch(folder.parent / "config.pbtxt")
    if batch > stated["largest_batch"]:
        raise ModelsError(
            f"{folder.parent / 'config.pbtxt'} has max_batch_size {batch}, but {model}'s graph "
            f"takes batches of {stated['largest_batch']} at most; change that line, or export "
            "another network"
        )
    precision = precision or NETWORKS[model].usual
    return folder, command(model, folder, precision, batch, builder)


def _configured_batch(configuration: Path) -> int:
    """The largest batch that Triton will make for the plan."""
    try:
        text = configuration.read_text(encoding="utf-8")
    except OSError as error:
        raise ModelsError(f"{configuration} cannot be read: {error.strerror}") from error
    match = re.search(r"^max_batch_size:\s*(\d+)", text, re.MULTILINE)
    if match is None:
        raise ModelsError(f"{configuration} has no max_batch_size")
    return int(match[1])


def check_plan(model: str, repository: Path) -> Machine:
    """Makes sure that the plan of ``model`` is whole and was built for this machine.

    Gives the machine. Raises ``ModelsError`` saying what differs; Triton must not be started
    then, since TensorRT would refuse the plan or, worse, take it.
    """
    folder = artefact.version_folder(repository, model)
    plan, manifest = folder / artefact.PLAN, artefact.read_manifest(folder)
    again = f"build it here: compile {model}"
    if not plan.is_file() or "plan" not in manifest:
        raise ModelsError(f"{model} has no plan with its manifest; {again}")
    stated, here = manifest["plan"], this_machine()
    if artefact.sha256_of(plan) != stated["sha256"]:
        raise ModelsError(f"{plan} is not the plan that its manifest describes; {again}")
    if manifest.get("onnx", {}).get("sha256", stated["onnx_sha256"]) != stated["onnx_sha256"]:
        raise ModelsError(f"{plan} was built from another model.onnx than is there now; {again}")
    built = Machine(**stated["machine"])
    for what in ("tensorrt", "gpu", "compute_capability"):
        if getattr(built, what) != getattr(here, what):
            raise ModelsError(
                f"{plan} was built for {what.replace('_', ' ')} {getattr(built, what)}, "
                f"but here it is {getattr(here, what)}; {again}"
            )
    return here


def this_machine() -> Machine:
    """TensorRT and GPU as they are here; raises ``ModelsError`` where one is missing."""
    gpu, capability = _gpu()
    return Machine(_tensorrt_version(), gpu, capability)


def _tensorrt_version() -> str:
    for name in ("libnvinfer.so.10", "libnvinfer.so.11", "libnvinfer.so"):
        try:
            library = ctypes.CDLL(name)
        except OSError:
            continue
        library.getInferLibVersion.restype = ctypes.c_int32
        number = int(library.getInferLibVersion())
        return f"{number // 10000}.{number // 100 % 100}.{number % 100}"
    raise ModelsError("TensorRT (libnvinfer.so) is not here; run this inside the Triton image")


def _gpu() -> tuple[str, str]:
    if shutil.which("nvidia-smi") is None:
        raise ModelsError("nvidia-smi is not here: no GPU, or the container was not given one")
    call = ["nvidia-smi", "--query-gpu=name,compute_cap", "--format=csv,noheader"]
    answer = subprocess.run(call, capture_output=True, text=True, check=False)
    if answer.returncode != 0 or not answer.stdout.strip():
        raise ModelsError(
            f"nvidia-smi finds no GPU: {answer.stdout.strip() or answer.stderr.strip()}"
        )
    found = {tuple(part.strip() for part in line.split(",")) for line in answer.stdout.splitlines()}
    if len(found) != 1:
        kinds = ", ".join(sorted(name for name, _ in found))
        raise ModelsError(
            f"this machine has different GPUs ({kinds}); give the container one kind of them"
        )
    name, capability = found.pop()
    return name, capability
