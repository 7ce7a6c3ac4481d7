"""Paths, based on the repository root."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
REPOSITORY = ROOT / "model_repository"
REQUIREMENTS = ROOT / "requirements/triton.txt"

TRITON_HOME = ROOT / ".triton"
SERVER = TRITON_HOME / "server"
"""A link to the installed Triton."""
LOCK = TRITON_HOME / "lock"
LOGS = TRITON_HOME / "logs"

ISNET_WEIGHTS = REPOSITORY / "isnet/1/model.onnx"
