"""`metergate quota events`: the thresholds of limits that were reached."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Annotated

import typer

from metergate.cli import messages, times
from metergate.cli.connection import Connection, connect
from metergate.cli.quota_words import labels_in_words
from metergate.cli.screen import grouped, screen
from metergate.v1.quota_pb2 import LimitEvent, ListLimitEventsRequest, ListLimitEventsResponse

_PAGE = 1000


def events(
    customer: Annotated[str, typer.Option(help="Only this customer's.")] = "",
    limit: Annotated[int, typer.Option(min=1, help="The most to print.")] = 100,
) -> None:
    """Lists the thresholds that were reached, newest first: each fires once per window."""
    with connect() as connection:
        found = list(islice(_pages(connection, customer, min(limit, _PAGE)), limit))
    if screen.json:
        screen.data([messages.to_plain(event) for event in found])
        return
    columns = ["time", "customer", "limit", "threshold", "taken", "max", "window from"]
    screen.table(columns, [_row(event) for event in found], right=["threshold", "taken", "max"])


def _pages(connection: Connection, customer: str, size: int) -> Iterator[LimitEvent]:
    token = ""
    while True:
        request = ListLimitEventsRequest(customer=customer, page_size=size, page_token=token)
        page = connection.call("QuotaService", "ListLimitEvents", request, ListLimitEventsResponse)
        yield from page.events
        if not (token := page.next_page_token):
            return


def _row(event: LimitEvent) -> tuple[str, ...]:
    whose = [event.subject] if event.subject else []
    whose += [labels_in_words(event.labels)] if event.labels else []
    return (
        times.show(event.create_time),
        event.customer,
        f"{event.limit} [{', '.join(whose)}]" if whose else event.limit,
        f"{event.threshold}%" if event.threshold else "exceeded",
        grouped(event.taken),
        grouped(event.max),
        times.show(event.window.start_time) if event.HasField("window") else "",
    )
