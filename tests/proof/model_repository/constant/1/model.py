"""The Triton models ``constant`` and ``constant-200ms``."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from lacuna_triton.items import Item, ItemModel

GREY = 128


class TritonPythonModel(ItemModel):
    """Fills holes with one grey, after the time that its configuration says."""

    def load(self, folder: Path, config: Mapping[str, Any]) -> None:
        self._seconds = int(config["parameters"]["wait_ms"]["string_value"]) / 1000

    def answer(self, item: Item) -> Item:
        time.sleep(self._seconds)
        return {"output": np.where(item["mask"] >= 128, np.uint8(GREY), item["image"])}
