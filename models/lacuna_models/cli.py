"""The command line: ``python -m lacuna_models COMMAND``.

Modules are imported where they are used: ``compile`` and ``check`` run inside the Triton
image, which has neither onnx nor onnxruntime.
"""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from lacuna_models import artefact, tensorrt
from lacuna_models.errors import ModelsError

if TYPE_CHECKING:
    from lacuna_models.fetch import Fetcher

ROOT = Path(__file__).resolve().parents[2]
REPOSITORY = ROOT / "model_repository"
CACHE = ROOT / ".cache/models"
MODELS = ("lama", "birefnet")


def main(arguments: list[str] | None = None) -> int:
    """Runs one command and gives the exit status."""
    chosen = _parser().parse_args(arguments)
    try:
        chosen.run(chosen)
    except ModelsError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _fetch(chosen: argparse.Namespace) -> None:
    from lacuna_models.manifest import choose, load_manifest

    for model in chosen.models or MODELS:
        network = chosen.network if model == "birefnet" else ""
        _fetcher(chosen).fetch_any(choose(load_manifest(), model, network))


def _export(chosen: argparse.Namespace) -> None:
    from lacuna_models import export
    from lacuna_models.manifest import choose, load_manifest

    for model in chosen.models or MODELS:
        folder = artefact.version_folder(chosen.repository, model)
        network = chosen.network if model == "birefnet" else ""
        file, fetched = _fetcher(chosen).fetch_any(choose(load_manifest(), model, network))
        source = export.Source(file.name, fetched.sha256, fetched.verified, file.licence)
        if export.is_current(folder, source):
            _say(f"{model}: {folder / artefact.GRAPH} is up to date")
            continue
        write = export.export_lama if model == "lama" else export.export_birefnet
        write(fetched.path, folder, source, _say)
        _say(f"{model}: {folder / artefact.GRAPH}")


def _tiny(chosen: argparse.Namespace) -> None:
    from lacuna_models.export import write_tiny_lama

    made = chosen.target / "lama"
    for folder in ("1", "configs"):
        (made / folder).mkdir(parents=True, exist_ok=True)
    for part in ("config.pbtxt", "configs/cpu.pbtxt"):
        shutil.copyfile(chosen.repository / "lama" / part, made / part)
    write_tiny_lama(made / "1", chosen.seed)


def _compile(chosen: argparse.Namespace) -> None:
    builder = tensorrt.Builder(chosen.cache / "trtexec.timing", chosen.trtexec)
    for model in chosen.models or MODELS:
        if chosen.dry_run:
            _, call = tensorrt.plan_command(model, chosen.repository, chosen.precision, builder)
            print(shlex.join(call))
        else:
            tensorrt.compile_plan(model, chosen.repository, chosen.precision, builder, _say)


def _check(chosen: argparse.Namespace) -> None:
    for model in chosen.models or MODELS:
        machine = tensorrt.check_plan(model, chosen.repository)
        _say(f"{model}: its plan fits TensorRT {machine.tensorrt} on {machine.gpu}")


def _verify(chosen: argparse.Namespace) -> None:
    from lacuna_models import chain, verify

    links = chain.networks(chosen.model, chosen.repository, chosen.weights, chosen.triton)
    sides = chosen.sides or tensorrt.NETWORKS[chosen.model].sides
    cases = []
    for side in sides:
        for name, image in verify.pictures(chosen.photos, side):
            inputs = {"image": image}
            if chosen.model == "lama":
                inputs["mask"] = verify.hole(side)
            cases.append((side, name, inputs))
    print(verify.HEAD, flush=True)
    rows = verify.compare(cases, links, lambda row: print(row, flush=True))
    verify.refuse_over(rows, chosen.bound)


def _fetcher(chosen: argparse.Namespace) -> Fetcher:
    from lacuna_models.fetch import Fetcher

    given = os.environ.get("MODELS_FROM", "")
    source = Path(given).expanduser() if given else None
    if source is not None and not source.is_dir():
        raise ModelsError(f"MODELS_FROM names {source}, which is not a folder")
    unverified = os.environ.get("MODELS_UNVERIFIED", "")
    if unverified not in ("", "0", "1"):
        raise ModelsError(f"MODELS_UNVERIFIED is {unverified!r}; it may be 1, 0 or not set")
    return Fetcher(chosen.cache, source, unverified == "1", say=_say)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="lacuna_models",
        description="Published networks to served models.",
        epilog="MODELS_FROM names a folder to take the weights from instead of the internet; "
        "MODELS_UNVERIFIED=1 accepts files of another hash.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    places = argparse.ArgumentParser(add_help=False)
    places.add_argument("--repository", type=Path, default=REPOSITORY, help="the model repository")
    places.add_argument("--cache", type=Path, default=CACHE, help="where downloads are kept")
    several = argparse.ArgumentParser(add_help=False)
    several.add_argument("models", nargs="*", choices=[*MODELS, []], metavar="MODEL", help="all")
    network = argparse.ArgumentParser(add_help=False)
    network.add_argument(
        "--network",
        choices=("lite", "full", "deformable"),
        default="",
        help="which BiRefNet: lite (for CPUs), full (for GPUs), or deformable, which is full "
        "built from the weights; without it, the first of them that is to be had",
    )

    def command(
        name: str, run: object, help_: str, *parents: argparse.ArgumentParser
    ) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=help_, description=help_, parents=[places, *parents])
        made.set_defaults(run=run)
        return made

    command("fetch", _fetch, "download the published weights and check them", several, network)
    command("export", _export, "fetch, and build the ONNX graphs that are served", several, network)

    tiny = command("tiny", _tiny, "write a lama folder with a tiny random network, for tests")
    tiny.add_argument("target", type=Path, help="the model repository to write it into")
    tiny.add_argument("--seed", type=int, default=1)

    build = command("compile", _compile, "build the TensorRT plans (in the Triton image)", several)
    build.add_argument("--dry-run", action="store_true", help="print the commands only")
    build.add_argument(
        "--precision", choices=tuple(tensorrt.PRECISIONS), help="instead of the usual"
    )
    build.add_argument("--trtexec", type=Path, default=tensorrt.TRTEXEC)

    command("check", _check, "make sure that the plans were built for this machine", several)

    check = command("verify", _verify, "compare the networks' answers, and time them")
    check.add_argument("model", choices=MODELS)
    check.add_argument("--weights", type=Path, help="the published file, to compare with")
    check.add_argument("--triton", help="http://host:port of a Triton that serves the model")
    check.add_argument("--photos", type=Path, help="a folder of photos, beside the noise")
    check.add_argument("--sides", type=int, nargs="+", help="instead of all the model's sides")
    check.add_argument("--bound", type=int, default=1, help="largest difference in levels (1)")
    return parser


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
