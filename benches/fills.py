"""``make bench-fill``: how long a fill takes, beside two others that need no weights.

``crates/exemplar`` on one thread and on two, the library that served ``patchmatch`` before it
(``peer.fill``, which has one thread), and OpenCV's ``inpaint`` (Telea), which drags colours in from
the border. All fill the same square hole in the middle of the same photos; the best of a few runs
counts.
"""

import os
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

import photos
from gateway import ROOT
from peer.fill import fill

CASES = ((512, 180), (768, 316), (1024, 400), (1024, 600))
"""Sides of the windows and of the holes in them."""
NAMES = ("dragonfly", "mountains")
TIMES = 5
TIMES_OF_SLOW = 2

Pixels = NDArray[np.uint8]
Hole = NDArray[np.bool_]


def main() -> None:
    """Prints the table."""
    photos.fetch()
    subprocess.run(
        ["cargo", "build", "--release", "--locked", "-p", "exemplar", "--example", "measure"],
        cwd=ROOT,
        check=True,
    )
    print("milliseconds; in brackets how many times as fast as the library before")
    print("photo      window  hole |  before |    1 thread |   2 threads |  OpenCV")
    for name in NAMES:
        for side, size in CASES:
            image, hole = _window(name, side), _square(side, size)
            before = _best(fill, image, hole)
            one, two = _ours(image, hole, 1), _ours(image, hole, 2)
            telea = _best(_telea, image, hole)
            print(
                f"{name:10} {side:6} {size:5} | {before:7.0f} | {one:5.0f} ({before / one:3.1f}) "
                f"| {two:5.0f} ({before / two:3.1f}) | {telea:7.0f}",
                flush=True,
            )


def _window(name: str, side: int) -> Pixels:
    """The middle of a photo, shrunk to the window."""
    (photo,) = (photo for photo in photos.PHOTOS if photo.name == name)
    with Image.open(photo.path) as opened:
        whole = opened.convert("RGB")
    shorter = min(whole.size)
    left, top = (whole.width - shorter) // 2, (whole.height - shorter) // 2
    middle = whole.crop((left, top, left + shorter, top + shorter))
    return np.asarray(middle.resize((side, side), Image.Resampling.LANCZOS))


def _square(side: int, size: int) -> Hole:
    hole = np.zeros((side, side), np.bool_)
    start = (side - size) // 2
    hole[start : start + size, start : start + size] = True
    return hole


def _telea(image: Pixels, hole: Hole) -> Pixels:
    return np.asarray(cv2.inpaint(image, hole.astype(np.uint8), 3, cv2.INPAINT_TELEA), np.uint8)


def _best(work: Callable[[Pixels, Hole], Pixels], image: Pixels, hole: Hole) -> float:
    taken = []
    for _ in range(TIMES_OF_SLOW):
        started = time.perf_counter()
        work(image, hole)
        taken.append((time.perf_counter() - started) * 1e3)
    return min(taken)


def _ours(image: Pixels, hole: Hole, threads: int) -> float:
    """In a process of its own, since the number of threads is one for each process."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "window"
        file.write_bytes(image.tobytes() + hole.astype(np.uint8).tobytes())
        height, width = hole.shape
        answer = subprocess.run(
            [
                ROOT / "target/release/examples/measure",
                file,
                str(width),
                str(height),
                str(TIMES),
            ],
            env=os.environ | {"RAYON_NUM_THREADS": str(threads)},
            capture_output=True,
            text=True,
            check=True,
        )
    return min(float(line) for line in answer.stdout.split())


if __name__ == "__main__":
    main()
