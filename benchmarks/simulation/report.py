"""What a simulation found: its figures, tables in Markdown, and the plot."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.simulation.world import SHARES, Second, World

Rows = Sequence[Sequence[str]]


@dataclass(frozen=True, slots=True)
class Findings:
    """The figures of one run. `lags` are seconds from when the demand had reached the limit, None = not in this run."""

    calls_per_1000: float  # until the demand had reached the limit
    calls_most: int  # in one second
    calls_after: float  # a second, over the last five: everything is used up, and still it is asked for
    refused: float  # share of the demand that was refused before it had reached the limit
    stranded: float  # share of the limit that was handed out and not spent when the demand had reached it
    lags: tuple[float | None, ...]
    wrecked: float  # share of the limit that was lost with holders that were killed
    forfeited: float
    used: float  # share of the limit that was used, of what was not lost
    orphaned: int

    @classmethod
    def of(cls, world: World) -> Findings:
        """What a world that was run shows."""
        most, seconds, reached = world.setup.most, world.seconds, world.reached
        full = reached.get("demand")
        before = seconds[: max(int(full), 1)] if full is not None else seconds
        last = before[-1]
        return cls(
            calls_per_1000=1000 * _calls(before) / max(sum(one.admitted for one in before), 1),
            calls_most=max(_calls([one]) for one in seconds),
            calls_after=_calls(seconds[-5:]) / len(seconds[-5:]),
            refused=sum(one.refused for one in before) / max(sum(one.demand for one in before), 1),
            stranded=last.stranded / most,
            lags=tuple(
                max(reached[name] - full, 0.0) if full is not None and name in reached else None for name in SHARES
            ),
            wrecked=seconds[-1].wrecked / most,
            forfeited=seconds[-1].forfeited / most,
            used=world.admitted / max(most - world.wrecked, 1),
            orphaned=world.orphaned,
        )

    def cells(self) -> list[str]:
        """A row of the table that `HEAD` heads."""
        lags = ["-" if lag is None else f"{lag:.1f}" for lag in self.lags]
        shares = [f"{100 * share:.2f}" for share in (self.refused, self.stranded)]
        ends = [f"{100 * share:.3f}" for share in (self.wrecked, self.used)]
        return [f"{self.calls_per_1000:.2f}", f"{self.calls_most:,}", f"{self.calls_after:,.0f}", *shares, *lags, *ends]


HEAD = (
    "", "calls per 1,000 decisions", "calls/s at most", "calls/s when used up", "refused early, %", "stranded, %",
    *(f"{name} used, s" for name in SHARES), "lost, %", "used of the rest, %",
)  # fmt: skip


def _calls(seconds: Iterable[Second]) -> int:
    return sum(sum(one.calls.values()) for one in seconds)


def table(head: Sequence[str], rows: Rows) -> str:
    """A table in Markdown."""
    lines = [list(head), ["---"] + ["---:"] * (len(head) - 1), *map(list, rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def over_time(world: World, lines: int = 20) -> str:
    """The run, second by second, in about so many lines."""
    most, step = world.setup.most, max(len(world.seconds) // lines, 1)
    rows = []
    for number in range(0, len(world.seconds), step):
        one = world.seconds[number]
        shares = (one.left, one.stranded, one.wrecked, one.forfeited)
        rows.append(
            [
                str(number + 1), *(f"{count:,}" for count in one.calls.values()), f"{one.demand:,}",
                f"{one.admitted:,}", f"{one.refused:,}", *(f"{100 * share / most:.3f}" for share in shares),
                f"{one.holders:,}",
            ]
        )  # fmt: skip
    head = (
        "second", "acquire", "sync", "record", "consume", "demand", "admitted", "refused", "left, %",
        "stranded, %", "lost, %", "forfeited, %", "open leases",
    )  # fmt: skip
    return table(head, rows)


def plot(world: World, path: Path) -> None:
    """Calls a second, and where the limit is, over time."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    setup, seconds, most = world.setup, world.seconds, world.setup.most
    times = [number + 1 for number in range(len(seconds))]
    figure, (calls, limit, lost) = pyplot.subplots(3, 1, figsize=(10, 11), sharex=True, layout="constrained")
    kinds = [kind for kind in seconds[0].calls if any(one.calls[kind] for one in seconds)]
    calls.stackplot(times, [[one.calls[kind] for one in seconds] for kind in kinds], labels=kinds)
    calls.set_ylabel("server calls a second")
    used = [100 - 100 * (one.left + one.stranded + one.wrecked) / most for one in seconds]
    parts = {
        "used": used,
        "stranded: at holders, not spent": [100 * one.stranded / most for one in seconds],
        "lost with killed holders": [100 * one.wrecked / most for one in seconds],
        "left": [100 * one.left / most for one in seconds],
    }
    limit.stackplot(times, list(parts.values()), labels=list(parts))
    limit.set_ylabel("share of the limit, %")
    for name, values in {
        "stranded": [100 * one.stranded / most for one in seconds],
        "lost with killed holders": [100 * one.wrecked / most for one in seconds],
        "forfeited by the ledger": [100 * one.forfeited / most for one in seconds],
        "refused before all was used, of the demand": [100 * one.refused / max(one.demand, 1) for one in seconds],
    }.items():
        lost.plot(times, [max(value, 1e-4) for value in values], label=name)
    lost.set_yscale("log")
    lost.set_ylabel("%, logarithmic")
    lost.set_xlabel("seconds")
    for axes in (calls, limit, lost):
        axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), fontsize="small")
        if "demand" in world.reached:
            axes.axvline(world.reached["demand"], color="black", linestyle=":", linewidth=1)
    figure.suptitle(
        f"Leases: {setup.holders:,} holders, {setup.rate:,.0f} decisions a second, a limit of {most:,}, "
        f"seed {setup.seed}\ndotted: the demand has reached the limit"
    )
    figure.savefig(path, dpi=110, metadata={"Software": None})
    pyplot.close(figure)
