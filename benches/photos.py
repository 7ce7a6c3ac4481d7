"""The photos that are measured: free ones, fetched once into ``.cache/photos``.

The large ones are in Debian's wallpaper packages, which are downloaded and unpacked there, never
installed. The small ones come with scikit-image.
"""

import hashlib
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps
from skimage import data

from gateway import ROOT

Pixels = NDArray[np.uint8]

CACHE = ROOT / ".cache/photos"
LARGEST_SIDE = 4096
"""The service takes no longer side."""
_WALLPAPERS = "usr/share/backgrounds"


@dataclass(frozen=True)
class Photo:
    """A photo of a Debian package."""

    name: str
    package: str
    file: str
    sha256: str
    largest: int
    """The most megapixels it is used at."""

    @property
    def path(self) -> Path:
        """Where it lies once it has been fetched."""
        return CACHE / self.file

    def is_here(self) -> bool:
        """Whether it lies there, unchanged."""
        return self.path.is_file() and _sha256(self.path) == self.sha256


# Ordered so that the first few differ in kind. Their licences are in README.md. The nuthatch has 20
# megapixels; at 12 its file is larger than the service takes.
PHOTOS = (
    Photo(
        "dragonfly",
        "lomiri-wallpapers-16.04",
        "Dragonfly_by_Bolly.jpg",
        "af5af17841009732def24b09bb1e669a1b09d2b4bdeee7812c371101c30d2bb3",
        12,
    ),
    Photo(
        "nuthatch",
        "lomiri-wallpapers-20.04",
        "Kleiber_by_Lukas_Baubkus.jpg",
        "6572410c09f4492c74ccadde133565a14c0161617d5917d4c820c66d65a44ba7",
        8,
    ),
    Photo(
        "sunset",
        "lomiri-wallpapers-16.04",
        "sunset_by_Aitzol_Berasategi.jpg",
        "474dab6a4b9f94dc76c29dfe30e9f5db4af0fd2e33fe5d695f8152b371efca18",
        12,
    ),
    Photo(
        "dandelions",
        "lomiri-wallpapers-16.04",
        "seeding_by_Clements_Engelhardt.jpg",
        "a5634d1ab5e41a3568e92d4a894a500c92b891f9ff734e50bd224d6e185a605f",
        12,
    ),
    Photo(
        "mountains",
        "lomiri-wallpapers-16.04",
        "picosdeeuropa_by_Aitzol_Berasategi.jpg",
        "414d0072b2f6f2c555deafeaef6e45c4fed6fa9ad26eba6560ca8803959cf97a",
        8,
    ),
    Photo(
        "room",
        "lomiri-wallpapers-16.04",
        "Wine_by_Jakkub_Mede.jpg",
        "d2e96e6d4da40dd804b3d0ce295e94de04a2d7d9b6785d42cd9d92ba58bced74",
        8,
    ),
    Photo(
        "bridge",
        "lomiri-wallpapers-16.04",
        "Bridge_by_Sander_Klootwijk.jpg",
        "bd86b081f9975e2b83527f71e49b9271a8ab40885428395969d9f7d834d7f050",
        8,
    ),
    Photo(
        "stream",
        "lomiri-wallpapers-16.04",
        "life_by_Aitzol_Berasategi.jpg",
        "4c119350ead80201fe256850c3d316309ddfb4bdf10b235ce982dcde0c667c05",
        3,
    ),
    Photo(
        "dogs",
        "lomiri-wallpapers-16.04",
        "friends_by_Aitzol_Berasategi.jpg",
        "cc40e313c74e421edffe3403def413c16878ce14661cce7ec5915baeab35538d",
        3,
    ),
    Photo(
        "meadow",
        "lomiri-wallpapers-16.04",
        "aitzgorri_by_Aitzol_Berasategi.jpg",
        "66268e7b48f8854d36a28765fac6e23ec1aee251daa6da1f64715f201020ad36",
        3,
    ),
)

SMALL = ("astronaut", "coffee", "rocket", "chelsea")
"""The photos of scikit-image, all below 0.3 megapixels."""


def fetch() -> None:
    """Fetches what is not here yet, with apt and dpkg-deb."""
    missing = [photo for photo in PHOTOS if not photo.is_here()]
    if not missing:
        return
    for program in ("apt-get", "dpkg-deb"):
        if shutil.which(program) is None:
            raise SystemExit(f"the photos come from Debian packages, and {program} is missing")
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as folder:
        packages = sorted({photo.package for photo in missing})
        download = ["apt-get", "-qq", "download", *packages]
        if subprocess.run(download, cwd=folder, check=False).returncode != 0:
            raise SystemExit("apt-get could not download the photos; try: apt-get update")
        for archive in Path(folder).glob("*.deb"):
            subprocess.run(["dpkg-deb", "--extract", archive, folder], check=True)
        for photo in missing:
            (Path(folder) / _WALLPAPERS / photo.file).rename(photo.path)
            if not photo.is_here():
                raise SystemExit(f"{photo.file} of {photo.package} is not the file measured here")


@lru_cache(maxsize=3)
def scaled(photo: Photo, megapixels: int) -> Pixels:
    """The photo upright, RGB, scaled down to about so many megapixels.

    What is longer than 3:2 is cut off at both ends, so that 12 megapixels nearly fit the longest
    side that the service takes.
    """
    with Image.open(photo.path) as file:
        upright = ImageOps.exif_transpose(file).convert("RGB")
    long, short = max(upright.size), min(upright.size)
    if long * 2 > short * 3:
        width, height = (min(side, short * 3 // 2) for side in upright.size)
        upright = ImageOps.fit(upright, (width, height), Image.Resampling.LANCZOS)
    scale = min((megapixels * 1e6 / (upright.width * upright.height)) ** 0.5, 1.0)
    scale = min(scale, LARGEST_SIDE / max(upright.size))
    size = (round(upright.width * scale), round(upright.height * scale))
    return np.asarray(upright.resize(size, Image.Resampling.LANCZOS))


def small(name: str) -> Pixels:
    """A photo of scikit-image, at its own size."""
    pixels: Pixels = getattr(data, name)()
    return pixels


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
