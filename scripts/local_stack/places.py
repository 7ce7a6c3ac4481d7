"""Where everything lies, relative to the root of the repository."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
REPOSITORY = ROOT / "model_repository"
SHARED_PYTHON = ROOT / "triton"
REQUIREMENTS = (ROOT / "requirements/tritonserver.txt", ROOT / "requirements/triton.txt")
DEV_REQUIREMENTS = ROOT / "requirements/dev.txt"

TRITON_HOME = ROOT / ".triton"
VENV = TRITON_HOME / "venv"
STAMP = TRITON_HOME / "stamp.json"
LOCK = TRITON_HOME / "lock"
LOGS = TRITON_HOME / "logs"

ISNET_WEIGHTS = REPOSITORY / "isnet/1/model.onnx"
