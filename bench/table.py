"""The one table that `make bench` prints: a figure, its target, what was measured. Measuring is in `workloads`."""

import math
from collections.abc import Callable
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

Format = Callable[[float], str]


class Row(NamedTuple):
    """One figure. `least`: more is better. `note`: a ratio, or under which conditions."""

    figure: str
    measured: float
    shown: Format
    target: float | None = None
    note: str = ""
    least: bool = False

    @property
    def met(self) -> bool | None:
        if self.target is None:
            return None
        return self.measured >= self.target if self.least else self.measured <= self.target


def per_second(value: float) -> str:
    return f"{value:,.0f}/s"


def micros(value: float) -> str:
    return f"{value * 1e6:.2f} us"


def millis(value: float) -> str:
    return "never" if math.isinf(value) else f"{value * 1e3:.1f} ms"


def whole_bytes(value: float) -> str:
    return f"{value:,.1f} B"


def megabytes(value: float) -> str:
    return f"{value / 1e6:,.0f} MB"


def times(value: float) -> str:
    return f"{value:.2f} x"


def show(rows: list[Row], title: str) -> None:
    table = Table(title=title, title_justify="left")
    for name in ("figure", "target", "measured", "", "note"):
        table.add_column(name, justify="right" if name in {"target", "measured"} else "left", no_wrap=name != "note")
    for row in rows:
        sign = "at least " if row.least else "at most "
        target = "" if row.target is None else sign + row.shown(row.target)
        verdict = {None: "", True: "met", False: "missed"}[row.met]
        table.add_row(row.figure, target, row.shown(row.measured), verdict, row.note)
    Console(width=150, highlight=False).print(table)


def as_json(rows: list[Row]) -> list[dict[str, object]]:
    """SI units; a figure that was never reached is null."""
    return [
        {
            "figure": row.figure,
            "measured": row.measured if math.isfinite(row.measured) else None,
            "target": row.target,
            "met": row.met,
            "note": row.note,
        }
        for row in rows
    ]
