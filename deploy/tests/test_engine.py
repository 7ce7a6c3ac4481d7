"""What the proofs on a real engine stand on, as far as it needs no engine."""

import struct
import zlib
from pathlib import Path

import pytest

from engine import bases, callers, compose, daemon, debian, inside, swarm
from engine.run import Failure
from tests.run import ROOT


@pytest.mark.parametrize(("depth", "channels"), [(8, 1), (8, 3), (16, 4)])
def test_the_photos_are_whole_and_of_the_size_that_they_say(depth: int, channels: int) -> None:
    file = callers.png(70, 50, depth=depth, channels=channels)
    assert file.startswith(b"\x89PNG\r\n\x1a\n")
    found = {}
    at = 8
    while at < len(file):
        (length,) = struct.unpack(">I", file[at : at + 4])
        name, content = file[at + 4 : at + 8], file[at + 8 : at + 8 + length]
        assert struct.unpack(">I", file[at + 8 + length : at + 12 + length]) == (
            zlib.crc32(name + content),
        )
        found[name] = content
        at += 12 + length
    assert struct.unpack(">IIBB", found[b"IHDR"][:10])[:3] == (70, 50, depth)
    rows = zlib.decompress(found[b"IDAT"])
    assert len(rows) == 50 * (1 + 70 * channels * depth // 8)


def test_the_largest_photo_is_as_small_as_the_service_takes() -> None:
    assert len(callers.png(4096, 4096, depth=16, channels=4)) < 10 * 2**20


def test_every_base_of_an_image_can_be_stood_in_for() -> None:
    names = bases.named("gateway", "triton-cpu")
    assert {name.partition(":")[0] for name in names} <= {"debian", "rust", "node"}
    assert any(name.startswith("debian:") for name in names)


def test_prometheus_is_that_of_compose() -> None:
    assert f"image: {bases.PROMETHEUS}" in (ROOT / "deploy/compose/observe.yml").read_text()


def test_a_source_is_written_as_apt_reads_it() -> None:
    source = debian.Source("http://example.org/debian", "bookworm", "main")
    signed = "[signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]"
    assert source.line("trixie") == f"deb {signed} http://example.org/debian trixie main\n"


def test_a_second_engine_is_refused_while_the_first_runs(tmp_path: Path) -> None:
    with (
        daemon.alone(tmp_path / "lock"),
        pytest.raises(Failure, match="another"),
        daemon.alone(tmp_path / "lock"),
    ):
        pass
    with daemon.alone(tmp_path / "lock"):
        pass


def test_answers_are_counted_by_kind() -> None:
    good = callers.Answer(200, {"x-knockout-mode": "bbox"}, b"", 0.1)
    bad = callers.Answer(503, {}, b'{"error": "overloaded"}', 0.1)
    none = callers.Answer(0, {}, b"", 0.1)
    assert callers.count([good, bad, good, none]) == "2 x 200 bbox, 1 x 503 overloaded, 1 x none"


def test_the_images_are_those_of_the_files_that_are_proved() -> None:
    text = (ROOT / "docker-compose.yml").read_text()
    for image in swarm.IMAGES:
        registry, name = image.split("/")
        assert f"${{LACUNA_REGISTRY:-{registry}}}/{name}:" in text
    assert f"USER {inside.USER}:" in (ROOT / "deploy/docker/gateway.Dockerfile").read_text()
    assert compose.SAMPLES.joinpath("grid.heic").is_file()
