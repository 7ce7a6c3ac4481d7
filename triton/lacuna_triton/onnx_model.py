"""A Triton model over ONNX graphs that take and give UINT8, channels last.

For graphs that hold everything themselves (normalisation, layout, sigmoid, rounding), as
``lama`` and ``birefnet`` do. Such a model's ``1/model.py`` is

    from lacuna_triton.onnx_model import OnnxModel as TritonPythonModel

    __all__ = ["TritonPythonModel"]

and its configuration has ``backend: "python"``; the graphs' inputs and outputs have the
names that the configuration gives them and keep the batch dimension: ``image``
[1, S, S, 3] and ``mask`` [1, S, S, 1] to ``output`` [1, S, S, 3], for instance. The graph
files lie beside ``model.py``; ``onnx_graphs`` says how they are named.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lacuna_triton.items import BadItem, Item, ItemModel
from lacuna_triton.onnx_graphs import OnnxGraphs, UnknownSide


class OnnxModel(ItemModel):
    """Answers with the graph that fits the side of the item's first input."""

    def load(self, folder: Path, config: Mapping[str, Any]) -> None:
        self._graphs = OnnxGraphs(folder)
        self._output_names = [tensor["name"] for tensor in config["output"]]

    def answer(self, item: Item) -> Item:
        shapes = {array.shape[:2] for array in item.values()}
        if len(shapes) != 1 or any(height != width for height, width in shapes):
            found = {name: list(array.shape) for name, array in item.items()}
            raise BadItem(f"inputs must be squares of one side, got {found}")
        side = next(iter(shapes))[0]
        inputs = {name: array[None] for name, array in item.items()}
        try:
            outputs = self._graphs.run(side, inputs, self._output_names)
        except UnknownSide as error:
            raise BadItem(str(error)) from None
        return {name: array[0] for name, array in zip(self._output_names, outputs, strict=True)}
