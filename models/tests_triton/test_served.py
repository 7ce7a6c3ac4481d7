"""``lama`` and ``birefnet`` in a real Triton, with small networks.

A suite of its own, since it needs the local Triton (``python3 scripts/stack.py setup``):
``pytest tests_triton``. It fails where that is not installed. Triton is started here and not
by ``stack.py``, since the repository is another one and configurations are loaded strictly:
nothing in them is completed by Triton.
"""

import json
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from lacuna_models import chain, cli, export, verify
from lacuna_models.errors import ModelsError
from lacuna_models.served import Served
from tests import doubles
from tests.test_export import SOURCE, quiet

SERVER = cli.ROOT / ".triton/server"
PATIENCE_S = 60


class Triton:
    """A server on a port of its own, with its output in a file."""

    def __init__(self, repository: Path, log: Path, *, configuration: str | None) -> None:
        if not SERVER.is_dir():
            raise RuntimeError(f"{SERVER} is missing: run python3 scripts/stack.py setup")
        self.address = f"http://127.0.0.1:{free_port()}"
        self.log = log
        call = [
            str(SERVER / "bin/tritonserver"),
            f"--model-repository={repository}",
            f"--backend-directory={SERVER / 'backends'}",
            "--model-control-mode=explicit",
            "--load-model=lama",
            "--load-model=birefnet",
            "--disable-auto-complete-config",
            "--http-address=127.0.0.1",
            f"--http-port={self.address.rpartition(':')[2]}",
            "--allow-grpc=false",
            "--allow-metrics=false",
        ]
        if configuration:
            call.append(f"--model-config-name={configuration}")
        with log.open("wb") as output:
            self.process = subprocess.Popen(call, stdout=output, stderr=subprocess.STDOUT)

    def ready(self) -> bool:
        """Whether every model is; raises ``AssertionError`` when it takes too long."""
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end and self.process.poll() is None:
            try:
                self.get("/v2/health/ready")
                return True
            except OSError:
                time.sleep(0.1)
        assert self.process.poll() is not None, f"not ready in {PATIENCE_S} s: {self.said()}"
        return False

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(self.address + path, timeout=5) as answer:
            body = answer.read()
        return json.loads(body) if body else None

    def said(self) -> str:
        return self.log.read_text(errors="replace")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(repository: Path, log: Path, configuration: str | None) -> Iterator[Triton]:
    server = Triton(repository, log, configuration=configuration)
    try:
        yield server
    finally:
        server.process.terminate()
        try:
            server.process.wait(20)
        except subprocess.TimeoutExpired:
            server.process.kill()
            server.process.wait()


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("repository")
    assert cli.main(["tiny", str(root)]) == 0
    (root / "birefnet").mkdir()
    for part in ("1", "configs"):
        pattern = shutil.ignore_patterns("*.onnx", "*.plan", "manifest.json", "__pycache__")
        shutil.copytree(
            cli.REPOSITORY / "birefnet" / part, root / "birefnet" / part, ignore=pattern
        )
    shutil.copyfile(cli.REPOSITORY / "birefnet/config.pbtxt", root / "birefnet/config.pbtxt")
    onnx.save(doubles.segmenter(), root / "birefnet.onnx")
    export.export_birefnet(root / "birefnet.onnx", root / "birefnet/1", SOURCE, quiet)
    return root


@pytest.fixture(scope="module")
def triton(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Triton]:
    log = tmp_path_factory.mktemp("log") / "triton.log"
    with running(repository, log, "cpu") as server:
        assert server.ready(), server.said()
        yield server


def picture(side: int, batch: int = 1) -> dict[str, verify.Bytes]:
    rng = np.random.default_rng(side)
    image = rng.integers(0, 256, (batch, side, side, 3), dtype=np.uint8)
    return {"image": image, "mask": np.repeat(verify.hole(side), batch, axis=0)}


@pytest.mark.parametrize("side", [256, 512, 768, 1024])
def test_lama_answers_as_its_graph_does(triton: Triton, repository: Path, side: int) -> None:
    inputs = picture(side)
    answer = Served(triton.address, "lama")(inputs, "output")
    assert (answer == chain.graph(repository / "lama/1/model.onnx")(inputs)).all()


