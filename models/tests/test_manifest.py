"""The list of published weights."""

from pathlib import Path

import pytest

from lacuna_models.errors import ModelsError
from lacuna_models.manifest import choose, load_manifest

ENTRY = """
[[file]]
name = "a.pt"
model = "lama"
urls = ["https://example.org/a.pt"]
sha256 = "{sha256}"
licence = "MIT"
"""


def test_the_manifest_names_each_published_file_once() -> None:
    manifest = load_manifest()
    names = [file.name for file in manifest]
    assert names == [
        "big-lama.pt", "big-lama.zip",
        "birefnet_lite.onnx", "birefnet.onnx", "birefnet.safetensors",
    ]  # fmt: skip
    assert all(url.startswith("https://") for file in manifest for url in file.urls)


def test_urls_of_repositories_that_can_change_name_a_revision() -> None:
    for file in load_manifest():
        for url in file.urls:
            if "/resolve/" in url:
                revision = url.partition("/resolve/")[2].partition("/")[0]
                assert len(revision) == 40, url


def test_birefnet_is_lite_unless_the_full_network_is_asked_for() -> None:
    manifest = load_manifest()
    networks = [file.network for file in choose(manifest, "birefnet")]
    assert networks == ["lite", "full", "deformable"]
    assert [file.name for file in choose(manifest, "birefnet", "full")] == ["birefnet.onnx"]


def test_an_unknown_network_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ModelsError, match="known: deformable, full, lite"):
        choose(load_manifest(), "birefnet", "huge")


@pytest.mark.parametrize(
    "text",
    ["[[file]\n", "[[file]]\nname = 'a'\n", ENTRY.format(sha256="12"), "nothing = 1\n",
     ENTRY.format(sha256="0" * 64) + "speed = 3\n"],
    ids=["not TOML", "keys missing", "short hash", "no files", "unknown key"],
)  # fmt: skip
def test_a_manifest_of_another_form_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "weights.toml"
    path.write_text(text)
    with pytest.raises(ModelsError, match="not a list of weights"):
        load_manifest(path)
