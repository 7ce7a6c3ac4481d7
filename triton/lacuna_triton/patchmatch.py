"""The embedded inpainter: PatchMatch, no weights."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lacuna_triton.fill import check_native_library, fill
from lacuna_triton.items import BadItem, Item, ItemModel

SIDES = range(256, 1025)


class PatchMatchModel(ItemModel):
    """``image`` [S, S, 3] and ``mask`` [S, S, 1] to ``output`` [S, S, 3], S in 256..1024.

    A mask value of 128 or more marks a hole.
    """

    def load(self, folder: Path, config: Mapping[str, Any]) -> None:
        check_native_library()

    def answer(self, item: Item) -> Item:
        image, mask = item["image"], item["mask"]
        height, width = image.shape[:2]
        if height != width or height not in SIDES:
            raise BadItem(
                f"image must be a square with a side of {SIDES[0]} to {SIDES[-1]} pixels, "
                f"got {height}x{width}"
            )
        if mask.shape[:2] != image.shape[:2]:
            raise BadItem(f"mask is {mask.shape[0]}x{mask.shape[1]}, image {height}x{width}")
        return {"output": fill(image, mask[:, :, 0] >= 128)}
