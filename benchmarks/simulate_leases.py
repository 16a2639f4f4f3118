"""A discrete-event simulation of leases: many holders on one limit, uneven and bursty demand, a bad network, crashes.

    python -m benchmarks.simulate_leases --seed 1 [--holders 10000] [--seconds 60] [--variants]

The ledger is driven by the functions of `metergate.domain.lease` themselves. Holders follow `clients/README.md`: the
many a model of it on plain integers, a hundred of them the real `metergate_client.leases.machine`. At the first unit
too many, or a figure that does not add up, it stops with an error. It writes `simulate_leases.md` and `.png` beside
itself (`--out` names another place). Simulated time: the figures do not depend on the machine, only on the seed.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path

from benchmarks.simulation.holder import Habits, Holder
from benchmarks.simulation.machine import MachineHolder
from benchmarks.simulation.report import HEAD, Findings, over_time, plot, table
from benchmarks.simulation.variants import compare
from benchmarks.simulation.world import Setup, World

SMALL = 10  # by how much the scenarios are smaller than the run
REAL = 100  # holders with the real state machine

WORDS = """
- *calls per 1,000 decisions*, *refused early* and *stranded* until the demand had reached the limit; early refusals \
are those at a holder that had run dry or had no lease yet, while the limit was not used up.
- *stranded*: handed out, not spent, at holders that live. It is what they hold for the next seconds.
- *used, s*: seconds from when the demand had reached the limit until so much of it was used, or lost with killed \
holders: a single exact counter would have 0.
- *calls/s when used up*: in the last five seconds, when each holder still wants more.
- *lost*: handed out to holders that were killed, and never spent. *forfeited* is what the ledger knows of that: it \
also holds what they spent and did not report, and comes later.
- Over-admission: 0, checked at each commit, and at the end lease by lease against what was truly spent.
"""


def modelled(world: World, number: int) -> Holder:
    """A holder by the model."""
    return Holder(world, number, Habits())


def simulate(setup: Setup, real: bool = False) -> World:
    """One run.

    Raises:
        OverAdmission: a unit was admitted that the limit doesn't hold, or figures do not add up.
    """
    world = World(setup, MachineHolder if real else modelled)
    world.run()
    return world


def scenarios(setup: Setup) -> list[list[str]]:
    """Smaller runs: calm, as set, and stormy; and with the real state machine."""
    small = _smaller(setup)
    calm = replace(small, lost=0.0, slow=0.0, crashing=0.0, bursty=0.0)
    storm = replace(small, lost=0.02, slow=0.02, crashing=0.4)
    few = min(small.holders, REAL)
    tiny = replace(small, holders=few, rate=small.rate * few / small.holders, limit=0)
    return [
        [f"{small.holders:,} holders, calm: steady demand, no losses, no crashes", *_cells(calm)],
        [f"{small.holders:,} holders, as in the run", *_cells(small)],
        [
            f"{small.holders:,} holders, storm: 2 % of messages lost, 2 % late, 40 % of the holders killed",
            *_cells(storm),
        ],
        [f"{tiny.holders} holders, as in the run", *_cells(tiny)],
        [f"{tiny.holders} holders, the real state machine", *_cells(tiny, real=True)],
    ]


def _smaller(setup: Setup) -> Setup:
    holders = max(setup.holders // SMALL, 1)
    return replace(setup, holders=holders, rate=setup.rate * holders / setup.holders, limit=setup.limit // SMALL)


def _cells(setup: Setup, real: bool = False) -> list[str]:
    return Findings.of(simulate(setup, real)).cells()


def write(world: World, path: Path, variants: bool) -> None:
    """Writes the tables and the plot of a run."""
    setup, found = world.setup, Findings.of(world)
    run = [f"**the run**: {setup.holders:,} holders", *found.cells()]
    pieces = [
        f"# Leases, simulated (seed {setup.seed})\n",
        _introduction(setup, variants),
        f"![Calls a second, and where the limit is, over time]({path.name}.png)\n",
        table(HEAD, [run, *scenarios(setup)]) + WORDS,
        "## The run over time\n",
        over_time(world),
    ]
    if variants:
        pieces += ["## What was tried\n", _TRIED, table(HEAD, compare(_smaller(setup)))]
    path.with_suffix(".md").write_text("\n".join(pieces), encoding="utf-8")
    plot(world, path.with_suffix(".png"))


def _introduction(setup: Setup, variants: bool) -> str:
    options = f"--seed {setup.seed} --holders {setup.holders} --seconds {setup.seconds}"
    return (
        f"`python -m benchmarks.simulate_leases {options}{' --variants' if variants else ''}`\n\n"
        f"{setup.holders:,} holders want {setup.rate:,.0f} decisions a second together (by Zipf's law, exponent "
        f"{setup.skew:g}; {setup.bursty:.0%} of them in bursts of four times as much), on a limit of {setup.most:,}. "
        f"{setup.lost:.1%} of requests are lost, as many answers, and as many requests arrive twice; {setup.slow:.1%} "
        f"are up to 3 s late; {setup.crashing:.0%} of the holders are killed, and {setup.coming_back:.0%} of those "
        f"come back. The servers take {setup.calls_most:,.0f} calls a second at most.\n"
    )


_TRIED = """\
With a tenth of the holders and of the demand; medians of three seeds. A slice is at most so much of what is left, and a
holder keeps at most *slack* times that.
"""


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.simulate_leases", description="Simulates leases.")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--holders", type=int, default=10_000)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--variants", action="store_true", help="compare other sizes of slices too (minutes)")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(""), help="path without a suffix")
    given = parser.parse_args()
    began = time.monotonic()
    world = simulate(Setup(seed=given.seed, holders=given.holders, seconds=given.seconds, rate=100.0 * given.holders))
    write(world, given.out, given.variants)
    print(table(HEAD, [[f"{given.holders:,} holders, seed {given.seed}", *Findings.of(world).cells()]]))
    print(f"{given.out}.md and .png written; {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
