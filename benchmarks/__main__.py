"""`python -m benchmarks NAME [--json]`; `all` runs every one and writes benchmarks/results.md."""

from __future__ import annotations

import platform
import sys
from datetime import UTC, datetime
from pathlib import Path

import psutil
import typer

from benchmarks.benches import BENCHMARKS
from benchmarks.report import BrokenPromise, Result, show


def main(name: str, as_json: bool = typer.Option(False, "--json", help="One JSON object as the last line.")) -> None:
    """Runs a benchmark, or all of them."""
    names = list(BENCHMARKS) if name == "all" else [name]
    if unknown := [one for one in names if one not in BENCHMARKS]:
        sys.exit(f"no benchmark is called {unknown[0]}; there are: all, {', '.join(BENCHMARKS)}")
    results = []
    for one in names:
        try:
            results.append(BENCHMARKS[one]())
        except BrokenPromise as broken:
            sys.exit(f"{one}: a promise was broken: {broken}")
    show(results, as_json)
    if name == "all":
        Path(__file__).with_name("results.md").write_text(_page(results))
    if not all(one.met for one in results):
        sys.exit(1)


def _page(results: list[Result]) -> str:
    cores, memory = psutil.cpu_count(), psutil.virtual_memory().total / 2**30
    lines = [
        "# Results",
        "",
        (
            f"{datetime.now(UTC):%Y-%m-%d}, {cores} cores, {memory:.0f} GiB, {platform.system()} {platform.machine()}, "
            f"Python {platform.python_version()}; medians of five A B A B rounds, the spread of the ratio in brackets."
        ),
        "",
        "| benchmark | product | floor | ratio | aim | |",
        "|---|---|---|---|---|---|",
    ]
    for one in results:
        low, high = one.detail.get("ratio_min", one.ratio), one.detail.get("ratio_max", one.ratio)
        lines.append(
            f"| `{one.name}` | {one.product:,.0f} {one.unit} | {one.floor:,.0f} {one.unit} | "
            f"{one.ratio:.2f} ({low:.2f} to {high:.2f}) | {one.aim} | {'met' if one.met else 'missed'} |"
        )
        if "p50_ratio" in one.detail:
            p50, empty, p99 = (one.detail[key] * 1e6 for key in ("p50_s", "p50_empty_s", "p99_s"))
            lines.append(
                f"| `{one.name}` p50 at 1 in flight | {p50:,.0f} µs (p99 {p99:,.0f}) | {empty:,.0f} µs | "
                f"{one.detail['p50_ratio']:.2f} | ≤ 1.5 | {'met' if one.detail['p50_ratio'] <= 1.5 else 'missed'} |"
            )
    return "\n".join(lines) + "\n"


typer.run(main)
