"""`metergate quota limits`: the state of a subject's limits."""

from __future__ import annotations

from typing import Annotated

import typer

from metergate.cli import messages, times
from metergate.cli.connection import Connection, connect
from metergate.cli.quota_words import limit_table
from metergate.cli.screen import screen
from metergate.v1 import quota_pb2 as pb


def limits(
    subject: Annotated[str, typer.Argument(help="The subject, or a customer's own id.")],
    meter: Annotated[list[str] | None, typer.Option(help="Only this meter's limits. Repeat for more.")] = None,
) -> None:
    """Shows each limit of a subject: what is used, held and left, and when it is whole again."""
    with connect() as connection:
        answer = ask(connection, subject, meter or [])
    if screen.json:
        screen.data(messages.to_plain(answer))
        return
    screen.line(heading(answer))
    screen.show(limit_table(answer.limits))


def ask(connection: Connection, subject: str, meters: list[str]) -> pb.ListLimitsResponse:
    """The limits as the ledger has them now. Raises CliError."""
    request = pb.ListLimitsRequest(subject=subject, meters=meters)
    return connection.call("QuotaService", "ListLimits", request, pb.ListLimitsResponse)


def heading(answer: pb.ListLimitsResponse) -> str:
    """Whose limits these are, and when they were so."""
    return f"customer {answer.customer} on plan {answer.plan}, as of {times.show(answer.as_of)}"
