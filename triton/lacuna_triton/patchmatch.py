"""The embedded inpainter: PatchMatch, no weights."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from patchmatch import patch_match

from lacuna_triton.items import BadItem, Item, ItemModel

SIDES = range(256, 1025)
PATCH_RADIUS = 3
SEED = 1


class PatchMatchModel(ItemModel):
    """``image`` [S, S, 3] and ``mask`` [S, S, 1] to ``output`` [S, S, 3], S in 256..1024."""

    def load(self, folder: Path, config: Mapping[str, Any]) -> None:
        if not patch_match.patchmatch_available:
            raise RuntimeError("the native library of pypatchmatch could not be loaded")
        patch_match.set_random_seed(SEED)

    def answer(self, item: Item) -> Item:
        image, mask = item["image"], item["mask"]
        if image.shape[0] != image.shape[1] or image.shape[0] not in SIDES:
            raise BadItem(f"image must be a square of side 256..1024, got {list(image.shape)}")
        if mask.shape[:2] != image.shape[:2]:
            raise BadItem(f"mask {list(mask.shape)} does not fit image {list(image.shape)}")
        hole = mask[:, :, 0] >= 128
        if hole.all():
            return {"output": np.full_like(image, 128)}
        return {"output": patch_match.inpaint(image, hole, patch_size=PATCH_RADIUS)}
