"""Draws pictures, masks and dilations, and compares every pixel of the answers with a reference.

Outside the dilated mask an answer must be the photo as a reference decoder shows it, to the byte:
upright, with its own depth, channels, alpha and profile. Inside the mask the colours must be the
model's, and alpha still the photo's. Run by ``make exactness``; a failure is repeated with SEED and
COUNT.
"""

import argparse
import asyncio
import io
import random
import re
import subprocess
import sys
from collections import Counter

import aiohttp
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from rig.callers import session
from rig.fleet import CONSTANT, addresses, fleet
from rig.gateway import ROOT, TOKEN, gateway
from rig.goals import Report, say
from rig.pictures import Picture, Samples, draw
from rig.uploads import Form, form

CALLERS = 4
FINDINGS = ROOT / "out/exactness"
GREY = 128
"""What the model fills with."""
Region = npt.NDArray[np.bool_]


class Different(Exception):
    """An answer is not as it must be."""


def region(chance: random.Random, size: tuple[int, int]) -> tuple[dict[str, str], bytes, Region]:
    """Fields, mask file (empty for a box) and pixels of what is to be erased."""
    width, height = size
    hole = np.zeros((height, width), bool)
    if chance.random() < 0.4:
        x, y = chance.randrange(width), chance.randrange(height)
        w, h = chance.randint(1, width - x), chance.randint(1, height - y)
        hole[y : y + h, x : x + w] = True
        fields = {name: str(value) for name, value in zip("xywh", (x, y, w, h), strict=True)}
        return fields, b"", hole
    mask = Image.new("L", size)
    pen = ImageDraw.Draw(mask)
    for _ in range(chance.randint(1, 4)):
        ends = sorted(chance.randrange(-5, width + 5) for _ in range(2))
        tops = sorted(chance.randrange(-5, height + 5) for _ in range(2))
        corners = (ends[0], tops[0], ends[1], tops[1])
        fill = chance.choice([127, 128, 200, 255])
        match chance.randrange(3):
            case 0:
                pen.ellipse(corners, fill=fill)
            case 1:
                pen.rectangle(corners, fill=fill)
            case _:
                pen.line(corners, fill=fill)
    pen.point((chance.randrange(width), chance.randrange(height)), fill=255)
    file = io.BytesIO()
    mask.save(file, "PNG")
    return {}, file.getvalue(), np.asarray(mask) >= 128


def dilated(hole: Region, radius: int) -> Region:
    """Every pixel no further than ``radius`` from the hole, looked up offset by offset."""
    height, width = hole.shape
    grown = np.zeros((height + 2 * radius, width + 2 * radius), bool)
    for dy in range(-radius, radius + 1):
        for dx in range(-radius, radius + 1):
            if dx * dx + dy * dy <= radius * radius:
                top, left = radius + dy, radius + dx
                grown[top : top + height, left : left + width] |= hole
    return grown[radius : radius + height, radius : radius + width]


def samples_of(file: bytes) -> Samples:
    """What an answer shows."""
    with Image.open(io.BytesIO(file)) as image:
        if image.format == "PNG" and file[24] == 16:
            return _sixteen(file)
        samples = np.asarray(image)
    return samples if samples.ndim == 3 else samples[..., None]


def _sixteen(file: bytes) -> Samples:
    """A PNG of 16 bits a sample, which Pillow does not read in full, by way of netpbm's PAM."""
    channels = {0: 1, 4: 2, 2: 3, 6: 4}[file[25]]
    command = ["pngtopam", *(["-alphapam"] if channels in (2, 4) else []), "-"]
    pnm = subprocess.run(command, input=file, capture_output=True, check=True).stdout
    head = re.match(rb"P7\n.*?ENDHDR\n|P[56]\s\d+\s\d+\s65535\s", pnm, re.DOTALL)
    if head is None:
        raise Different(f"{pnm[:60]!r}")
    width, height = int.from_bytes(file[16:20], "big"), int.from_bytes(file[20:24], "big")
    levels = np.frombuffer(pnm[head.end() :], ">u2").astype(np.uint16)
    return levels.reshape(height, width, channels)


