"""The embedded segmenter: IS-Net, trained for dichotomous segmentation (DIS)."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from lacuna_triton.items import Item, ItemModel
from lacuna_triton.onnx_graphs import OnnxGraphs

SIDE = 1024


class IsNetModel(ItemModel):
    """``image`` [1024, 1024, 3] RGB to ``alpha`` [1024, 1024, 1], 255 where the subject is."""

    def load(self, folder: Path, config: Mapping[str, Any]) -> None:
        self._graphs = OnnxGraphs(folder)

    def answer(self, item: Item) -> Item:
        pixels = (item["image"].astype(np.float32) - 128.0) / 256.0
        planes = np.ascontiguousarray(pixels.transpose(2, 0, 1))[None]
        (alpha,) = self._graphs.run(SIDE, {"input": planes}, ["output"])
        scaled = np.rint(np.clip(alpha[0, 0], 0.0, 1.0) * 255.0)
        return {"alpha": scaled.astype(np.uint8)[:, :, None]}
