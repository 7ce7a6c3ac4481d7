"""From published files to the model repository, through the command line."""

import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from lacuna_models import artefact, cli, export
from lacuna_models.errors import ModelsError
from lacuna_models.lama.architecture import BIG_LAMA, TINY_LAMA
from tests import doubles

SOURCE = export.Source("big-lama.pt", "0" * 64, verified=False, licence="Apache-2.0")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    for model in ("lama", "birefnet"):
        (tmp_path / "repository" / model / "1").mkdir(parents=True)
    return tmp_path / "repository"


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A folder like the one that MODELS_FROM names, with LaMa in a size for tests."""
    folder = tmp_path / "files"
    folder.mkdir()
    doubles.write_torchscript(folder / "big-lama.pt", doubles.lama_tensors())
    onnx.save(doubles.segmenter(), folder / "birefnet_lite.onnx")
    return folder


def contents(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir())


def quiet(_: str) -> None: ...


def test_lama_is_written_whole_and_described(repository: Path, files: Path) -> None:
    folder = repository / "lama/1"
    export.export_lama(files / "big-lama.pt", folder, SOURCE, quiet, TINY_LAMA)
    assert contents(folder) == ["manifest.json", "model.onnx"]
    stated = json.loads((folder / "manifest.json").read_text())["onnx"]
    assert stated["sha256"] == artefact.sha256_of(folder / "model.onnx")
    assert stated["source"]["verified"] is False
    assert stated["largest_batch"] == 4
    session = export.open_session(folder / "model.onnx")
    types = {each.name: (each.type, each.shape[3]) for each in session.get_inputs()}
    assert types == {"image": ("tensor(uint8)", 3), "mask": ("tensor(uint8)", 1)}


def test_checkpoint_and_torchscript_give_the_same_graph(repository: Path, tmp_path: Path) -> None:
    graphs = set()
    for write in (doubles.write_checkpoint, doubles.write_torchscript, doubles.write_published_zip):
        write(tmp_path / "weights", doubles.lama_tensors())
        export.export_lama(tmp_path / "weights", repository / "lama/1", SOURCE, quiet, TINY_LAMA)
        graphs.add(artefact.sha256_of(repository / "lama/1/model.onnx"))
    assert len(graphs) == 1


def test_a_missing_key_ends_with_its_name_and_nothing_written(
    repository: Path, tmp_path: Path
) -> None:
    tensors = doubles.lama_tensors()
    del tensors["generator.model.6.conv2.ffc.convg2g.fu.bn.bias"]
    doubles.write_checkpoint(tmp_path / "weights", tensors)
    with pytest.raises(
        ModelsError, match=r"missing from .*model\.6\.conv2\.ffc\.convg2g\.fu\.bn\.bias"
    ):
        export.export_lama(tmp_path / "weights", repository / "lama/1", SOURCE, quiet, TINY_LAMA)
    assert contents(repository / "lama/1") == []


@pytest.mark.parametrize("name", ["model.onnx.part", "manifest.json.part"])
def test_a_full_disk_ends_with_a_clear_error_and_nothing_written(
    repository: Path, files: Path, name: str
) -> None:
    folder = repository / "lama/1"
    (folder / name).symlink_to("/dev/full")
    with pytest.raises(ModelsError, match="no space left in"):
        export.export_lama(files / "big-lama.pt", folder, SOURCE, quiet, TINY_LAMA)
    assert contents(folder) == []


def test_a_failed_export_leaves_the_older_graph(repository: Path, files: Path) -> None:
    folder = repository / "birefnet/1"
    export.export_birefnet(files / "birefnet_lite.onnx", folder, SOURCE, quiet)
    before = artefact.sha256_of(folder / "model.onnx")
    with pytest.raises(ModelsError, match="no input named input_image"):
        export.export_birefnet(folder / "model.onnx", folder, SOURCE, quiet)
    (files / "page.onnx").write_text("<!DOCTYPE html>")
    with pytest.raises(ModelsError, match="is not an ONNX file"):
        export.export_birefnet(files / "page.onnx", folder, SOURCE, quiet)
    assert artefact.sha256_of(folder / "model.onnx") == before
    assert export.is_current(folder, SOURCE)


def run(repository: Path, *arguments: str) -> int:
    cache = repository.parent / "cache"
    places = ["--repository", str(repository), "--cache", str(cache)]
    return cli.main([arguments[0], *places, *arguments[1:]])


def test_the_command_refuses_files_that_are_not_the_published_ones(
    repository: Path,
    files: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("MODELS_FROM", str(files))
    monkeypatch.delenv("MODELS_UNVERIFIED", raising=False)
    assert run(repository, "export") == 1
    said = capsys.readouterr().err
    assert "error: " in said
    assert "not the published file" in said
    assert contents(repository / "lama/1") == []


def test_the_command_takes_them_when_told_to_and_does_the_work_once(
    repository: Path,
    files: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("MODELS_FROM", str(files))
    monkeypatch.setenv("MODELS_UNVERIFIED", "1")
    assert run(repository, "export", "birefnet") == 0
    assert "NOT THE PUBLISHED FILE" in capsys.readouterr().err
    assert contents(repository / "birefnet/1") == ["manifest.json", "model.onnx"]
    assert run(repository, "export", "birefnet") == 0
    assert "is up to date" in capsys.readouterr().err
    # A graph that is not the one of the manifest is built anew.
    (repository / "birefnet/1/model.onnx").write_text("damaged")
    assert run(repository, "export", "birefnet") == 0
    onnx.checker.check_model(repository / "birefnet/1/model.onnx")


def test_the_full_network_serves_where_it_is_all_there_is(
    repository: Path,
    files: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (files / "birefnet_lite.onnx").rename(files / "birefnet.onnx")
    monkeypatch.setenv("MODELS_FROM", str(files))
    monkeypatch.setenv("MODELS_UNVERIFIED", "1")
    assert run(repository, "export", "birefnet", "--network", "lite") == 1
    assert f"{files} has no birefnet_lite.onnx" in capsys.readouterr().err
    assert run(repository, "export", "birefnet") == 0


def test_the_doubles_of_published_shape_are_what_each_network_asks_for(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The shape of LaMa, which takes minutes to export, has nothing to do with it.
    monkeypatch.setattr(doubles, "BIG_LAMA", TINY_LAMA)
    doubles.main([str(tmp_path / "doubles"), "--full"])
    monkeypatch.setenv("MODELS_FROM", str(tmp_path / "doubles"))
    monkeypatch.setenv("MODELS_UNVERIFIED", "1")
    for network in ("lite", "full"):
        assert run(repository, "export", "birefnet", "--network", network) == 0


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("MODELS_FROM", "/nowhere", "MODELS_FROM names /nowhere, which is not a folder"),
        ("MODELS_UNVERIFIED", "yes", "MODELS_UNVERIFIED is 'yes'; it may be 1, 0 or not set"),
    ],
)
def test_bad_settings_are_named(
    repository: Path, variable: str, value: str, message: str,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setenv(variable, value)
    assert run(repository, "fetch") == 1
    assert message in capsys.readouterr().err


def test_a_folder_that_is_no_repository_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path, "export") == 1
    assert f"is {tmp_path} the model repository?" in capsys.readouterr().err


def test_the_tiny_lama_is_a_model_folder_of_its_own(tmp_path: Path) -> None:
    assert cli.main(["tiny", str(tmp_path)]) == 0
    made = sorted(str(each.relative_to(tmp_path)) for each in tmp_path.rglob("*") if each.is_file())
    assert made == [
        "lama/1/manifest.json", "lama/1/model.onnx",
        "lama/config.pbtxt", "lama/configs/cpu.pbtxt",
    ]  # fmt: skip
    assert (tmp_path / "lama/1/model.onnx").stat().st_size < 2 << 20
    session = onnxruntime.InferenceSession(str(tmp_path / "lama/1/model.onnx"))
    image = np.full((1, 512, 512, 3), 90, np.uint8)
    (answer,) = session.run(
        None, {"image": image, "mask": np.full((1, 512, 512, 1), 255, np.uint8)}
    )
    assert answer.shape == image.shape
    assert answer.std() > 5


def test_the_double_of_the_published_file_is_of_its_size(tmp_path: Path) -> None:
    """The published file has TorchScript code beside the same 51 million numbers."""
    doubles.write_torchscript(tmp_path / "big-lama.pt", doubles.lama_tensors(BIG_LAMA))
    assert 0 < 205_669_692 - (tmp_path / "big-lama.pt").stat().st_size < 2_000_000
