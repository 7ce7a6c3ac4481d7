"""The ONNX graphs of one model folder, run on the CPU."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

_ANY_SIDE = "model.onnx"
_SIDES = "sides"
_ONE_SIDE = re.compile(r"model_(\d+)\.onnx")


class UnknownSide(ValueError):
    """No graph of the folder takes images of this side."""


class OnnxGraphs:
    """The graphs of a folder, each ready to run.

    A folder holds ``model.onnx``, which serves every side that has no graph of its own,
    or one graph a window side, ``model_256.onnx`` to ``model_1024.onnx``, or both. Where
    ``model.onnx`` names its sides in its metadata (``sides``, comma-separated), it serves
    no others: LaMa's holds the matrices of just these.
    """

    def __init__(self, folder: Path) -> None:
        """Loads every graph of ``folder``.

        Raises ``FileNotFoundError`` where there is none, and onnxruntime's own error for
        a file that it cannot read.
        """
        self._any_side: onnxruntime.InferenceSession | None = None
        self._named_sides: set[int] = set()
        self._by_side: dict[int, onnxruntime.InferenceSession] = {}
        for file in sorted(folder.glob("*.onnx")):
            if file.name == _ANY_SIDE:
                self._any_side = _session(file)
                named = self._any_side.get_modelmeta().custom_metadata_map.get(_SIDES, "")
                self._named_sides = {int(side) for side in named.split(",") if side}
            elif name := _ONE_SIDE.fullmatch(file.name):
                self._by_side[int(name[1])] = _session(file)
        if self._any_side is None and not self._by_side:
            raise FileNotFoundError(f"{folder} holds neither {_ANY_SIDE} nor model_<side>.onnx")

    def run(
        self, side: int, inputs: Mapping[str, NDArray[Any]], outputs: list[str]
    ) -> list[NDArray[Any]]:
        """The named outputs of the graph for images of ``side`` pixels.

        ``inputs`` are named, typed and shaped as the graph has them, its batch dimension
        included. Raises ``UnknownSide`` where no graph takes this side.
        """
        session = self._by_side.get(side)
        if session is None and (not self._named_sides or side in self._named_sides):
            session = self._any_side
        if session is None:
            known = sorted(self._named_sides.union(self._by_side))
            sides = ", ".join(str(each) for each in known)
            raise UnknownSide(f"the image has side {side}, but the model serves only {sides}")
        answers: list[NDArray[Any]] = session.run(outputs, dict(inputs))
        return [np.ascontiguousarray(answer) for answer in answers]


def _session(file: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = len(os.sched_getaffinity(0))
    # Threads that spin while they wait would take the cores from the other models.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # With an arena, IS-Net keeps 2.2 GB for ever; without, 0.6 GB, in about the same time.
    options.enable_cpu_mem_arena = False
    options.enable_mem_pattern = False
    return onnxruntime.InferenceSession(
        str(file), sess_options=options, providers=["CPUExecutionProvider"]
    )
