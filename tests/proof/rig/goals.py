"""What was measured beside what was to be reached."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Row:
    """One measurement; without a goal it is only told."""

    what: str
    measured: str
    goal: str
    met: bool


@dataclass
class Report:
    """The measurements of one program."""

    rows: list[Row] = field(default_factory=list)

    def most(self, what: str, measured: float, limit: float, unit: str = "") -> None:
        """A number that must not be larger than ``limit``."""
        met = measured <= limit
        self._add(
            Row(what, _number(float(measured), unit), f"<= {_number(float(limit), unit)}", met)
        )

    def least(self, what: str, measured: float, limit: float, unit: str = "") -> None:
        """A number that must not be smaller than ``limit``."""
        met = measured >= limit
        self._add(
            Row(what, _number(float(measured), unit), f">= {_number(float(limit), unit)}", met)
        )

    def equal(self, what: str, measured: object, wanted: object) -> None:
        """Something that must be as wanted."""
        self._add(Row(what, str(measured), str(wanted), measured == wanted))

    def told(self, what: str, measured: object) -> None:
        """Something that is worth knowing and has no goal."""
        self._add(Row(what, str(measured), "", True))

    def finish(self) -> int:
        """Prints the table; gives the exit status, which is 1 where a goal was missed."""
        widths = [
            max((len(text) for text in column), default=0)
            for column in zip(
                *((row.what, row.measured, row.goal) for row in self.rows), strict=True
            )
        ]
        print(f"\n{'':6}  {'what':{widths[0]}}  {'measured':{widths[1]}}  goal")
        for row in self.rows:
            print(f"{_mark(row):6}  {row.what:{widths[0]}}  {row.measured:{widths[1]}}  {row.goal}")
        missed = sum(not row.met for row in self.rows)
        print(f"\n{missed} goals missed" if missed else "\nevery goal met")
        return 1 if missed else 0

    def _add(self, row: Row) -> None:
        self.rows.append(row)
        goal = f" (goal {row.goal})" if row.goal else ""
        say(f"{_mark(row):6}  {row.what}: {row.measured}{goal}")


def say(text: str) -> None:
    """A line with the time of day, at once."""
    print(f"{time.strftime('%H:%M:%S')}  {text}", flush=True)


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that ``share`` of the values do not exceed."""
    if not values:
        return math.nan
    return sorted(values)[max(math.ceil(share * len(values)) - 1, 0)]


def _mark(row: Row) -> str:
    if not row.goal:
        return "-"
    return "met" if row.met else "MISSED"


def _number(value: float, unit: str) -> str:
    whole = abs(value) >= 100 or value.is_integer()
    return f"{value:.0f} {unit}".strip() if whole else f"{value:.3g} {unit}".strip()
