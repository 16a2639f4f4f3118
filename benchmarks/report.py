"""A B A B five times; the ratio is taken pair by pair, and the median is quoted with its spread."""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from rich.console import Console
from rich.table import Table

ROUNDS = 5


@dataclass(slots=True)
class Result:
    """What a benchmark found; `ratio` is the median over the pairs. `parts` are what else it was to meet."""

    name: str
    ratio: float
    product: float
    floor: float
    unit: str
    aim: str
    met: bool
    detail: dict[str, Any] = field(default_factory=dict)
    parts: list[Result] = field(default_factory=list)

    @property
    def spread(self) -> tuple[float, float]:
        """The lowest and the highest ratio of a pair."""
        return self.detail.get("ratio_min", self.ratio), self.detail.get("ratio_max", self.ratio)

    def rows(self) -> list[Result]:
        """Itself and its parts."""
        return [self, *self.parts]


def at_least(name: str, found: dict[str, Any], unit: str, aim: float, detail: dict[str, Any]) -> Result:
    """A result that is to be at least so high."""
    ratio = found["ratio"]
    return Result(name, ratio, found["product"], found["floor"], unit, f"≥ {aim}", ratio >= aim, detail)


def at_most(name: str, found: dict[str, Any], unit: str, aim: float, detail: dict[str, Any]) -> Result:
    """A result that is to be at most so high."""
    ratio = found["ratio"]
    return Result(name, ratio, found["product"], found["floor"], unit, f"≤ {aim}", ratio <= aim, detail)


class BrokenPromise(Exception):
    """Speed with a broken promise is not a result."""


def alternate(floor: Callable[[], float], product: Callable[[], float], rounds: int = ROUNDS) -> dict[str, Any]:
    """Floor and product in turn; returns the figures of each, the ratios, and their medians."""
    floors, products = [], []
    for _ in range(rounds):
        floors.append(floor())
        products.append(product())
    ratios = [product / floor for floor, product in zip(floors, products, strict=True)]
    return {
        "ratio": statistics.median(ratios),
        "ratio_min": min(ratios),
        "ratio_max": max(ratios),
        "product": statistics.median(products),
        "floor": statistics.median(floors),
        "products": products,
        "floors": floors,
    }


def figure(value: float) -> str:
    """A figure for people: whole where it is large."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def show(results: list[Result], as_json: bool) -> None:
    """A table for people; with `as_json`, one JSON object per result as the last lines."""
    table = Table("benchmark", "product", "floor", "ratio", "spread", "aim", "")
    for one in (row for result in results for row in result.rows()):
        spread = "{:.3g}-{:.3g}".format(*one.spread)
        met = "[green]met[/]" if one.met else "[red]missed[/]"
        table.add_row(
            one.name, f"{figure(one.product)} {one.unit}", f"{figure(one.floor)} {one.unit}", f"{one.ratio:.3g}",
            spread, one.aim, met,
        )  # fmt: skip
    Console(width=None if sys.stdout.isatty() else 160).print(table)
    if as_json:
        for one in results:
            print(json.dumps(asdict(one), default=str))
