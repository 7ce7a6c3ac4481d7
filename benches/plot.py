"""Plots of what was measured: two dots a row on a logarithmic axis, as SVG."""

import math
from collections.abc import Sequence
from html import escape
from pathlib import Path

LEFT, WIDTH, ROW, TOP, RIGHT = 170, 560, 22, 58, 30
THEIRS, OURS = "#8a8f98", "#c8391f"


def dots(
    path: Path,
    title: str,
    rows: Sequence[tuple[str, float, float]],
    ticks: Sequence[float],
    names: tuple[str, str] = ("theirs", "ours"),
) -> None:
    """Writes for each row a grey dot (theirs) and a red one (ours) above the axis of ``ticks``.

    A row is its name and two values above 0; what lies beyond the ticks is drawn at the end.
    """
    low, high = math.log(ticks[0]), math.log(ticks[-1])

    def x(value: float) -> float:
        share = (math.log(value) - low) / (high - low)
        return LEFT + WIDTH * min(max(share, 0.0), 1.0)

    height = TOP + ROW * len(rows) + 12
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{LEFT + WIDTH + RIGHT}" height="{height}" '
        'font-family="system-ui, sans-serif" font-size="13">',
        '<rect width="100%" height="100%" fill="#fff"/>',
        f'<text x="12" y="22" font-size="15">{escape(title)}</text>',
    ]
    for place, (name, colour) in enumerate(zip(names, (THEIRS, OURS), strict=True)):
        at = LEFT + WIDTH - 150 + 80 * place
        parts.append(f'<circle cx="{at}" cy="18" r="5" fill="{colour}"/>')
        parts.append(f'<text x="{at + 9}" y="22">{escape(name)}</text>')
    for tick in ticks:
        line = x(tick)
        parts.append(f'<path d="M{line:.1f} {TOP - 6}V{height - 8}" stroke="#e2e2e2"/>')
        parts.append(f'<text x="{line:.1f}" y="{TOP - 10}" text-anchor="middle">{tick:g}</text>')
    for number, (name, theirs, ours) in enumerate(rows):
        y = TOP + ROW * number + ROW // 2
        parts.append(f'<text x="{LEFT - 12}" y="{y + 4}" text-anchor="end">{escape(name)}</text>')
        parts.append(f'<path d="M{x(theirs):.1f} {y}H{x(ours):.1f}" stroke="#cfcfcf"/>')
        parts.append(f'<circle cx="{x(theirs):.1f}" cy="{y}" r="5" fill="{THEIRS}"/>')
        parts.append(f'<circle cx="{x(ours):.1f}" cy="{y}" r="5" fill="{OURS}"/>')
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([*parts, "</svg>", ""]), encoding="utf-8")
