"""Makes the sample files beside it: small pictures of kinds that the tests cannot write themselves.

Needs Pillow and pillow-heif. The files are kept in the repository, so this runs only when one is added.
"""

import sys
from pathlib import Path

import numpy as np
import pillow_heif
from PIL import Image

HERE = Path(__file__).parent
sys.path.append(str(HERE.parent / "proof"))

from rig.grid import grid_of


def pattern(width: int, height: int) -> Image.Image:
    """A picture that differs in every corner: red, green, blue and white, with gradients between."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    x, y = x / (width - 1), y / (height - 1)
    red = 255 * ((1 - x) * (1 - y) + x * y)
    green = 255 * (x * (1 - y) + x * y)
    blue = 255 * ((1 - x) * y + x * y)
    return Image.fromarray(np.stack([red, green, blue], -1).round().astype(np.uint8))


def main() -> None:
    """Writes every sample."""
    pillow_heif.register_heif_opener()
    small = pattern(96, 64)
    small.save(HERE / "plain.jpg", quality=90)
    small.convert("CMYK").save(HERE / "cmyk.jpg", quality=90)
    small.convert("L").save(HERE / "grey.jpg", quality=90)
    frames = [pattern(32, 32).rotate(90 * i) for i in range(2)]
    frames[0].save(HERE / "animated.webp", save_all=True, append_images=frames[1:], lossless=True)
    frames[0].save(HERE / "animated.png", save_all=True, append_images=frames[1:])
    small.save(HERE / "lossy.webp", quality=90)
    small.save(HERE / "plain.heic", quality=95)
    turned = small.getexif()
    turned[0x0112] = 6
    small.save(HERE / "rotated.heic", quality=95, exif=turned.tobytes())
    deep = np.asarray(small).astype(np.uint16) * 257
    heif = pillow_heif.from_bytes("RGB;16", small.size, deep.tobytes())
    heif.save(HERE / "deep.heic", quality=95)
    (HERE / "grid.heic").write_bytes(grid_of(pattern(160, 96), 64, nclx=(12, 13, 6)))
    small.quantize(16).save(HERE / "palette.png")


if __name__ == "__main__":
    main()
