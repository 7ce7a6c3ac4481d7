"""Uploads with something wrong in them, from real files and a seeded source of chance."""

import random
import struct
from dataclasses import dataclass

from rig.uploads import BOUNDARY, Form, form, mask, photo

_NUMBERS = (
    *("0", "1", "-1", "+5", "20", "96", "97", "4096", str(2**63 - 1), str(-(2**63)), "9" * 20),
    *("1e3", "0x10", "1.5", "", " 7 ", "NaN", "\u0663", "8\x00", "true"),
)
_FORMATS = ("png", "webp", "jpg", "jpeg", "PNG", "gif", "", "png\x00", "p" * 9000)
_INTERESTING = (b"\x00", b"\xff", b"\x7f", b"\x80", b"\x00\x00", b"\xff\xff", b"\x7f\xff\xff\xff")
_PART_HEADS = (
    b'Content-Disposition: form-data; name="file"; filename="a"',
    b'Content-Disposition: form-data; name="mask"; filename=""',
    b'Content-Disposition: form-data; name="file',
    b"Content-Disposition: attachment",
    b"Content-Disposition: form-data; name*=utf-8''file; filename*=\"%ff\"",
    b"Content-Type: multipart/mixed; boundary=" + BOUNDARY.encode(),
    b"Content-Transfer-Encoding: base64",
    b"X-Long: " + b"a" * 20_000,
    b"\xff\xfe: \xff",
)
_CONTENT_TYPES = (
    "multipart/form-data",
    "multipart/form-data; boundary=",
    'multipart/form-data; boundary="' + BOUNDARY + '"',
    "multipart/form-data; boundary=" + "b" * 200,
    f"multipart/mixed; boundary={BOUNDARY}",
    f"MULTIPART/FORM-DATA; charset=utf-8; boundary={BOUNDARY}",
    "application/octet-stream",
    "",
)


@dataclass(frozen=True)
class Case:
    """One upload, and what was done to it."""

    upload: Form
    how: str


class Mutator:
    """An endless, repeatable sequence of uploads."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)
        formats = ("JPEG", "PNG", "WEBP", "HEIF")
        photos = (*formats, "TILES")
        self._photos = [photo(64, seed, name) for seed, name in enumerate(photos)]
        self._photos += [photo(200, seed, name) for seed, name in enumerate(photos)]
        self._masks = [mask(64, name) for name in formats]

    def case(self) -> Case:
        """The next upload; one in fifty is whole, so that the good way is walked too."""
        chance = self._chance
        done: list[str] = []
        file, shape = chance.choice(self._photos), chance.choice(self._masks)
        fields: dict[str, str] = {}
        kind = chance.choices(("file", "mask", "fields", "body", "none"), (45, 15, 12, 26, 2))[0]
        files = {"file": file}
        mode = chance.choice(("box", "mask", "subject"))
        if mode == "box" or kind == "fields":
            fields |= {"x": "10", "y": "10", "w": "20", "h": "20"}
        if mode == "mask" or kind == "mask":
            files["mask"] = shape
        fields["format"] = chance.choice(("png", "webp", "jpg"))
        match kind:
            case "file" | "mask":
                files[kind] = self._bytes(files[kind], done)
            case "fields":
                self._fields(fields, done)
        upload = form(fields, **files)
        if kind == "body":
            upload = self._body(upload, done)
        return Case(upload, f"{kind}, {mode}: {', '.join(done) or 'whole'}")

    def _bytes(self, content: bytes, done: list[str]) -> bytes:
        """One to four changes, more often near the beginning, where the headers of files are."""
        for _ in range(self._chance.randint(1, 4)):
            content = self._change(content, done)
        return content

    def _change(self, content: bytes, done: list[str]) -> bytes:
        chance = self._chance
        at = self._place(len(content))
        kind = chance.choice(("flip", "set", "length", "cut", "drop", "insert", "splice", "repeat"))
        done.append(f"{kind} at {at}")
        length = chance.choice((1, 2, 4, 8, 64, 1000))
        match kind:
            case "flip":
                flipped = bytes(byte ^ (1 << chance.randrange(8)) for byte in content[at : at + 1])
                return content[:at] + flipped + content[at + 1 :]
            case "set":
                value = chance.choice(_INTERESTING)
                return content[:at] + value + content[at + len(value) :]
            case "length":
                # The numbers in headers that say how long, how wide and how many.
                form_of = chance.choice((">I", "<I", ">H", "<H"))
                top = (1 << 8 * struct.calcsize(form_of)) - 1
                number = chance.choice((0, 1, 2, 4096, 4097, 65535, top // 2, top))
                value = struct.pack(form_of, min(number, top))
                return content[:at] + value + content[at + len(value) :]
            case "cut":
                return content[:at]
            case "drop":
                return content[:at] + content[at + length :]
            case "insert":
                return content[:at] + chance.randbytes(length) + content[at:]
            case "splice":
                other = chance.choice(self._photos + self._masks)
                return content[:at] + other[self._place(len(other)) :]
            case _:
                return content[: at + length] + content[at:]

    def _place(self, length: int) -> int:
        near = min(length, 200) if self._chance.random() < 0.6 else length
        return self._chance.randrange(near) if near else 0

    def _fields(self, fields: dict[str, str], done: list[str]) -> None:
        chance = self._chance
        for _ in range(chance.randint(1, 3)):
            name = chance.choice(("x", "y", "w", "h", "dilation", "format", "unknown"))
            value = chance.choice(_FORMATS if name == "format" else _NUMBERS)
            if chance.random() < 0.1:
                fields.pop(name, None)
                done.append(f"no {name}")
            else:
                fields[name] = value
                done.append(f"{name}={value[:20]!r}")

    def _body(self, upload: Form, done: list[str]) -> Form:
        """Changes to the multipart body or to its Content-Type."""
        chance = self._chance
        body, content_type = upload.body, upload.content_type
        mark = b"--" + BOUNDARY.encode()
        parts = body.split(mark)
        match chance.choice(("bytes", "part head", "order", "repeat", "boundary", "type", "line")):
            case "bytes":
                body = self._bytes(body, done)
            case "part head":
                head = chance.choice(_PART_HEADS)
                at = chance.randrange(1, len(parts) - 1)
                parts[at] = b"\r\n" + head + parts[at]
                body = mark.join(parts)
                done.append(f"part head {head[:40]!r}")
            case "order":
                middle = parts[1:-1]
                chance.shuffle(middle)
                body = mark.join([parts[0], *middle, parts[-1]])
                done.append("parts in another order")
            case "repeat":
                times = chance.choice((1, 2, 70))
                body = mark.join([*parts[:-1], *parts[1:2] * times, parts[-1]])
                done.append(f"a part {times} times more")
            case "boundary":
                at = chance.randrange(len(body))
                body = body[:at] + b"\r\n" + mark + chance.choice((b"", b"--", b"\r\n")) + body[at:]
                done.append(f"boundary at {at}")
            case "type":
                content_type = chance.choice(_CONTENT_TYPES)
                done.append(f"content-type {content_type[:60]!r}")
            case _:
                body = body.replace(b"\r\n", chance.choice((b"\n", b"\r", b"\r\n\r\n", b"")))
                done.append("other line ends")
        return Form(body, content_type)
