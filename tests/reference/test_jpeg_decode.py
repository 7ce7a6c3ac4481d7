"""The gateway's JPEG decoder against Pillow: equal to the byte, and as strict as it should be."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, ImageCms

from conftest import Codec, cjpeg, read_samples

Photo = npt.NDArray[np.uint8]

# cjpeg's switches: what Pillow cannot write itself.
CJPEG = {
    "4:4:0": ["-sample", "1x2"],
    "4:1:1": ["-sample", "4x1"],
    "4:1:0": ["-sample", "4x2"],
    "luma coarser than chroma": ["-sample", "1x1,2x2,2x2"],
    "all components 2x1": ["-sample", "2x1,2x1,2x1"],
    "arithmetic": ["-arithmetic"],
    "arithmetic progressive": ["-arithmetic", "-progressive"],
    "restart every row": ["-restart", "1"],
    "progressive with restarts": ["-progressive", "-restart", "3B"],
    "RGB": ["-rgb"],
    "coarse": ["-quality", "3"],
    "finest": ["-quality", "100", "-sample", "1x1"],
    "grey": ["-grayscale"],
    "grey progressive": ["-grayscale", "-progressive"],
    "optimised": ["-optimize"],
}
PILLOW: dict[str, dict[str, Any]] = {
    "4:4:4": {"subsampling": "4:4:4"},
    "4:2:2": {"subsampling": "4:2:2"},
    "4:2:0": {"subsampling": "4:2:0"},
    "progressive 4:2:0": {"subsampling": "4:2:0", "progressive": True},
    "progressive 4:2:2": {"subsampling": "4:2:2", "progressive": True},
    "progressive 4:4:4": {"subsampling": "4:4:4", "progressive": True},
    "kept RGB": {"keep_rgb": True},
    "restart blocks": {"restart_marker_blocks": 7},
}
SIZES = [(451, 300), (450, 299), (16, 16), (17, 33), (8, 1), (1, 1), (3, 200), (121, 2)]


def by_pillow(photo: Photo, mode: str | None = None, **options: Any) -> bytes:
    out = io.BytesIO()
    Image.fromarray(photo).convert(mode or "RGB").save(out, "jpeg", **options)
    return out.getvalue()


def ours(codec: Codec, folder: Path, content: bytes) -> npt.NDArray[np.uint8]:
    (folder / "in.jpg").write_bytes(content)
    codec("decode", folder / "in.jpg", folder / "out")
    samples = read_samples(folder / "out")
    assert samples.dtype == np.uint8
    return samples.astype(np.uint8, copy=False)


def assert_same(codec: Codec, folder: Path, content: bytes) -> None:
    picture = Image.open(io.BytesIO(content))
    expected = np.asarray(picture if picture.mode == "L" else picture.convert("RGB"))
    np.testing.assert_array_equal(ours(codec, folder, content), expected)
    header = codec("header", folder / "in.jpg").stdout.split()
    assert header == [str(picture.width), str(picture.height), str(len(picture.getbands()))]


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("kind", CJPEG)
def test_decodes_what_cjpeg_writes_as_pillow_does(
    codec: Codec, photo: Photo, tmp_path: Path, kind: str, size: tuple[int, int]
) -> None:
    part = photo[: size[1], : size[0]]
    assert_same(codec, tmp_path, cjpeg(part, *CJPEG[kind]))


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("kind", PILLOW)
def test_decodes_what_pillow_writes_as_pillow_does(
    codec: Codec, photo: Photo, tmp_path: Path, kind: str, size: tuple[int, int]
) -> None:
    part = photo[: size[1], : size[0]]
    assert_same(codec, tmp_path, by_pillow(part, **PILLOW[kind]))


def as_ycck(cmyk: bytes) -> bytes:
    """The same samples called YCCK: the transform byte at the end of the Adobe segment."""
    at = cmyk.index(b"Adobe") + 11
    assert cmyk[at] == 0
    return cmyk[:at] + b"\x02" + cmyk[at + 1 :]


def without_adobe(cmyk: bytes) -> bytes:
    at = cmyk.index(b"Adobe") - 4
    return cmyk[:at] + cmyk[at + 16 :]


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("variant", [bytes, as_ycck, without_adobe])
def test_converts_cmyk_to_rgb_as_pillow_does(
    codec: Codec, photo: Photo, tmp_path: Path, variant: type, progressive: bool
) -> None:
    inks = np.dstack([photo, photo[::-1, ::-1, 1]])
    out = io.BytesIO()
    Image.fromarray(inks, "CMYK").save(out, "jpeg", progressive=progressive)
    assert_same(codec, tmp_path, variant(out.getvalue()))


def test_keeps_the_profile_and_the_exif_block(codec: Codec, photo: Photo, tmp_path: Path) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    big = profile + bytes(200_000)  # several segments
    exif = Image.Exif()
    exif[0x0112] = 6
    content = by_pillow(photo, icc_profile=big, exif=exif.tobytes())
    ours(codec, tmp_path, content)
    assert (tmp_path / "out.icc").read_bytes() == big
    assert (tmp_path / "out.exif").read_bytes() == exif.tobytes().removeprefix(b"Exif\0\0")


def test_drops_the_profile_of_a_cmyk_file(codec: Codec, photo: Photo, tmp_path: Path) -> None:
    content = by_pillow(photo, "CMYK", icc_profile=b"a profile of inks")
    ours(codec, tmp_path, content)
    assert not (tmp_path / "out.icc").exists()


def test_decodes_the_first_picture_of_several(codec: Codec, photo: Photo, tmp_path: Path) -> None:
    out = io.BytesIO()
    second = Image.fromarray(photo[::-1])
    Image.fromarray(photo).save(out, "mpo", save_all=True, append_images=[second])
    first = by_pillow(photo)
    assert_same(codec, tmp_path, out.getvalue())
    np.testing.assert_array_equal(
        ours(codec, tmp_path, out.getvalue()), ours(codec, tmp_path, first)
    )


def refused(codec: Codec, folder: Path, content: bytes) -> bool:
    (folder / "in.jpg").write_bytes(content)
    done = codec("decode", folder / "in.jpg", folder / "out", ok=False)
    assert done.returncode in (0, 2), done.stderr
    return done.returncode == 2


@pytest.mark.parametrize("kind", ["-baseline", "-progressive", "-arithmetic", "-grayscale"])
def test_refuses_a_file_cut_anywhere_before_its_last_pixels(
    codec: Codec, photo: Photo, tmp_path: Path, kind: str
) -> None:
    content = cjpeg(photo, kind)
    for kept in [2, 20, 160, *(len(content) * part // 20 for part in range(1, 20))]:
        assert refused(codec, tmp_path, content[:kept]), f"{kept} of {len(content)} bytes"
    assert refused(codec, tmp_path, content[:-40])


def test_refuses_a_file_with_a_hole_filled_by_zeroes(
    codec: Codec, photo: Photo, tmp_path: Path
) -> None:
    content = cjpeg(photo, "-restart", "1")
    middle = len(content) // 2
    assert refused(codec, tmp_path, content[:middle] + bytes(2000) + content[middle + 2000 :])


def test_refuses_a_file_with_lost_restart_markers(
    codec: Codec, photo: Photo, tmp_path: Path
) -> None:
    content = cjpeg(photo, "-restart", "1")
    assert refused(codec, tmp_path, content.replace(b"\xff\xd3", b""))


def test_accepts_what_costs_no_pixel(codec: Codec, photo: Photo, tmp_path: Path) -> None:
    content = cjpeg(photo)
    scan = content.index(b"\xff\xda")
    harmless = {
        "no end marker": content[:-2],
        "bytes after the end": content + b"more" * 1000,
        "padding before a segment": content[:scan] + bytes(37) + content[scan:],
        "padding before the end": content[:-2] + bytes(5) + content[-2:],
        "fill bytes": content[:scan] + b"\xff" * 9 + content[scan:],
        "zeroes where a sequential scan says 63": content[: scan + 11]
        + b"\0\0\0"
        + content[scan + 14 :],
    }
    expected = ours(codec, tmp_path, content)
    for name, file in harmless.items():
        np.testing.assert_array_equal(ours(codec, tmp_path, file), expected, err_msg=name)


def test_decodes_unusual_scan_scripts(codec: Codec, photo: Photo, tmp_path: Path) -> None:
    bits = "".join(f"0,1,2: 0-0, {bit}, {bit - 1};\n" for bit in range(10, 0, -1))
    rest = "".join(f"{component}: 1-63, 0, 0;\n" for component in range(3))
    for script in ["0; 1; 2;", "0,2; 1;", f"0,1,2: 0-0, 0, 10;\n{bits}{rest}"]:
        (tmp_path / "script").write_text(script)
        assert_same(codec, tmp_path, cjpeg(photo, "-scans", str(tmp_path / "script")))


def test_refuses_more_scans_than_a_photo_can_have(
    codec: Codec, photo: Photo, tmp_path: Path
) -> None:
    (tmp_path / "script").write_text("0; 1; 2;")
    content = cjpeg(photo, "-scans", str(tmp_path / "script"))
    last = content.rindex(b"\xff\xda")
    assert not refused(codec, tmp_path, content[:-2] + content[last:-2] * 90 + content[-2:])
    assert refused(codec, tmp_path, content[:-2] + content[last:-2] * 100 + content[-2:])


def test_refuses_what_is_no_jpeg(codec: Codec, photo: Photo, tmp_path: Path) -> None:
    png = io.BytesIO()
    Image.fromarray(photo).save(png, "png")
    for content in [b"", b"\xff", b"\xff\xd8", b"\xff\xd8\xff\xd9", png.getvalue()]:
        assert refused(codec, tmp_path, content)
