"""The Triton models ``constant``, ``constant-200ms`` and those that are sick."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from lacuna_triton.items import Item, ItemModel

GREY = 128


class TritonPythonModel(ItemModel):
    """Fills holes with one grey, or fails, after the time that its configuration says."""

    def load(self, folder: Path, config: Mapping[str, Any]) -> None:
        self._seconds = int(config["parameters"]["wait_ms"]["string_value"]) / 1000
        self._fails = "fails" in config["parameters"]

    def answer(self, item: Item) -> Item:
        time.sleep(self._seconds)
        if self._fails:
            raise RuntimeError("out of memory")
        return {"output": np.where(item["mask"] >= 128, np.uint8(GREY), item["image"])}
