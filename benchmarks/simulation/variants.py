"""Other ways to size slices, to compare: what `metergate.domain.lease` was tuned by."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from decimal import Decimal

from benchmarks.simulation.holder import Habits, Holder
from benchmarks.simulation.report import Findings
from benchmarks.simulation.world import Setup, World
from metergate.domain import lease
from metergate.domain.quantity import ZERO

Cuts = Callable[[int], int]

CUTS: dict[str, Cuts] = {
    "no cap: all that is wanted": lambda holders: 1,
    "a half": lambda holders: 2,
    "a twentieth": lambda holders: 20,
    "1 ÷ (1 × root of the holders)": lambda holders: max(math.isqrt(holders), 20),
    "1 ÷ (4 × root of the holders)": lambda holders: max(4 * math.isqrt(holders), 20),
    "1 ÷ (8 × root of the holders)": lambda holders: max(8 * math.isqrt(holders), 20),
    "1 ÷ (1 × holders)": lambda holders: max(holders, 20),
    "1 ÷ (2 × holders)": lambda holders: max(2 * holders, 20),
}
SLACKS = (Decimal("1.25"), Decimal(4))


@contextmanager
def changed(**names: object) -> Iterator[None]:
    """With other values under some names of the module."""
    before = {name: getattr(lease, name) for name in names}
    try:
        for name, value in names.items():
            setattr(lease, name, value)
        yield
    finally:
        for name, value in before.items():
            setattr(lease, name, value)


def compare(setup: Setup, seeds: int = 3) -> list[list[str]]:
    """A row for each way, of medians over several seeds."""
    rows = [["**as it is**: 1 ÷ (2 × root of the holders), slack 2", *_median(setup, seeds)]]
    for name, cuts in CUTS.items():
        with changed(_cuts=cuts):
            rows.append([name, *_median(setup, seeds)])
    for slack in SLACKS:
        with changed(SLACK=slack):
            rows.append([f"as it is, slack {slack}", *_median(setup, seeds)])
    with changed(recall_of=lambda unspent, left, holders: ZERO):
        rows.append(["as it is, nothing recalled", *_median(setup, seeds)])
    slice_of = lease.slice_of
    with changed(slice_of=lambda wanted, left, holders, unspent=ZERO: slice_of(wanted, left, holders)):
        rows.append(["as it is, not looking at what is unspent", *_median(setup, seeds)])
    return rows


def _median(setup: Setup, seeds: int) -> list[str]:
    found = []
    for seed in range(setup.seed, setup.seed + seeds):
        world = World(replace(setup, seed=seed), lambda world, number: Holder(world, number, Habits()))
        world.run()
        found.append(Findings.of(world))
    return _middle(found).cells()


def _middle(found: list[Findings]) -> Findings:
    """The median of each figure; one that most runs did not reach counts as not reached."""
    late = 1e9

    def median(name: str) -> float:
        return float(statistics.median(getattr(one, name) for one in found))

    lags = [
        statistics.median(late if lag is None else lag for lag in lags)
        for lags in zip(*(one.lags for one in found), strict=True)
    ]
    return Findings(
        calls_per_1000=median("calls_per_1000"),
        calls_most=int(median("calls_most")),
        calls_after=median("calls_after"),
        refused=median("refused"),
        stranded=median("stranded"),
        lags=tuple(None if lag == late else lag for lag in lags),
        wrecked=median("wrecked"),
        forfeited=median("forfeited"),
        used=median("used"),
        orphaned=int(median("orphaned")),
    )
