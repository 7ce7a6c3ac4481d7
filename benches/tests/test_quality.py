"""The pure functions that the measured quality rests on."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageFilter

import photos
from quality import holes, report
from quality.cases import DILATION, Case, plan
from quality.contestants import theirs
from quality.metrics import Marks, marks

Pixels = NDArray[np.uint8]
Hole = NDArray[np.bool_]


@pytest.fixture
def photo() -> Pixels:
    return photos.small("coffee")


@pytest.fixture
def hole(photo: Pixels) -> Hole:
    return _disc(photo, 200, 300, 60)


def _disc(photo: Pixels, y: int, x: int, radius: int) -> Hole:
    rows, columns = np.ogrid[: photo.shape[0], : photo.shape[1]]
    disc: Hole = (rows - y) ** 2 + (columns - x) ** 2 <= radius**2
    return disc


def _changed(photo: Pixels, hole: Hole, change: Callable[[Image.Image], Image.Image]) -> Pixels:
    changed = np.asarray(change(Image.fromarray(photo)))
    return np.where(hole[:, :, None], changed, photo)


def _blur(radius: float) -> Callable[[Image.Image], Image.Image]:
    return lambda image: image.filter(ImageFilter.GaussianBlur(radius))


def test_the_truth_itself_gets_the_best_marks(photo: Pixels, hole: Hole) -> None:
    best = marks(photo, photo, hole, hole)
    assert best.psnr == np.inf
    assert best.ssim == pytest.approx(1)
    assert best.seam == pytest.approx(1)


def test_a_texture_that_goes_on_is_as_sharp_as_its_surroundings() -> None:
    grain = np.random.default_rng(1).integers(0, 256, (400, 400, 3), np.uint8)
    hole = _disc(grain, 200, 200, 60)
    best = marks(grain, grain, hole, hole)
    assert best.sharpness == pytest.approx(1, abs=0.03)


def test_blur_lowers_the_sharpness_the_more_the_wider_it_is(photo: Pixels, hole: Hole) -> None:
    sharpness = [marks(photo, photo, hole, hole).sharpness] + [
        marks(photo, _changed(photo, hole, _blur(radius)), hole, hole).sharpness
        for radius in (0.5, 1, 3)
    ]
    assert sharpness == sorted(sharpness, reverse=True)
    assert sharpness[-1] < sharpness[0] / 2


def test_a_fill_of_another_colour_has_a_seam_and_stays_sharp(photo: Pixels, hole: Hole) -> None:
    darker = _changed(photo, hole, lambda image: image.point(lambda level: level * 0.7))
    assert marks(photo, darker, hole, hole).seam > 2
    shifted = marks(photo, darker, hole, hole).sharpness / marks(photo, photo, hole, hole).sharpness
    assert shifted == pytest.approx(0.49, abs=0.05)


def test_only_the_seam_counts_what_is_not_marked(photo: Pixels) -> None:
    marked, hole = _disc(photo, 200, 300, 60), _disc(photo, 200, 300, 68)
    changed = _disc(photo, 200, 300, 64)
    other = _changed(photo, ~changed, lambda image: image.point(lambda level: 255 - level))
    assert marks(photo, other, marked, hole).psnr == np.inf
    assert marks(photo, other, marked, hole).ssim == pytest.approx(1, abs=0.01)
    assert marks(photo, other, marked, changed).seam > 2


@pytest.mark.parametrize("size", [(1500, 2000), (2000, 700), (300, 500)])
def test_shrinking_leaves_what_is_outside_the_hole_alone(size: tuple[int, int]) -> None:
    random = np.random.default_rng(2)
    photo = random.integers(0, 256, (*size, 3), np.uint8)
    hole = holes.cut(random, *size, "medium")
    sides = []

    def model(image: Pixels, mask: Hole) -> Pixels:
        sides.append(image.shape)
        assert mask.any()
        return np.full_like(image, 77)

    filled = theirs(model, photo, hole)
    side = min(max(size), 1024)
    assert sides == [(side, side, 3)]
    assert (filled[~hole] == photo[~hole]).all()
    assert (filled[hole] == 77).all()


def test_the_shrunk_mask_covers_every_pixel_of_the_hole() -> None:
    photo = np.zeros((2048, 2048, 3), np.uint8)
    hole = np.zeros((2048, 2048), bool)
    hole[1001, 501] = True
    seen = []

    def model(image: Pixels, mask: Hole) -> Pixels:
        seen.append(np.argwhere(mask).tolist())
        return image

    theirs(model, photo, hole)
    assert seen == [[[500, 250]]]


def test_a_fill_that_changes_nothing_is_given_back_as_it_was(photo: Pixels, hole: Hole) -> None:
    assert (theirs(lambda image, _: image, photo, hole) == photo).all()


@pytest.mark.parametrize("size", holes.SIZES)
def test_holes_have_the_size_asked_for_and_come_out_the_same(size: str) -> None:
    low, high = holes.SIZES[size]
    kinds = set()
    for seed in range(20):
        hole = holes.cut(np.random.default_rng(seed), 1500, 2000, size)
        assert (hole == holes.cut(np.random.default_rng(seed), 1500, 2000, size)).all()
        rows, columns = np.nonzero(hole)
        extent = max(np.ptp(rows), np.ptp(columns)) + 1
        assert low * 2000 * 0.6 <= extent <= high * 2000 + 1
        kinds.add(round(hole.sum() / extent**2, 1))
    assert len(kinds) > 2


def test_what_is_to_be_erased_is_not_the_truth() -> None:
    cut = Case("coffee", 0, "medium", 0).cut()
    differs = (cut.given != cut.truth).any(axis=2)
    assert not differs[~cut.marked].any()
    assert differs[cut.marked].mean() > 0.9
    assert cut.hole[cut.marked].all()
    assert cut.marked.any(axis=0).sum() + 2 * DILATION == cut.hole.any(axis=0).sum()


def test_the_plan_has_every_row_and_no_more_photos_than_asked_for() -> None:
    cases = plan(most_photos=2, holes_a_row=3)
    assert len(cases) == len(set(cases)) == 5 * 3 * 3
    assert all(
        len({case.photo for case in cases if case.row == row}) == 2
        for row in {case.row for case in cases}
    )


def _row(theirs: Marks, ours: Marks) -> list[report.Result]:
    return [report.Result(Case("coffee", 3, "small", n), theirs, ours) for n in range(3)]


def test_a_row_fails_by_each_metric_and_only_beyond_its_tolerance() -> None:
    good = Marks(psnr=25, ssim=0.8, sharpness=1, seam=1)
    table, worse = report.table(_row(good, good))
    assert "3 MP small" in table
    assert worse == []
    for ours, title in (
        (Marks(20, 0.8, 1, 1), "PSNR dB"),
        (Marks(25, 0.6, 1, 1), "SSIM"),
        (Marks(25, 0.8, 0.5, 1), "sharpness"),
        (Marks(25, 0.8, 2, 1), "sharpness"),
        (Marks(25, 0.8, 1, 3), "seam"),
    ):
        assert report.table(_row(good, ours))[1] == [f"  3 MP small: {title}"]
        assert report.table(_row(ours, good))[1] == []
    assert report.table(_row(good, Marks(24.9, 0.79, 0.95, 1.1)))[1] == []
