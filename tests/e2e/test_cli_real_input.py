"""The command line on input that nobody made up: `../shared/data` beside the checkout, skipped where it is not."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import uuid
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

REPOSITORY = Path(__file__).parents[2]
DATA = REPOSITORY.parent / "shared" / "data"
TRACE = DATA / "azure_llm_code_2023.csv"
LOG = DATA / "apache_access_2015.log"
REJECTED = "rejected.csv"

TRACE_FLAGS = [
    "--time", "TIMESTAMP", "--value", "input_tokens=ContextTokens", "--value", "output_tokens=GeneratedTokens",
    "--type", "llm.request", "--backfill",
]  # fmt: skip
CATALOG = REPOSITORY / "examples" / "dev.yaml"

# What awk says of the log: for each key the requests and the bytes; a size of "-" is 0.
_SUMS = r'{ n[k]++; b[k] += $10 } END { for (k in n) printf "%s %d %.0f\n", k, n[k], b[k] }'
AWK_BY = {
    "day": rf"""awk '{{ k = substr($4, 2, 11) }} {_SUMS}' "$1" """,
    "status": rf"""awk '{{ k = $9 }} {_SUMS}' "$1" """,
    "method": rf"""awk '{{ k = substr($6, 2) }} {_SUMS}' "$1" """,
}


def command(server: Any, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Runs `metergate` as a person would, against the test's server."""
    environment = os.environ | {"METERGATE_URL": server.grpc_url, "METERGATE_KEY": server.key, "COLUMNS": "200"}
    program = [sys.executable, "-m", "metergate.cli", *map(str, arguments)]
    return subprocess.run(
        program, cwd=REPOSITORY, env=environment, capture_output=True, text=True, timeout=120, check=False
    )


def answer(server: Any, *arguments: str | Path) -> Any:
    """What a command says with `--json`."""
    done = command(server, *arguments, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def have_meters(server: Any, folder: Path) -> None:
    """Adds the example's meters to the catalog in force; other tests may need what is in it."""
    held = yaml.safe_load(command(server, "catalog", "get").stdout) or {}
    wanted = yaml.safe_load(CATALOG.read_text())
    meters = {meter["name"]: meter for meter in [*held.get("meters", []), *wanted["meters"]]}
    path = folder / "catalog.yaml"
    path.write_text(yaml.safe_dump(wanted | held | {"meters": list(meters.values())}))
    applied = command(server, "catalog", "apply", path)
    assert applied.returncode == 0, applied.stderr


def new_customer(server: Any, name: str) -> str:
    """A customer that no other test knows; other tests may use the same server."""
    made = f"{name}-{uuid.uuid4().hex[:8]}"
    assert command(server, "customer", "create", made).returncode == 0
    return made


def taken(summary: dict[str, Any]) -> dict[str, int]:
    return {name: summary[name] for name in ("rows", "accepted", "duplicates", "conflicts", "rejected", "unmatched")}


def became(*, rows: int, accepted: int, duplicates: int) -> dict[str, int]:
    counts = {"rows": rows, "accepted": accepted, "duplicates": duplicates}
    return counts | {"conflicts": 0, "rejected": 0, "unmatched": 0}


def totals(summary: dict[str, Any]) -> dict[str, int]:
    return {series["meter"]: int(series["total"]) for series in summary["series"]}


def awk(key: str) -> dict[str, tuple[int, int]]:
    """Requests and bytes by a key of the log."""
    done = subprocess.run(["sh", "-c", AWK_BY[key], "awk", LOG], capture_output=True, text=True, check=True)
    rows = (line.split() for line in done.stdout.splitlines())
    return {name: (int(requests), int(size)) for name, requests, size in rows}


@pytest.mark.skipif(not TRACE.exists(), reason="needs ../shared/data beside the repository")
def test_p1_the_azure_trace_counts_once_however_often_it_is_imported(server: Any, tmp_path: Path) -> None:
    have_meters(server, tmp_path)
    customer = new_customer(server, "azure")
    flags = [*TRACE_FLAGS, "--subject", customer, "--series", customer, "--rejected", tmp_path / REJECTED]
    first = taken(answer(server, "usage", "import", TRACE, *flags))
    assert first == became(rows=8819, accepted=8819, duplicates=0)
    _assert_trace_is_in(server, customer)
    again = taken(answer(server, "usage", "import", TRACE, *flags))
    assert again == became(rows=8819, accepted=0, duplicates=8819)
    _assert_trace_is_in(server, customer)
    assert not (tmp_path / REJECTED).exists()


def _assert_trace_is_in(server: Any, customer: str) -> None:
    by_minute: dict[str, Counter[str]] = {"input_tokens": Counter(), "output_tokens": Counter()}
    with TRACE.open(newline="") as file:
        for row in csv.DictReader(file):
            minute = row["TIMESTAMP"][:16].replace(" ", "T") + ":00Z"
            by_minute["input_tokens"][minute] += int(row["ContextTokens"])
            by_minute["output_tokens"][minute] += int(row["GeneratedTokens"])
    asked = ["usage", "summary", "--subject", customer, "--from", "2023-11-16", "--to", "2023-11-17"]
    meters = ["--meter", "input_tokens", "--meter", "output_tokens"]
    summary = answer(server, *asked, *meters, "--by", "minute")
    assert totals(summary) == {"input_tokens": 18_059_974, "output_tokens": 245_896}
    assert {int(series["event_count"]) for series in summary["series"]} == {8819}
    for series in summary["series"]:
        points = {point["start_time"]: int(point["value"]) for point in series["points"]}
        assert len(points) == 24 * 60
        assert {start: value for start, value in points.items() if value} == dict(by_minute[series["meter"]])


@pytest.mark.skipif(not LOG.exists(), reason="needs ../shared/data beside the repository")
def test_p1_the_apache_log_adds_up_as_awk_says(server: Any, tmp_path: Path) -> None:
    have_meters(server, tmp_path)
    customer = new_customer(server, "apache")
    flags = ["--subject", customer, "--series", customer, "--backfill", "--rejected", tmp_path / REJECTED]
    first = taken(answer(server, "usage", "import", LOG, *flags))
    assert first == became(rows=10_000, accepted=10_000, duplicates=0)
    asked = ["usage", "summary", "--subject", customer, "--from", "2015-05-17", "--to", "2015-05-21"]
    asked += ["--meter", "requests", "--meter", "bytes"]
    _assert_groups(answer(server, *asked, "--group-by", "status"), "status")
    _assert_groups(answer(server, *asked, "--group-by", "method"), "method")
    _assert_days(answer(server, *asked, "--by", "day"))
    again = taken(answer(server, "usage", "import", LOG, *flags))
    assert again == became(rows=10_000, accepted=0, duplicates=10_000)
    assert totals(answer(server, *asked))["requests"] == 10_000


def _assert_groups(summary: dict[str, Any], label: str) -> None:
    found: dict[str, dict[str, int]] = {"requests": {}, "bytes": {}}
    for series in summary["series"]:
        found[series["meter"]][series["group"][label]] = int(series["total"])
    expected = awk(label)
    assert found["requests"] == {key: requests for key, (requests, _) in expected.items()}
    assert found["bytes"] == {key: size for key, (_, size) in expected.items()}


def _assert_days(summary: dict[str, Any]) -> None:
    expected = awk("day")
    for series in summary["series"]:
        which = ("requests", "bytes").index(series["meter"])
        days = {point["start_time"][:10]: int(point["value"]) for point in series["points"]}
        assert days == {f"2015-05-{day[:2]}": figures[which] for day, figures in expected.items()}
    assert sum(requests for requests, _ in expected.values()) == 10_000
