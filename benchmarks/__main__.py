"""`python -m benchmarks NAME [--json]`; `all` runs every one and writes benchmarks/results.md."""

from __future__ import annotations

import platform
import sys
from datetime import UTC, datetime
from pathlib import Path

import psutil
import typer

from benchmarks.benches import BENCHMARKS
from benchmarks.report import BrokenPromise, Result, figure, show


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
        if name == "all":  # what was measured stays, should the rest be broken off
            Path(__file__).with_name("results.md").write_text(_page(results))
            print(f"{one}: measured", file=sys.stderr)
    show(results, as_json)
    if not all(row.met for one in results for row in one.rows()):
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
    for one in (row for result in results for row in result.rows()):
        low, high = one.spread
        lines.append(
            f"| `{one.name}` | {figure(one.product)} {one.unit} | {figure(one.floor)} {one.unit} | "
            f"{one.ratio:.3g} ({low:.3g} to {high:.3g}) | {one.aim} | {'met' if one.met else 'missed'} |"
        )
    return "\n".join(lines) + "\n"


typer.run(main)
