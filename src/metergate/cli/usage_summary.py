"""`metergate usage summary`: sums, as tables with bars."""

from __future__ import annotations

from collections.abc import Callable
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
    LabelValues,
    ProjectionMethod,
    UsageSeries,
)

By = Literal["none", "minute", "hour", "day", "week", "month"]
Ahead = Literal["no", "linear", "same-weekday"]
_METHODS = {
    "no": ProjectionMethod.PROJECTION_METHOD_UNSPECIFIED,
    "linear": ProjectionMethod.PROJECTION_METHOD_LINEAR,
    "same-weekday": ProjectionMethod.PROJECTION_METHOD_SAME_WEEKDAY,
}


def summary(
    customer: Annotated[str, typer.Option(help="All subjects of this customer.")] = "",
    subject: Annotated[str, typer.Option(help="Only this subject.")] = "",
    meter: Annotated[list[str] | None, typer.Option(help="Only this meter. Repeatable.")] = None,
    start: Annotated[str, typer.Option("--from", help="The first moment; by default the month's start.")] = "",
    end: Annotated[str, typer.Option("--to", help="The first moment after; by default now.")] = "",
    by: Annotated[By, typer.Option(help="How long each point is.")] = "none",
    group_by: Annotated[list[str] | None, typer.Option(help="A label, or `subject`. Repeatable.")] = None,
    filters: Annotated[
        list[str] | None, typer.Option("--filter", help="Only NAME=VALUE; of one NAME any of its values. Repeatable.")
    ] = None,
    time_zone: Annotated[str, typer.Option(help="The zone of days, weeks and months; by default the customer's.")] = "",
    top: Annotated[int, typer.Option(min=0, help="Only so many groups, and one for all others; 0 = all.")] = 0,
    compare: Annotated[bool, typer.Option("--compare", help="Beside the period before.")] = False,
    project: Annotated[Ahead, typer.Option(help="Look ahead to --to, or to the month's end.")] = "no",
    cost: Annotated[str, typer.Option(metavar="CURRENCY", help="Also the cost, by the plan of now: USD.")] = "",
    known_at_seq: Annotated[int, typer.Option(min=0, help="As it was known at this seq of an earlier answer.")] = 0,
    known_at: Annotated[str, typer.Option(help="As it was known at this moment.")] = "",
) -> None:
    """Sums up usage of a customer or a subject."""
    zone = times.zone(time_zone) if time_zone else UTC
    only = _values(filters or [])
    request = GetUsageSummaryRequest(
        customer=customer,
        subject=subject,
        meters=meter or [],
        start_time=times.moment_option(start, zone) if start else None,
        end_time=times.moment_option(end, zone) if end else None,
        granularity=f"GRANULARITY_{by.upper()}",
        time_zone=time_zone,
        group_by=group_by or [],
        filters={name: values[0] for name, values in only.items() if len(values) == 1},
        filters_any={name: LabelValues(values=values) for name, values in only.items() if len(values) > 1},
        top=top,
        compare=compare,
        projection=_METHODS[project],
        known_at_seq=known_at_seq,
        known_at_time=times.moment_option(known_at, zone) if known_at else None,
        cost_currency=cost,
    )
    with connect() as connection:
        answer = connection.call("UsageService", "GetUsageSummary", request, GetUsageSummaryResponse)
    if screen.json:
        screen.data(messages.to_plain(answer))
        return
    _print_totals(answer, group_by or [], zone, cost)
    for series in answer.series:
        if series.points:
            _print_points(series, zone)


def _values(filters: list[str]) -> dict[str, list[str]]:
    """The values that are taken, by label."""
    found: dict[str, list[str]] = {}
    for text in filters:
        for name, value in pairs([text], "--filter").items():
            found.setdefault(name, []).append(value)
    return found


def _print_totals(answer: GetUsageSummaryResponse, group_by: list[str], zone: tzinfo, currency: str) -> None:
    window = answer.window
    shown = f"{times.show(window.start_time, zone)} to {times.show(window.end_time, zone)}"
    screen.line(f"{shown}, as of {times.show(answer.as_of, zone)}{f' (seq {answer.seq})' if answer.seq else ''}")
    most: dict[str, Decimal] = {}
    for series in answer.series:
        most[series.meter] = max(most.get(series.meter, Decimal(0)), _figure(series.total))
    more = ["before", "change"] if answer.HasField("previous_window") else []
    more += ["projected"] if answer.projection else []
    costs = {f"cost {currency}": "cost", f"projected {currency}": "projected_cost"} if currency else {}
    if not answer.projection:
        costs.pop(f"projected {currency}", None)
    rows = [
        (
            series.meter,
            *("(others)" if series.other else series.group.get(name, "") for name in group_by),
            grouped(series.total),
            f"{series.event_count:,}",
            *(_MORE[name](series) for name in more),
            *(grouped(getattr(series, name)) for name in costs.values()),
            bar(_figure(series.total), most[series.meter]) if group_by else "",
        )
        for series in answer.series
    ]
    screen.table(
        ["meter", *group_by, "total", "events", *more, *costs, ""], rows, right=["total", "events", *more, *costs]
    )


_MORE: dict[str, Callable[[UsageSeries], str]] = {
    "before": lambda series: grouped(series.previous_total),
    "change": lambda series: f"{series.change_percent} %" if series.change_percent else "",
    "projected": lambda series: grouped(series.projected_total),
}


def _figure(text: str) -> Decimal:
    """Empty where there is no number."""
    return Decimal(text or 0)


def _print_points(series: UsageSeries, zone: tzinfo) -> None:
    group = " ".join(f"{name}={value}" for name, value in sorted(series.group.items()))
    screen.line("")
    screen.line(f"{series.meter} {group}".rstrip())
    values = [_figure(point.value) for point in series.points]
    most = max(values)
    rows = [
        (times.show(point.start_time, zone), grouped(point.value), bar(value, most))
        for point, value in zip(series.points, values, strict=True)
    ]
    screen.table(["from", "value", ""], rows, right=["value"])