def compare(picture: Picture, mask: Region, hole: Region, file: bytes, answer_format: str) -> None:
    """Raises ``Different`` unless the answer is right: ``hole`` is ``mask``, dilated."""
    expected = picture.samples
    if answer_format == "webp":
        expected = _as_webp(expected)
    found = samples_of(file)
    if found.dtype != expected.dtype or found.shape != expected.shape:
        raise Different(f"{found.shape} {found.dtype}, not {expected.shape} {expected.dtype}")
    different = (found != expected).any(axis=2)
    if (different & ~hole).any():
        y, x = np.argwhere(different & ~hole)[0]
        raise Different(f"{x}, {y} is {found[y, x]}, not {expected[y, x]}")
    colours = found
    if expected.shape[2] in (2, 4):
        if (found[..., -1] != expected[..., -1]).any():
            raise Different("alpha was changed")
        colours, mask = found[..., :-1], mask & (expected[..., -1] > 0)
    grey = GREY * 257 if found.dtype == np.uint16 else GREY
    if (colours[mask] != grey).any():
        raise Different("the mask is not filled with the model's colours")
    with Image.open(io.BytesIO(file)) as image:
        if image.info.get("icc_profile") != picture.icc:
            raise Different("another profile")
        if image.getexif():
            raise Different("metadata was kept")


def _as_webp(samples: Samples) -> Samples:
    """WebP holds RGB or RGBA of 8 bits."""
    if samples.dtype == np.uint16:
        samples = ((samples.astype(np.uint32) + 128) // 257).astype(np.uint8)
    if samples.shape[2] < 3:
        grey = np.repeat(samples[..., :1], 3, axis=2)
        samples = np.concatenate([grey, samples[..., 1:]], axis=2)
    return samples


def case(seed: int) -> tuple[Picture, Form, Region, Region, str]:
    """One photo and its form, the mask, the same dilated, and the format asked for."""
    chance = random.Random(seed)
    picture = draw(chance)
    fields, mask, hole = region(chance, picture.size)
    dilation = chance.choice([0, 1, 2, 3, 5, 8, 13, 32])
    answer_format = chance.choice(["png", "png", "webp"])
    fields |= {"dilation": str(dilation), "format": answer_format}
    files = {"file": picture.file} | ({"mask": mask} if mask else {})
    return picture, form(fields, **files), hole, dilated(hole, dilation), answer_format


async def exactness(report: Report, count: int, seed: int) -> None:
    """All cases."""
    kinds: Counter[str] = Counter()
    wrong: Counter[str] = Counter()
    left = iter(range(seed, seed + count))

    async def caller(client: aiohttp.ClientSession, url: str) -> None:
        for number in left:
            picture, upload, mask, hole, answer_format = await asyncio.to_thread(case, number)
            headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": upload.content_type}
            kinds[picture.kind] += 1
            async with client.post(f"{url}/inpaint", data=upload.body, headers=headers) as answer:
                body = await answer.read()
            try:
                if answer.status != 200:
                    raise Different(f"{answer.status}: {body[:200]!r}")
                reduced = answer_format == "webp" and picture.samples.dtype == np.uint16
                if reduced != ("16" in answer.headers.get("x-knockout-warning", "")):
                    raise Different("a warning of lost depth is missing, or for nothing")
                await asyncio.to_thread(compare, picture, mask, hole, body, answer_format)
            except Different as different:
                wrong[picture.kind] += 1
                say(f"seed {number}, {picture.kind} to {answer_format}: {different}")
                FINDINGS.mkdir(parents=True, exist_ok=True)
                (FINDINGS / f"{number}.photo").write_bytes(picture.file)
                (FINDINGS / f"{number}.answer").write_bytes(body)

    async with (
        fleet(1, CONSTANT) as replicas,
        gateway(addresses(replicas), inpaint_model=CONSTANT) as service,
        session() as client,
    ):
        await asyncio.gather(*(caller(client, service.address) for _ in range(CALLERS)))
    for kind, number in sorted(kinds.items()):
        report.equal(f"{kind}: wrong of {number}", wrong[kind], 0)


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=2000, help="how many cases (2000)")
    parser.add_argument("--seed", type=int, default=0, help="of the first case (0)")
    chosen = parser.parse_args()
    report = Report()
    asyncio.run(exactness(report, chosen.count, chosen.seed))
    return report.finish()


if __name__ == "__main__":
    sys.exit(main())
