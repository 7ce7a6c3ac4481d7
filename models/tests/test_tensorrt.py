"""Plans: the commands, and the check of a plan against the machine.

``trtexec``, TensorRT's library and ``nvidia-smi`` are small stand-ins here; the commands run
as they do in the Triton image, in a process of their own.
"""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from lacuna_models import artefact
from lacuna_models.errors import ModelsError
from lacuna_models.tensorrt import Builder, command, plan_command

PACKAGE = Path(__file__).resolve().parents[1]

TRTEXEC = """#!/bin/sh
for each in "$@"; do
  case "$each" in --saveEngine=*) plan="${each#--saveEngine=}";; esac
done
printf '%s\\n' "$@" > "$(dirname "$0")/called"
[ -e "$(dirname "$0")/fails" ] && { echo half > "$plan"; exit 1; }
[ -e "$(dirname "$0")/silent" ] && exit 0
echo "a plan" > "$plan"
"""

SMI = """#!/bin/sh
cat "$(dirname "$0")/gpus"
"""

LIBRARY = "int getInferLibVersion(void) { return %d; }\n"


class Image:
    """A machine like the Triton image, with a model repository in it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.tools = root / "tools"
        self.repository = root / "model_repository"
        self.tools.mkdir()
        self.script("trtexec", TRTEXEC)
        self.script("nvidia-smi", SMI)
        self.gpus("NVIDIA L4, 8.9\n")
        self.tensorrt(100500)
        for model, batch in (("lama", 4), ("birefnet", 1)):
            folder = self.folder(model)
            folder.mkdir(parents=True)
            graph = folder / artefact.GRAPH
            graph.write_text(f"the graph of {model}")
            stated = {"sha256": artefact.sha256_of(graph), "largest_batch": batch}
            artefact.write_manifest(folder, "onnx", stated)
            self.configure(model, batch)

    def configure(self, model: str, batch: int) -> None:
        text = f'name: "{model}"\nmax_batch_size: {batch}\n'
        (self.repository / model / "config.pbtxt").write_text(text)

    def folder(self, model: str) -> Path:
        return self.repository / model / "1"

    def script(self, name: str, text: str) -> None:
        (self.tools / name).write_text(text)
        (self.tools / name).chmod(0o755)

    def gpus(self, text: str) -> None:
        (self.tools / "gpus").write_text(text)

    def tensorrt(self, version: int) -> None:
        source = self.tools / "nvinfer.c"
        source.write_text(LIBRARY % version)
        library = self.tools / "libnvinfer.so.10"
        call = ["gcc", "-shared", "-fPIC", "-o", str(library), str(source)]
        subprocess.run(call, check=True)

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        environment = os.environ | {
            "PYTHONPATH": str(PACKAGE),
            "PATH": f"{self.tools}:{os.environ['PATH']}",
            "LD_LIBRARY_PATH": str(self.tools),
            "NVIDIA_TRITON_SERVER_VERSION": "24.10",
        }
        places = ["--repository", str(self.repository), "--cache", str(self.root / "cache")]
        call = [sys.executable, "-m", "lacuna_models", arguments[0], *places, *arguments[1:]]
        return subprocess.run(call, env=environment, capture_output=True, text=True, check=False)

    def compile(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self.run("compile", "--trtexec", str(self.tools / "trtexec"), *arguments)


@pytest.fixture
def image(tmp_path: Path) -> Image:
    return Image(tmp_path)


def test_lama_has_a_profile_for_each_side_and_batches_of_four() -> None:
    call = command("lama", Path("/m/lama/1"), "tf32", 4, Builder(Path("/c/t")))
    assert call == [
        "/usr/src/tensorrt/bin/trtexec",
        "--onnx=/m/lama/1/model.onnx",
        "--saveEngine=/m/lama/1/model.plan.part",
        "--timingCacheFile=/c/t",
        "--skipInference",
        *(
            flag
            for number, side in enumerate((256, 512, 768, 1024))
            for flag in (
                f"--profile={number}",
                f"--minShapes=image:1x{side}x{side}x3,mask:1x{side}x{side}x1",
                f"--optShapes=image:1x{side}x{side}x3,mask:1x{side}x{side}x1",
                f"--maxShapes=image:4x{side}x{side}x3,mask:4x{side}x{side}x1",
            )
        ),
    ]


def test_precisions_are_flags_of_trtexec() -> None:
    def flags(model: str, precision: str) -> set[str]:
        call = command(model, Path("/m/x/1"), precision, 1, Builder(Path("/c/t")))
        return {flag for flag in call if flag in ("--fp16", "--noTF32")}

    assert flags("lama", "fp32") == {"--noTF32"}
    assert flags("lama", "tf32") == set()
    assert flags("birefnet", "fp16") == {"--fp16"}


def test_lama_is_not_built_in_half_precision() -> None:
    with pytest.raises(ModelsError, match=r"lama is not built in fp16; choose one of fp32, tf32"):
        command("lama", Path("/m/lama/1"), "fp16", 4, Builder(Path("/c/t")))


def test_a_dry_run_prints_exactly_what_a_build_calls(image: Image) -> None:
    printed = image.compile("--dry-run")
    assert printed.returncode == 0, printed.stderr
    calls = [shlex.split(line) for line in printed.stdout.splitlines()]
    assert [call[0] for call in calls] == [str(image.tools / "trtexec")] * 2
    assert "--fp16" not in calls[0]
    assert "--fp16" in calls[1]
    assert "--maxShapes=image:1x1024x1024x3" in calls[1]
    assert not (image.tools / "called").exists()
    assert image.compile("birefnet").returncode == 0
    assert (image.tools / "called").read_text().splitlines() == calls[1][1:]


def test_a_plan_states_what_it_is_bound_to(image: Image) -> None:
    built = image.compile()
    assert built.returncode == 0, built.stderr
    plan = json.loads((image.folder("lama") / "manifest.json").read_text())["plan"]
    graph, made = image.folder("lama") / "model.onnx", image.folder("lama") / "model.plan"
    assert plan["machine"] == {
        "tensorrt": "10.5.0",
        "gpu": "NVIDIA L4",
        "compute_capability": "8.9",
    }
    assert plan["image"] == "24.10"
    assert plan["onnx_sha256"] == artefact.sha256_of(graph)
    assert plan["sha256"] == artefact.sha256_of(made)
    assert "--profile=3" in plan["flags"]
    assert image.run("check").returncode == 0


def replace_plan(image: Image) -> None:
    (image.folder("lama") / "model.plan").write_text("another plan")


def replace_graph(image: Image) -> None:
    artefact.write_manifest(image.folder("lama"), "onnx", {"sha256": "1" * 64})


def remove_plan(image: Image) -> None:
    (image.folder("lama") / "model.plan").unlink()


def damage_manifest(image: Image) -> None:
    (image.folder("lama") / "manifest.json").write_text("{")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda image: image.tensorrt(100600), "built for tensorrt 10.5.0, but here it is 10.6.0"),
        (lambda image: image.gpus("NVIDIA A10, 8.6\n"), "built for gpu NVIDIA L4, but here it is NVIDIA A10"),
        (lambda image: image.gpus("NVIDIA L4, 9.0\n"), "compute capability 8.9, but here it is 9.0"),
        (lambda image: image.gpus("NVIDIA L4, 8.9\nNVIDIA A10, 8.6\n"), "different GPUs (NVIDIA A10, NVIDIA L4)"),
        (lambda image: image.gpus(""), "nvidia-smi finds no GPU"),
        (lambda image: (image.tools / "libnvinfer.so.10").unlink(), "TensorRT (libnvinfer.so) is not here"),
        (replace_plan, "is not the plan that its manifest describes"),
        (replace_graph, "was built from another model.onnx"),
        (remove_plan, "has no plan with its manifest"),
        (damage_manifest, "manifest.json is damaged"),
    ],
)  # fmt: skip
def test_a_plan_that_does_not_fit_is_not_served(image: Image, change: object, message: str) -> None:
    assert image.compile("lama").returncode == 0
    assert callable(change)
    change(image)
    checked = image.run("check", "lama")
    assert checked.returncode == 1
    assert message in checked.stderr
    assert "Traceback" not in checked.stderr


@pytest.mark.parametrize("fault", ["fails", "silent"])
def test_a_build_that_fails_leaves_the_older_plan(image: Image, fault: str) -> None:
    assert image.compile("lama").returncode == 0
    (image.tools / fault).touch()
    failed = image.compile("lama")
    assert failed.returncode == 1
    assert "trtexec ended with status" in failed.stderr
    assert image.run("check", "lama").returncode == 0
    assert sorted(each.name for each in image.folder("lama").iterdir()) == [
        "manifest.json", "model.onnx", "model.plan"
    ]  # fmt: skip


def test_without_trtexec_the_error_says_where_to_build(image: Image) -> None:
    failed = image.run("compile", "lama")
    assert failed.returncode == 1
    assert "inside the Triton image" in failed.stderr


def test_the_plan_is_for_the_batches_that_triton_makes(image: Image) -> None:
    image.configure("lama", 3)
    assert "--maxShapes=image:3x256x256x3,mask:3x256x256x1" in image.compile("--dry-run").stdout
    image.configure("birefnet", 2)
    failed = image.compile("--dry-run", "birefnet")
    assert failed.returncode == 1
    assert "max_batch_size 2, but birefnet's graph takes batches of 1 at most" in failed.stderr


def test_a_model_that_was_not_exported_is_not_compiled(tmp_path: Path) -> None:
    (tmp_path / "lama/1").mkdir(parents=True)
    with pytest.raises(ModelsError, match="run: export lama"):
        plan_command("lama", tmp_path, None, Builder(tmp_path / "t"))
