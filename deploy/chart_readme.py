"""Writes the table of values into the chart's README.

``values.yaml`` is the one place where a value, its default and what it is stand: the comment above
a key is what the table says of it.

    .venv/bin/python chart_readme.py
"""

import json
import re
from dataclasses import dataclass, field
from pathlib import Path

import yaml

CHART = Path(__file__).resolve().parent / "helm/lacuna"
HEAD = "| value | default | |\n|---|---|---|\n"
BEGIN, END = "<!-- from values.yaml -->\n", "<!-- to here -->\n"


@dataclass
class Row:
    """One line of the table: a value, or a group of values that has a comment of its own."""

    path: tuple[str, ...]
    default: str
    said: str


@dataclass
class _Reader:
    rows: list[Row] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    above: list[tuple[int, str]] = field(default_factory=list)
    """The keys that the line lies under, each with its indentation."""

    def key(self, indentation: int, name: str, value: str) -> None:
        while self.above and self.above[-1][0] >= indentation:
            self.above.pop()
        self.above.append((indentation, name))
        path = tuple(key for _, key in self.above)
        text = " ".join(self.said)
        self.said = []
        if value or text:
            self.rows.append(Row(path, value, text))


def rows(text: str) -> list[Row]:
    """The keys of a values file in its order. A list of several lines is the default of its key."""
    reader = _Reader()
    values = yaml.safe_load(text)
    for line in text.split("\n\n", 1)[1].splitlines():
        if comment := re.fullmatch(r" *# (.*)", line):
            reader.said.append(comment[1])
        elif match := re.fullmatch(r"( *)([A-Za-z_]+): ?(.*)", line):
            indentation, name, value = len(match[1]), match[2], match[3]
            reader.key(indentation, name, value)
            last = reader.rows[-1] if reader.rows else None
            found = _at(values, tuple(key for _, key in reader.above))
            if not value and isinstance(found, list) and last:
                last.default = json.dumps(found)
        elif line.strip() and not line.lstrip().startswith(("- ", "matchLabels:")):
            raise ValueError(f"values.yaml has a line that is no key and no comment: {line!r}")
    return [row for row in reader.rows if not _inside_a_list(values, row.path)]


def _at(values: object, path: tuple[str, ...]) -> object:
    for key in path:
        if not isinstance(values, dict):
            return None
        values = values.get(key)
    return values


def _inside_a_list(values: object, path: tuple[str, ...]) -> bool:
    return any(isinstance(_at(values, path[:length]), list) for length in range(1, len(path)))


def table(text: str) -> str:
    """The table in Markdown."""
    lines = [
        f"| `{'.'.join(row.path)}` | {f'`{row.default}`' if row.default else ''} | {row.said} |\n"
        for row in rows(text)
    ]
    return HEAD + "".join(line.replace("  |", " |") for line in lines)


def with_table(readme: str, values: str) -> str:
    """The README with the table in its place."""
    before, rest = readme.split(BEGIN)
    return before + BEGIN + table(values) + END + rest.split(END)[1]


if __name__ == "__main__":
    page = CHART / "README.md"
    page.write_text(with_table(page.read_text(), (CHART / "values.yaml").read_text()))
