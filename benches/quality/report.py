"""The table of a run, and whether it is good enough."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from quality.cases import Case
from quality.metrics import Marks

# How much worse than theirs the middle case of a row may be. Two fills of one texture that look
# alike differ from the truth in other places, and by less than this.
PSNR_TOLERANCE = 1.0
SSIM_TOLERANCE = 0.03
SHARPNESS_TOLERANCE = 0.15
SEAM_TOLERANCE = 0.5


@dataclass(frozen=True)
class Result:
    """What both contestants were given for one case."""

    case: Case
    theirs: Marks
    ours: Marks


@dataclass(frozen=True)
class Column:
    """One metric in the table, as a distance from what is best."""

    title: str
    values: tuple[list[float], list[float]]
    """Of theirs and of ours, case by case."""
    losses: tuple[list[float], list[float]]
    """The same, 0 or less being best."""
    tolerance: float

    def text(self) -> str:
        """Medians, and in how many cases ours is better."""
        theirs, ours = (median(values) for values in self.values)
        better = sum(ours < theirs for theirs, ours in zip(*self.losses, strict=True))
        return f"{theirs:7.2f} {ours:7.2f} {better:3d}"

    def is_worse(self) -> bool:
        """Whether ours is further from the best than theirs, in the middle case by more than is
        tolerated."""
        return (
            median(ours - theirs for theirs, ours in zip(*self.losses, strict=True))
            > self.tolerance
        )


def columns(results: Sequence[Result]) -> list[Column]:
    """The metrics of the results of one row."""
    theirs, ours = [result.theirs for result in results], [result.ours for result in results]

    def column(title: str, name: str, tolerance: float, *, high_is_best: bool) -> Column:
        values = ([getattr(m, name) for m in theirs], [getattr(m, name) for m in ours])
        # Twice as sharp as the surroundings is as far from them as half as sharp.
        loss = (lambda x: -x) if high_is_best else (lambda x: abs(math.log(x)))
        losses = ([loss(x) for x in values[0]], [loss(x) for x in values[1]])
        return Column(title, values, losses, tolerance)

    return [
        column("PSNR dB", "psnr", PSNR_TOLERANCE, high_is_best=True),
        column("SSIM", "ssim", SSIM_TOLERANCE, high_is_best=True),
        column("sharpness", "sharpness", SHARPNESS_TOLERANCE, high_is_best=False),
        column("seam", "seam", SEAM_TOLERANCE, high_is_best=False),
    ]


def sharpness(results: Sequence[Result]) -> list[tuple[str, float, float]]:
    """Of each row of the table its name, and the median sharpness of theirs and of ours."""
    return [
        (
            name,
            median(result.theirs.sharpness for result in of_row),
            median(result.ours.sharpness for result in of_row),
        )
        for name, of_row in _rows(results)
    ]


def _rows(results: Sequence[Result]) -> list[tuple[str, list[Result]]]:
    """The rows of the table: photo and hole, and the results."""
    rows: dict[tuple[int, str], list[Result]] = {}
    for result in results:
        rows.setdefault(result.case.row, []).append(result)
    ordered = sorted(rows.items(), key=lambda row: row[0][0])
    return [(f"{mp or '<0.3':>3} MP {size:6}", of_row) for (mp, size), of_row in ordered]


def table(results: Sequence[Result]) -> tuple[str, list[str]]:
    """The table, and the rows in which ours is clearly worse."""
    titles = [column.title for column in columns(results)]
    lines = [
        f"{'':16}" + "".join(f" | {title:^19}" for title in titles),
        f"{'photo':>6} {'hole':6} {'n':>2}" + " |  theirs    ours  >" * len(titles),
    ]
    worse = []
    for name, of_row in _rows(results):
        measured = columns(of_row)
        cells = "".join(f" | {column.text()}" for column in measured)
        lines.append(f"{name:>13} {len(of_row):2d}{cells}")
        worse += [f"{name.rstrip()}: {column.title}" for column in measured if column.is_worse()]
    return "\n".join(lines), worse
