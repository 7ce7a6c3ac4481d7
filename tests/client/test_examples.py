"""The examples of the documentation, run as they are."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image, ImageChops

from conftest import MANY, PHOTOS, ROOT

EXAMPLES = ROOT / "tests" / "examples"


@pytest.mark.parametrize(
    "command",
    [
        ["sh", str(EXAMPLES / "erase.sh")],
        [sys.executable, str(EXAMPLES / "erase.py")],
        ["node", "--no-warnings", str(EXAMPLES / "erase.mjs")],
        ["go", "run", str(EXAMPLES / "erase.go")],
        [str(ROOT / "target" / "release" / "examples" / "erase")],
    ],
    ids=["curl", "python", "javascript", "go", "rust"],
)
def test_an_example_shows_and_erases_the_subject(
    command: list[str], url: str, tmp_path: Path
) -> None:
    photo, mask, result = PHOTOS / "coffee.jpg", tmp_path / "mask.png", tmp_path / "out.png"
    environment = os.environ | {"LACUNA_TOKEN": MANY}
    subprocess.run([*command, url, photo, mask, result], env=environment, check=True, timeout=300)
    with Image.open(photo) as before, Image.open(mask) as erased, Image.open(result) as after:
        assert erased.mode == "L" and erased.size == before.size == after.size
        assert erased.getpixel((300, 200)) == 255
        changed = ImageChops.difference(before.convert("RGB"), after.convert("RGB")).getbbox()
    assert changed is not None
