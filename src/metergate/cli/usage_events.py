"""`metergate usage events`: the events themselves."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Annotated

import typer

from metergate.cli import messages, times
from metergate.cli.connection import Connection, connect
from metergate.cli.screen import screen
from metergate.v1.usage_pb2 import ListUsageEventsRequest, ListUsageEventsResponse, RecordedEvent

_PAGE = 1000


def events(
    customer: Annotated[str, typer.Option(help="Only this customer's, by their time.")] = "",
    subject: Annotated[str, typer.Option(help="Only this subject's, by their time.")] = "",
    kind: Annotated[str, typer.Option("--type", help="Only this type's.")] = "",
    start: Annotated[str, typer.Option("--from", help="From this moment on.")] = "",
    end: Annotated[str, typer.Option("--to", help="Before this moment.")] = "",
    unmatched: Annotated[bool, typer.Option("--unmatched", help="Only those that count in no meter yet.")] = False,
    limit: Annotated[int, typer.Option(min=1, help="The most to print.")] = 100,
) -> None:
    """Lists events; without customer and subject in order of arrival."""
    request = ListUsageEventsRequest(
        customer=customer,
        subject=subject,
        type=kind,
        start_time=times.moment_option(start) if start else None,
        end_time=times.moment_option(end) if end else None,
        unmatched_only=unmatched,
        page_size=min(limit, _PAGE),
    )
    with connect() as connection:
        found = list(islice(pages(connection, request), limit))
    if screen.json:
        screen.data([messages.to_plain(event) for event in found])
        return
    columns = ["time", "subject", "type", "amount", "labels", "counts in", "id"]
    screen.table(columns, [row(event) for event in found], right=["amount"])


def pages(connection: Connection, request: ListUsageEventsRequest) -> Iterator[RecordedEvent]:
    """All events that a request asks for, page after page."""
    asked = ListUsageEventsRequest()
    asked.CopyFrom(request)
    while True:
        page = connection.call("UsageService", "ListUsageEvents", asked, ListUsageEventsResponse)
        yield from page.events
        if not page.next_page_token:
            return
        asked.page_token = page.next_page_token


def row(recorded: RecordedEvent) -> tuple[str, ...]:
    """An event in columns."""
    event = recorded.event
    return (
        times.show(recorded.count_time),
        event.subject,
        event.type,
        amounts(recorded),
        _pairs(event.labels.items()),
        matched(recorded),
        event.id,
    )


def amounts(recorded: RecordedEvent) -> str:
    """The amount and the named values; nothing said is 1."""
    event = recorded.event
    named = _pairs(event.values.items())
    return " ".join(part for part in (event.amount or ("" if named else "1"), named) if part)


def matched(recorded: RecordedEvent) -> str:
    """The meters that it counts in, or why it counts in none."""
    return f"unknown {recorded.unmatched}" if recorded.unmatched else ", ".join(recorded.meters)


def _pairs(items: Iterable[tuple[str, str]]) -> str:
    return " ".join(f"{name}={value}" for name, value in sorted(items))
