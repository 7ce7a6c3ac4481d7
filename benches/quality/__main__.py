"""``make quality``: measures, prints the table, writes the contact sheet."""

import argparse
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from statistics import median

import photos
import plot
from gateway import ROOT, gateway, triton_address
from quality import report, sheet
from quality.cases import DILATION, Case, plan
from quality.contestants import Model, ours, theirs, triton
from quality.metrics import marks

SHEET = ROOT / "out/quality.png"
SMALL_SHEET = ROOT / "out/quality.jpg"
PLOT = ROOT / "out/quality.svg"


def main() -> int:
    """Gives 1 when the service is clearly worse in a row of the table."""
    chosen = _parser().parse_args()
    photos.fetch()
    started = time.monotonic()
    model = triton(triton_address(), chosen.model)
    with gateway(chosen.model) as address, ThreadPoolExecutor(2) as pool:

        def measure(case: Case) -> tuple[report.Result, list[sheet.Strip]]:
            return _measure(case, model, address)

        measured = list(pool.map(measure, plan(chosen.photos, chosen.cases)))
    results = [result for result, _ in measured]
    text, worse = report.table(results)
    print(f"model {chosen.model}, {len(results)} holes, {time.monotonic() - started:.0f} s")
    print("medians where the photo was marked; '>' counts the holes in which ours is better")
    print(text)
    title = "Sharpness of fills, 1 is that of what surrounds them"
    plot.dots(PLOT, title, report.sharpness(results), (0.1, 0.2, 0.5, 1, 2))
    shown = _shown(measured)
    sheet.write(SHEET, [strip for strips in shown for strip in strips])
    sheet.write_small(SMALL_SHEET, [strips[0] for strips in shown])
    print(
        f"{SHEET.relative_to(ROOT)}: of each row the middle hole and the one where ours loses most"
    )
    if worse:
        print("clearly worse than theirs:", *worse, sep="\n  ")
    return 1 if worse else 0


def _measure(case: Case, model: Model, address: str) -> tuple[report.Result, list[sheet.Strip]]:
    cut = case.cut()
    fills = (theirs(model, cut.given, cut.hole), ours(address, cut.given, cut.marked, DILATION))
    for who, filled in zip(("theirs", "ours"), fills, strict=True):
        if (filled[~cut.hole] != cut.given[~cut.hole]).any():
            raise SystemExit(f"{who} changed pixels outside the hole of {case}")
    measured = (marks(cut.truth, filled, cut.marked, cut.hole) for filled in fills)
    title = f"{case.megapixels or '<0.3'} MP {case.size} {case.photo}"
    return report.Result(case, *measured), sheet.strips(title, cut, *fills)


def _shown(measured: list[tuple[report.Result, list[sheet.Strip]]]) -> list[list[sheet.Strip]]:
    """Of each row two cases: that with the median gain in similarity, and the greatest loss."""
    rows: dict[tuple[int, str], list[tuple[float, int]]] = {}
    for number, (result, _) in enumerate(measured):
        gain = result.ours.ssim - result.theirs.ssim
        rows.setdefault(result.case.row, []).append((gain, number))
    picked = []
    for gains in rows.values():
        middle = median(gain for gain, _ in gains)
        typical = min(gains, key=lambda gain: abs(gain[0] - middle))
        picked += list(dict.fromkeys([typical[1], min(gains)[1]]))
    return [measured[number][1] for number in picked]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="quality", description=__doc__)
    parser.add_argument("--model", default="patchmatch", help="Triton's inpainter (patchmatch)")
    parser.add_argument("--photos", type=_count, default=10, help="most photos of a size (10)")
    parser.add_argument("--cases", type=_count, default=8, help="holes for each row (8)")
    return parser


def _count(text: str) -> int:
    count = int(text)
    if count < 1:
        raise ValueError
    return count


if __name__ == "__main__":
    sys.exit(main())
