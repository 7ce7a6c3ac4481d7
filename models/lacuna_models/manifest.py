"""The list of published weights, ``weights.toml``."""

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lacuna_models.errors import ModelsError

MANIFEST = Path(__file__).with_name("weights.toml")

_KEYS = {"name", "model", "network", "urls", "bytes", "sha256", "licence"}


@dataclass(frozen=True)
class WeightsFile:
    """One published file."""

    name: str
    """Its name here, whatever it is called at its source."""
    model: str
    """The Triton model that is built from it."""
    network: str
    """Which of the model's networks it holds, where there are several; else empty."""
    urls: tuple[str, ...]
    """The source first, then mirrors."""
    bytes: int | None
    """Its exact size, where it is known."""
    sha256: str
    licence: str
    """SPDX identifier."""


def load_manifest(path: Path = MANIFEST) -> tuple[WeightsFile, ...]:
    """The files in the order of the manifest.

    Raises ``ModelsError`` if the manifest cannot be read or an entry is not of its form.
    """
    try:
        entries = tomllib.loads(path.read_text(encoding="utf-8"))["file"]
        return tuple(_parse(entry) for entry in entries)
    except (OSError, tomllib.TOMLDecodeError, KeyError, TypeError, ValueError) as error:
        raise ModelsError(f"{path} is not a list of weights: {error!r}") from error


def choose(manifest: tuple[WeightsFile, ...], model: str, network: str = "") -> list[WeightsFile]:
    """The files that ``model`` can be built from, the preferred one first."""
    files = [file for file in manifest if file.model == model]
    wanted = [file for file in files if not network or file.network == network]
    if not wanted:
        known = ", ".join(sorted({file.network for file in files if file.network})) or "none"
        raise ModelsError(f"no weights of {model} for the network {network!r}; known: {known}")
    return wanted


def _parse(entry: dict[str, Any]) -> WeightsFile:
    unknown = entry.keys() - _KEYS
    if unknown:
        raise ValueError(f"unknown keys {sorted(unknown)}")
    file = WeightsFile(
        name=entry["name"],
        model=entry["model"],
        network=entry.get("network", ""),
        urls=tuple(entry["urls"]),
        bytes=entry.get("bytes"),
        sha256=entry["sha256"],
        licence=entry["licence"],
    )
    if not re.fullmatch(r"[0-9a-f]{64}", file.sha256) or not file.urls:
        raise ValueError(f"{file.name} needs a sha256 of 64 hexadecimal digits and a URL")
    return file
