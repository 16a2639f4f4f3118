"""A B A B five times; the ratio is taken pair by pair, and the median is quoted with its spread."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from rich.console import Console
from rich.table import Table

ROUNDS = 5


@dataclass(slots=True)
class Result:
    """What a benchmark found; `ratio` is the median over the pairs."""

    name: str
    ratio: float
    product: float
    floor: float
    unit: str
    aim: str
    met: bool
    detail: dict[str, Any] = field(default_factory=dict)


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


def show(results: list[Result], as_json: bool) -> None:
    """A table for people; with `as_json`, one JSON object per result as the last lines."""
    table = Table("benchmark", "product", "floor", "ratio", "spread", "aim", "")
    for one in results:
        spread = f"{one.detail.get('ratio_min', 0):.2f}-{one.detail.get('ratio_max', 0):.2f}"
        met = "[green]met[/]" if one.met else "[red]missed[/]"
        table.add_row(
            one.name, f"{one.product:,.6g} {one.unit}", f"{one.floor:,.6g} {one.unit}", f"{one.ratio:.2f}", spread,
            one.aim, met,
        )  # fmt: skip
    Console().print(table)
    if as_json:
        for one in results:
            print(json.dumps(asdict(one), default=str))
