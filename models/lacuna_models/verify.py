"""Whether a served network answers as the published one does, in levels of 0..255.

The chain has three links, and each is compared with the one before it: the published
weights in PyTorch (or, for BiRefNet, the published ONNX graph), the exported ONNX graph, and
what a Triton serves under the model's name, which on a GPU is the plan.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lacuna_models.errors import ModelsError

Bytes = NDArray[np.uint8]
Network = Callable[[Mapping[str, Bytes]], Bytes]
"""From the inputs by name, batch dimension included, to the output."""

_SEED = 7


@dataclass(frozen=True)
class Row:
    """One network against another one on one input."""

    side: int
    picture: str
    compared: str
    largest: int
    """Level difference, anywhere."""
    mean: float
    spread: float
    """Standard deviation of the reference's answer where it answers, in levels: how much of
    the range the comparison has seen."""
    reference_s: float
    candidate_s: float
    """Seconds for the second run on this machine; the first one pays for setting up."""


def compare(
    cases: Sequence[tuple[int, str, Mapping[str, Bytes]]],
    networks: Mapping[str, Network],
    say: Callable[[str], None],
) -> list[Row]:
    """Each network against the first one, on every case (side, picture, inputs)."""
    rows = []
    reference_name = next(iter(networks))
    for side, picture, inputs in cases:
        answers = {name: _timed(network, inputs) for name, network in networks.items()}
        reference, reference_s = answers.pop(reference_name)
        counts = (
            inputs["mask"][..., 0] >= 128
            if "mask" in inputs
            else np.ones(reference.shape[:3], bool)
        )
        for name, (answer, seconds) in answers.items():
            if answer.shape != reference.shape:
                raise ModelsError(f"{name} answers {answer.shape} instead of {reference.shape}")
            off = np.abs(answer.astype(np.int16) - reference.astype(np.int16))
            row = Row(
                side=side,
                picture=picture,
                compared=f"{name} / {reference_name}",
                largest=int(off.max()),
                mean=float(off[counts].mean()),
                spread=float(reference[counts].std()),
                reference_s=reference_s,
                candidate_s=seconds,
            )
            rows.append(row)
            say(line(row))
    return rows


HEAD = (
    "| side | picture | compared | largest | mean | spread | reference s | candidate s |\n"
    "|---|---|---|---|---|---|---|---|"
)


def line(row: Row) -> str:
    """The row in the Markdown table under ``HEAD``."""
    return (
        f"| {row.side} | {row.picture} | {row.compared} | {row.largest} | {row.mean:.6f} "
        f"| {row.spread:.0f} | {row.reference_s:.2f} | {row.candidate_s:.2f} |"
    )


def refuse_over(rows: Sequence[Row], bound: int) -> None:
    """Raises ``ModelsError`` if a difference is over ``bound`` levels."""
    over = [row for row in rows if row.largest > bound]
    if over:
        worst = max(over, key=lambda row: row.largest)
        raise ModelsError(
            f"{len(over)} of {len(rows)} comparisons differ by more than {bound} level(s); the "
            f"worst by {worst.largest}, at side {worst.side} on {worst.picture}"
        )


def pictures(folder: Path | None, side: int) -> Iterator[tuple[str, Bytes]]:
    """Noise, and the photos of ``folder``, as [1, side, side, 3].

    A photo's middle is taken at its own resolution, or enlarged where the photo is smaller.
    """
    rng = np.random.default_rng(_SEED)
    yield "noise", rng.integers(0, 256, (1, side, side, 3), dtype=np.uint8)
    if folder is None:
        return
    files = sorted(
        file for file in folder.iterdir() if file.suffix.lower() in (".jpg", ".jpeg", ".png")
    )
    if not files:
        raise ModelsError(f"{folder} holds no JPEG or PNG photos")
    for file in files:
        with Image.open(file) as opened:
            photo = opened.convert("RGB")
        if min(photo.size) < side:
            scale = side / min(photo.size)
            size = tuple(max(side, round(length * scale)) for length in photo.size)
            photo = photo.resize((size[0], size[1]), Image.Resampling.BICUBIC)
        left, top = (photo.width - side) // 2, (photo.height - side) // 2
        cut = photo.crop((left, top, left + side, top + side))
        yield file.stem, np.asarray(cut, dtype=np.uint8)[None]


def hole(side: int) -> Bytes:
    """A mask [1, side, side, 1]: a large ellipse, a thin line and scattered specks."""
    y, x = np.mgrid[0:side, 0:side] / side
    ellipse = ((x - 0.45) / 0.3) ** 2 + ((y - 0.55) / 0.25) ** 2 < 1
    line_ = np.abs(y - 0.2 - 0.3 * x) < 0.01
    specks = np.random.default_rng(_SEED).random((side, side)) < 0.01
    return np.where(ellipse | line_ | specks, 255, 0).astype(np.uint8)[None, :, :, None]


def _timed(network: Network, inputs: Mapping[str, Bytes]) -> tuple[Bytes, float]:
    network(inputs)
    start = time.perf_counter()
    answer = network(inputs)
    return answer, time.perf_counter() - start
