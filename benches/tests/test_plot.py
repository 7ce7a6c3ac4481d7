"""Where the dots of a plot are."""

from pathlib import Path
from xml.etree import ElementTree

import plot

SVG = "{http://www.w3.org/2000/svg}"


def test_dots_lie_on_a_logarithmic_axis_and_not_beyond_its_ends(tmp_path: Path) -> None:
    file = tmp_path / "out" / "a.svg"
    plot.dots(file, "a < b", [("one & two", 10, 100), ("beyond", 0.1, 5000)], (1, 10, 100))
    drawn = ElementTree.parse(file).getroot()
    # The first two are the legend's.
    places = [float(dot.attrib["cx"]) for dot in drawn.iter(f"{SVG}circle")][2:]
    left, right = plot.LEFT, plot.LEFT + plot.WIDTH
    assert places == [(left + right) / 2, right, left, right]
    texts = [text.text for text in drawn.iter(f"{SVG}text")]
    assert {"a < b", "one & two", "beyond", "1", "100"} <= set(texts)
