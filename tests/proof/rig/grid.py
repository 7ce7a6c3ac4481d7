"""HEIC files whose picture is a grid of tiles, as phones write them and Pillow does not.

The tiles are coded by pillow-heif, one file each; here they are put into one file (ISO/IEC 14496-12
and 23008-12) with an item that joins them.
"""

import io
import struct
from collections.abc import Sequence

import pillow_heif
from PIL import Image

_FULL_RANGE = 0x80


def grid_of(
    image: Image.Image,
    tile: int,
    *,
    quality: int = 90,
    nclx: tuple[int, int, int] | None = None,
) -> bytes:
    """``image`` as square tiles; ``nclx`` are primaries, transfer function and matrix."""
    width, height = image.size
    columns, rows = -(-width // tile), -(-height // tile)
    coded: list[bytes] = []
    decoder: bytes | None = None
    for number in range(columns * rows):
        left, top = number % columns * tile, number // columns * tile
        part = image.crop((left, top, left + tile, top + tile))
        file = io.BytesIO()
        pillow_heif.from_pillow(part).save(file, quality=quality, chroma=420)
        coded.append(_inside(file.getvalue(), b"mdat"))
        settings = _inside(file.getvalue(), b"meta", b"iprp", b"ipco", b"hvcC")
        if decoder not in (None, settings):
            raise ValueError("the tiles were coded with several settings")
        decoder = settings
    spec = struct.pack(">BBBBHH", 0, 0, rows - 1, columns - 1, width, height)
    properties = [_box(b"hvcC", decoder or b""), _extent(tile, tile), _extent(width, height)]
    if nclx:
        colours = struct.pack(">HHHB", *nclx, _FULL_RANGE)
        properties.append(_box(b"colr", b"nclx", colours))
    return _file(coded, spec, properties)


def _file(coded: Sequence[bytes], spec: bytes, properties: Sequence[bytes]) -> bytes:
    """Tiles have the properties 1 (needed) and 2, the grid 3, and both what comes after."""
    count = len(coded)
    others = bytes(range(4, len(properties) + 1))
    of_tile, of_grid = bytes([0x80 | 1, 2]) + others, bytes([3]) + others
    uses = [struct.pack(">HB", number + 1, len(of_tile)) + of_tile for number in range(count)]
    uses.append(struct.pack(">HB", count + 1, len(of_grid)) + of_grid)
    names = [_full(b"infe", 2, 1, struct.pack(">HH", n + 1, 0), b"hvc1\0") for n in range(count)]
    names.append(_full(b"infe", 2, 0, struct.pack(">HH", count + 1, 0), b"grid\0"))
    tiles = b"".join(struct.pack(">H", number + 1) for number in range(count))
    head = _box(b"ftyp", b"heic", struct.pack(">I", 0), b"mif1heic")

    def meta(start: int) -> bytes:
        places = b""
        for number, data in enumerate(coded):
            places += struct.pack(">HHHHII", number + 1, 0, 0, 1, start, len(data))
            start += len(data)
        places += struct.pack(">HHHHII", count + 1, 1, 0, 1, 0, len(spec))
        return _full(
            b"meta",
            0,
            0,
            _full(b"hdlr", 0, 0, struct.pack(">I4s12xB", 0, b"pict", 0)),
            _full(b"pitm", 0, 0, struct.pack(">H", count + 1)),
            _full(b"iloc", 1, 0, bytes([0x44, 0]), struct.pack(">H", count + 1), places),
            _full(b"iinf", 0, 0, struct.pack(">H", count + 1), *names),
            _full(b"iref", 0, 0, _box(b"dimg", struct.pack(">HH", count + 1, count), tiles)),
            _box(
                b"iprp",
                _box(b"ipco", *properties),
                _full(b"ipma", 0, 0, struct.pack(">I", count + 1), *uses),
            ),
            _box(b"idat", spec),
        )

    start = len(head) + len(meta(0)) + 8
    return head + meta(start) + _box(b"mdat", *coded)


def _box(kind: bytes, *parts: bytes) -> bytes:
    content = b"".join(parts)
    return struct.pack(">I4s", len(content) + 8, kind) + content


def _full(kind: bytes, version: int, flags: int, *parts: bytes) -> bytes:
    return _box(kind, struct.pack(">I", version << 24 | flags), *parts)


def _extent(width: int, height: int) -> bytes:
    return _full(b"ispe", 0, 0, struct.pack(">II", width, height))


def _inside(content: bytes, *path: bytes) -> bytes:
    """The content of the box at ``path``."""
    for name in path:
        start = 0
        while True:
            size, kind = struct.unpack_from(">I4s", content, start)
            if kind == name:
                break
            start += size
        # ``meta`` has a version and flags before what it holds.
        content = content[start + (12 if name == b"meta" else 8) : start + size]
    return content
