"""The Triton model ``constant-subject``."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from lacuna_triton.items import Item, ItemModel

SIDE = 1024


class TritonPythonModel(ItemModel):
    """Finds the middle of every photo."""

    def load(self, folder: Path, config: Mapping[str, Any]) -> None:
        self._alpha = np.zeros((SIDE, SIDE, 1), np.uint8)
        middle = slice(SIDE * 3 // 8, SIDE * 5 // 8)
        self._alpha[middle, middle] = 255

    def answer(self, item: Item) -> Item:
        return {"alpha": self._alpha}
