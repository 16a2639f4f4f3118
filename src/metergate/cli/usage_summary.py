"""`metergate usage summary`: sums, as tables with bars."""

from __future__ import annotations

from datetime import UTC, tzinfo
from decimal import Decimal
from typing import Annotated, Literal

import typer

from metergate.cli import messages, times
from metergate.cli.connection import connect
from metergate.cli.options import pairs
from metergate.cli.screen import bar, grouped, screen
from metergate.v1.usage_pb2 import (
    GetUsageSummaryRequest,
    GetUsageSummaryResponse,
    UsageSeries,
)

By = Literal["none", "minute", "hour", "day", "week", "month"]


def summary(
    customer: Annotated[str, typer.Option(help="All subjects of this customer.")] = "",
    subject: Annotated[str, typer.Option(help="Only this subject.")] = "",
    meter: Annotated[list[str] | None, typer.Option(help="Only this meter. Repeatable.")] = None,
    start: Annotated[str, typer.Option("--from", help="The first moment; by default the month's start.")] = "",
    end: Annotated[str, typer.Option("--to", help="The first moment after; by default now.")] = "",
    by: Annotated[By, typer.Option(help="How long each point is.")] = "none",
    group_by: Annotated[list[str] | None, typer.Option(help="A dimension, or `subject`. Repeatable.")] = None,
    filters: Annotated[list[str] | None, typer.Option("--filter", help="Only NAME=VALUE. Repeatable.")] = None,
    time_zone: Annotated[str, typer.Option(help="The zone of days, weeks and months; by default the customer's.")] = "",
) -> None:
    """Sums up usage of a customer or a subject."""
    zone = times.zone(time_zone) if time_zone else UTC
    request = GetUsageSummaryRequest(
        customer=customer,
        subject=subject,
        meters=meter or [],
        start_time=times.moment_option(start, zone) if start else None,
        end_time=times.moment_option(end, zone) if end else None,
        granularity=f"GRANULARITY_{by.upper()}",
        time_zone=time_zone,
        group_by=group_by or [],
        filters=pairs(filters or [], "--filter"),
    )
    with connect() as connection:
        answer = connection.call("UsageService", "GetUsageSummary", request, GetUsageSummaryResponse)
    if screen.json:
        screen.data(messages.to_plain(answer))
        return
    _print_totals(answer, group_by or [], zone)
    for series in answer.series:
        if series.points:
            _print_points(series, zone)


def _print_totals(answer: GetUsageSummaryResponse, group_by: list[str], zone: tzinfo) -> None:
    window = answer.window
    shown = f"{times.show(window.start_time, zone)} to {times.show(window.end_time, zone)}"
    screen.line(f"{shown}, as of {times.show(answer.as_of, zone)}")
    most: dict[str, Decimal] = {}
    for series in answer.series:
        most[series.meter] = max(most.get(series.meter, Decimal(0)), Decimal(series.total))
    rows = [
        (
            series.meter,
            *(series.group.get(name, "") for name in group_by),
            grouped(series.total),
            f"{series.event_count:,}",
            bar(Decimal(series.total), most[series.meter]) if group_by else "",
        )
        for series in answer.series
    ]
    screen.table(["meter", *group_by, "total", "events", ""], rows, right=["total", "events"])


def _print_points(series: UsageSeries, zone: tzinfo) -> None:
    group = " ".join(f"{name}={value}" for name, value in sorted(series.group.items()))
    screen.line("")
    screen.line(f"{series.meter} {group}".rstrip())
    values = [Decimal(point.value) for point in series.points]
    most = max(values)
    rows = [
        (times.show(point.start_time, zone), grouped(point.value), bar(value, most))
        for point, value in zip(series.points, values, strict=True)
    ]
    screen.table(["from", "value", ""], rows, right=["value"])
