"""`metergate webhook deliveries` and `replay`: what was sent, and sending it again."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Annotated, Literal

import typer

from metergate.cli import messages, times
from metergate.cli.connection import Connection, connect
from metergate.cli.screen import screen
from metergate.v1 import notification_pb2 as pb

_PAGE = 1000
_SERVICE = "NotificationService"
CustomerOption = Annotated[str, typer.Option(help="Only of this customer; by default of all.")]


def deliveries(
    endpoint: Annotated[str, typer.Option(help="Only to this endpoint; by default to all.")] = "",
    customer: CustomerOption = "",
    state: Annotated[Literal["pending", "delivered", "dead"] | None, typer.Option(help="Only in this state.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="The most to print.")] = 100,
) -> None:
    """Lists deliveries that were begun, newest first."""
    request = pb.ListDeliveriesRequest(
        endpoint=endpoint,
        customer=customer,
        state=f"STATE_{state.upper()}" if state else None,
        page_size=min(limit, _PAGE),
    )
    with connect() as connection:
        found = list(islice(_pages(connection, request), limit))
    if screen.json:
        screen.data([messages.to_plain(one) for one in found])
        return
    columns = ["recorded", "endpoint", "customer", "seq", "type", "state", "tries", "error"]
    screen.table(columns, [_row(one) for one in found], right=["seq", "tries"])


def replay(
    endpoint: Annotated[str, typer.Argument(metavar="ENDPOINT", help="The endpoint's id.")],
    *,
    customer: CustomerOption = "",
    start: Annotated[str, typer.Option(help="All that was recorded from then on, in RFC 3339.")] = "",
    end: Annotated[str, typer.Option(help="All that was recorded before then; by default now.")] = "",
) -> None:
    """Sends dead letters again, or with --start or --end all news of a range of time that are still kept."""
    request = pb.ReplayDeliveriesRequest(
        endpoint=endpoint,
        customer=customer,
        start_time=times.moment_option(start) if start else None,
        end_time=times.moment_option(end) if end else None,
    )
    with connect() as connection:
        answer = connection.call(_SERVICE, "ReplayDeliveries", request, pb.ReplayDeliveriesResponse)
    if screen.json:
        screen.data({"replayed": answer.replayed})
    else:
        screen.line(f"{answer.replayed} to be sent again")


def _pages(connection: Connection, request: pb.ListDeliveriesRequest) -> Iterator[pb.Delivery]:
    while True:
        page = connection.call(_SERVICE, "ListDeliveries", request, pb.ListDeliveriesResponse)
        yield from page.deliveries
        if not page.next_page_token:
            return
        request.page_token = page.next_page_token


def _row(one: pb.Delivery) -> tuple[str, ...]:
    state = messages.enum_name(one, "state")
    return (
        times.show(one.create_time), one.endpoint, one.customer, str(one.seq), one.type, state, str(one.attempts),
        one.error,
    )  # fmt: skip
