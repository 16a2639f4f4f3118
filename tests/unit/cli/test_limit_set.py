"""`metergate limit set`: which limit each combination of options asks for, and how it reads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format

from metergate.cli.catalog import read_catalog
from metergate.cli.errors import CliError
from metergate.v1.catalog_pb2 import Limit, SetLimitResponse
from tests.unit.cli.conftest import Run
from tests.unit.cli.fake_server import FakeServer
from tests.unit.cli.test_commands import answers


@pytest.mark.parametrize(
    ("options", "asked", "said"),
    [
        ("", {"kind": "CALENDAR", "period": "MONTH"}, "hard 100 a month per customer"),
        ("--per hour", {"kind": "CALENDAR", "period": "HOUR"}, "hard 100 an hour per customer"),
        (
            "--per week --week-start sunday",
            {"kind": "CALENDAR", "period": "WEEK", "week_start": "SUNDAY"},
            "hard 100 a week from sunday per customer",
        ),
        ("--anchored", {"kind": "ANCHORED", "period": "MONTH"}, "hard 100 a month from the customer's anchor"),
        ("--anchored --per year", {"kind": "ANCHORED", "period": "YEAR"}, "hard 100 a year from the customer's anchor"),
        ("--per 90s", {"kind": "FIXED", "length": "90s"}, "hard 100 each 90s"),
        ("--per 30d", {"kind": "FIXED", "length": "2592000s"}, "hard 100 each 30d"),
        ("--per lifetime", {"kind": "LIFETIME"}, "hard 100 in all"),
        ("--rolling --per 1h", {"kind": "ROLLING", "length": "3600s"}, "hard 100 in any 1h"),
        ("--rolling --per day --sub-windows 24", {"kind": "ROLLING", "length": "86400s", "sub_windows": 24},
         "hard 100 in any 1d"),
        ("--rate", {"kind": "RATE", "length": "1s"}, "hard 100 per 1s"),
        ("--rate --per minute --burst 1000", {"kind": "RATE", "length": "60s", "burst": "1000"},
         "hard 100 per 1m, 1,000 at once"),
        ("--concurrent", {"kind": "CONCURRENCY"}, "hard 100 at once"),
        ("--grace 5", {"kind": "CALENDAR", "period": "MONTH", "policy": "GRACE", "grace": "5"},
         "grace 100 a month and 5 of grace"),
        ("--grace-period 2h", {"kind": "CALENDAR", "period": "MONTH", "policy": "GRACE", "grace_period": "7200s"},
         "grace 100 a month and 2h of grace"),
        ("--grace 5 --grace-period 30d",
         {"kind": "CALENDAR", "period": "MONTH", "policy": "GRACE", "grace": "5", "grace_period": "2592000s"},
         "grace 100 a month and 5 for 30d of grace"),
        ("--shadow --threshold 80 --threshold 100 --when-view-gone deny",
         {"kind": "CALENDAR", "period": "MONTH", "shadow": True, "thresholds": [80, 100], "when_view_gone": "DENY"},
         "shadow hard 100 a month"),
    ],
)  # fmt: skip
def test_limit_set(run: Run, fake: FakeServer, options: str, asked: dict[str, Any], said: str) -> None:
    limit = json_format.ParseDict(
        {"meter": "m", "max": "100", "scope": "SCOPE_CUSTOMER", "policy": "POLICY_HARD",
         "when_view_gone": "WHEN_VIEW_GONE_LEDGER", **_full(asked)},
        Limit(),
    )  # fmt: skip
    answered = Limit()
    answered.CopyFrom(limit)
    answered.name = "m/l"
    requests = answers(fake, "CatalogService/SetLimit", SetLimitResponse(plan="default", limit=answered))
    done = run("limit", "set", "m", "100", *options.split())
    assert done.code == 0, done.err
    assert requests[0].limit == limit
    assert done.out.startswith(f"m/l: {said}"), done.out


PREFIXES = {"kind": "LIMIT_KIND_", "period": "PERIOD_", "week_start": "WEEKDAY_", "policy": "POLICY_",
            "when_view_gone": "WHEN_VIEW_GONE_"}  # fmt: skip


def _full(asked: dict[str, Any]) -> dict[str, Any]:
    return {name: PREFIXES[name] + value if name in PREFIXES else value for name, value in asked.items()}


@pytest.mark.parametrize(
    ("options", "option"),
    [
        ("--per fortnight", "--per"),
        ("--rolling", "--per"),
        ("--rolling --per month", "--per"),
        ("--rate --per year", "--per"),
        ("--concurrent --per day", "--per"),
        ("--anchored --per 90s", "--per"),
        ("--anchored --per lifetime", "--per"),
        ("--rolling --rate", "--rate"),
        ("--soft --grace 5", "--grace"),
        ("--soft --grace-period 1h", "--grace-period"),
        ("--grace-period forever", "--grace-period"),
        ("--threshold many", "--threshold"),
        ("--week-start noday", "--week-start"),
        ("--when-view-gone maybe", "--when-view-gone"),
    ],
)
def test_options_that_contradict_each_other_are_wrong_usage(run: Run, options: str, option: str) -> None:
    done = run("limit", "set", "m", "100", *options.split())
    assert done.code == 2
    assert option in done.err


CATALOG = """
plans:
  - name: default
    limits:
      - {{meter: m, max: 100, kind: rolling, length: {length}, thresholds: [80, 100], shadow: true,
         grace_period: {length}}}
"""


@pytest.mark.parametrize(
    ("length", "seconds"), [("90s", 90), ("10m", 600), ("2h", 7200), ("30d", 2_592_000), ("3600s", 3600)]
)
def test_lengths_in_yaml_are_written_as_on_the_command_line(tmp_path: Path, length: str, seconds: int) -> None:
    path = tmp_path / "catalog.yaml"
    path.write_text(CATALOG.format(length=length))
    limit = read_catalog(path).plans[0].limits[0]
    assert (limit.length.seconds, limit.length.nanos, list(limit.thresholds)) == (seconds, 0, [80, 100])
    assert limit.grace_period == limit.length


@pytest.mark.parametrize("length", ["1 hour", "1w", "-5s", "0.5s", "60"])
def test_p12_a_length_in_yaml_that_is_none_is_named(tmp_path: Path, length: str) -> None:
    path = tmp_path / "catalog.yaml"
    path.write_text(CATALOG.format(length=length))
    with pytest.raises(CliError, match=r"plans\[0\]\.limits\[0\]\.length: .* is not a stretch of time"):
        read_catalog(path)