def test_birefnet_answers_as_its_graph_does(triton: Triton, repository: Path) -> None:
    inputs = {"image": picture(1024)["image"]}
    answer = Served(triton.address, "birefnet")(inputs, "alpha")
    assert answer.shape == (1, 1024, 1024, 1)
    assert (answer == chain.graph(repository / "birefnet/1/model.onnx")(inputs)).all()


def test_a_batch_is_answered_item_by_item(triton: Triton) -> None:
    served, inputs = Served(triton.address, "lama"), picture(256, batch=4)
    together = served(inputs, "output")
    for number in range(4):
        alone = {name: array[number : number + 1] for name, array in inputs.items()}
        assert (together[number] == served(alone, "output")[0]).all()


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (picture(320), "the image has side 320, but the model serves only 256, 512, 768, 1024"),
        (picture(256, batch=5), "batch"),
        ({"image": picture(256)["image"], "mask": verify.hole(512)}, "squares of one side"),
    ],
    ids=["side", "batch", "mask of another side"],
)
def test_what_lama_does_not_serve_is_refused_with_the_reason(
    triton: Triton, inputs: dict[str, verify.Bytes], message: str
) -> None:
    with pytest.raises(ModelsError, match=message):
        Served(triton.address, "lama")(inputs, "output")


@pytest.mark.parametrize(("model", "label"), [("lama", "big-lama"), ("birefnet", "birefnet")])
def test_both_configurations_make_the_same_contract(triton: Triton, model: str, label: str) -> None:
    cpu = triton.get(f"/v2/models/{model}/config")
    assert cpu["parameters"]["label"]["string_value"] == label
    policy = cpu["dynamic_batching"]["default_queue_policy"]
    assert policy["allow_timeout_override"] is True
    assert policy["timeout_action"] == "REJECT"
    assert int(policy["default_timeout_microseconds"]) > 0
    assert cpu["model_warmup"]
    written = {
        name: (cli.REPOSITORY / model / name).read_text()
        for name in ("config.pbtxt", "configs/cpu.pbtxt")
    }

    def contract(text: str) -> list[str]:
        label = 'parameters { key: "label"'
        kept = ("name:", "max_batch_size", label, "input", "output", "  { name:")
        return [line for line in text.splitlines() if line.startswith(kept)]

    assert contract(written["config.pbtxt"]) == contract(written["configs/cpu.pbtxt"])


@pytest.mark.parametrize(
    ("graph", "reason"),
    [
        (None, "birefnet/1 holds neither model.onnx nor model_<side>.onnx"),
        (b"not a graph", "birefnet/1/model.onnx: "),
        ("lama/1/model.onnx", 'the graph takes {"image", "mask"}, not {"image"}'),
    ],
    ids=["missing", "damaged", "of another model"],
)
def test_a_graph_that_cannot_be_served_is_not_loaded_and_the_log_says_why(
    graph: bytes | str | None, reason: str, repository: Path, tmp_path: Path
) -> None:
    root = tmp_path / "repository"
    shutil.copytree(repository, root)
    served = root / "birefnet/1/model.onnx"
    served.unlink()
    if isinstance(graph, bytes):
        served.write_bytes(graph)
    elif graph:
        shutil.copyfile(root / graph, served)
    with running(root, tmp_path / "log", "cpu") as server:
        assert not server.ready(), "a model that cannot be loaded ends the start"
        assert f"failed to load 'birefnet' version 1: Invalid argument: {root}" in server.said()
        assert reason in server.said()


def test_the_configurations_for_plans_are_accepted_up_to_the_missing_backend(
    repository: Path, tmp_path: Path
) -> None:
    """This Triton has no TensorRT; it reads and checks the configurations all the same."""
    for model in ("lama", "birefnet"):
        (repository / model / "1/model.plan").write_bytes(b"not a plan")
    try:
        with running(repository, tmp_path / "log", None) as server:
            assert not server.ready()
            said = server.said()
    finally:
        for model in ("lama", "birefnet"):
            (repository / model / "1/model.plan").unlink()
    for model in ("lama", "birefnet"):
        assert f"failed to load '{model}'" in said
    complaints = [line for line in said.splitlines() if "Invalid argument" in line]
    assert complaints
    assert all(
        "unable to find backend library for backend 'tensorrt'" in line for line in complaints
    )
