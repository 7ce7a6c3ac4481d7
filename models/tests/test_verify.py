"""The comparison of networks, and the photos and masks that it uses."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
import pytest
from PIL import Image

from lacuna_models import chain, cli, export, verify
from lacuna_models.errors import ModelsError
from lacuna_models.served import Served
from lacuna_models.verify import Bytes, compare, pictures, refuse_over
from tests import doubles
from tests.test_export import SOURCE, quiet


def darker(by: int) -> verify.Network:
    def answer(inputs: Mapping[str, Bytes]) -> Bytes:
        return (inputs["image"] - np.uint8(by)).astype(np.uint8)

    return answer


def case(level: int = 100) -> tuple[int, str, Mapping[str, Bytes]]:
    return 256, "flat", {"image": np.full((1, 256, 256, 3), level, np.uint8)}


def test_the_largest_and_the_mean_difference_are_found() -> None:
    def one_pixel(inputs: Mapping[str, Bytes]) -> Bytes:
        answer = inputs["image"].copy()
        answer[0, 5, 7, 1] += 9
        return answer

    said: list[str] = []
    networks = {"a": darker(0), "b": one_pixel, "c": darker(2)}
    rows = compare([case()], networks, said.append)
    assert [(row.compared, row.largest) for row in rows] == [("b / a", 9), ("c / a", 2)]
    assert rows[0].mean == pytest.approx(9 / (256 * 256 * 3))
    assert rows[1].mean == 2
    assert len(said) == 2


def test_the_mean_is_that_of_the_hole() -> None:
    mask = np.zeros((1, 256, 256, 1), np.uint8)
    mask[0, 0, 0] = 255
    side, name, inputs = case()

    def in_the_hole(inputs: Mapping[str, Bytes]) -> Bytes:
        answer = inputs["image"].copy()
        answer[0, 0, 0] += 6
        return answer

    networks = {"a": darker(0), "b": in_the_hole}
    (row,) = compare([(side, name, {**inputs, "mask": mask})], networks, quiet)
    assert row.mean == 6


def test_differences_do_not_wrap_around() -> None:
    (row,) = compare([case(level=1)], {"a": darker(0), "b": darker(2)}, quiet)
    assert row.largest == 254


def test_a_difference_over_the_bound_is_refused() -> None:
    rows = compare([case()], {"a": darker(0), "b": darker(2)}, quiet)
    refuse_over(rows, 2)
    with pytest.raises(ModelsError, match=r"1 of 1 comparisons .* worst by 2, at side 256 on flat"):
        refuse_over(rows, 1)


def test_an_answer_of_another_shape_is_refused() -> None:
    networks = {"a": darker(0), "b": lambda inputs: inputs["image"][:, :8]}
    with pytest.raises(ModelsError, match=r"b answers \(1, 8, 256, 3\)"):
        compare([case()], networks, quiet)


def test_photos_are_cut_at_their_own_resolution_or_enlarged(tmp_path: Path) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (400, 600, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    found = dict(pictures(tmp_path, 256))
    assert found.keys() == {"noise", "photo"}
    assert (found["photo"][0] == pixels[72:328, 172:428]).all()
    assert dict(pictures(tmp_path, 512))["photo"].shape == (1, 512, 512, 3)


def test_a_folder_without_photos_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelsError, match="holds no JPEG or PNG"):
        list(pictures(tmp_path, 256))


def test_verify_needs_two_networks(tmp_path: Path) -> None:
    (tmp_path / "birefnet/1").mkdir(parents=True)
    with pytest.raises(ModelsError, match="is not there yet; export it first"):
        chain.networks("birefnet", tmp_path, None, None)
    onnx.save(doubles.segmenter(), tmp_path / "birefnet/1/model.onnx")
    with pytest.raises(ModelsError, match="nothing to compare"):
        chain.networks("birefnet", tmp_path, None, None)


def test_the_command_compares_birefnet_with_its_published_graph(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, published = tmp_path / "birefnet/1", tmp_path / "birefnet_lite.onnx"
    folder.mkdir(parents=True)
    onnx.save(doubles.segmenter(), published)
    export.export_birefnet(published, folder, SOURCE, quiet)
    call = ["verify", "birefnet", "--repository", str(tmp_path), "--weights", str(published)]
    assert cli.main(call) == 0
    assert "| 1024 | noise | ONNX / published | " in capsys.readouterr().out
    other = tmp_path / "other.onnx"
    onnx.save(doubles.segmenter(channels=6), other)
    assert cli.main([*call[:-1], str(other)]) == 1
    assert "differ by more than 1 level" in capsys.readouterr().err


def test_a_triton_that_is_not_there_is_named() -> None:
    with pytest.raises(ModelsError, match="Triton cannot be reached at http://127"):
        Served("http://127.0.0.1:9", "lama")({"image": case()[2]["image"]}, "output")
