"""`metergate usage watch`: what is recorded of a customer, as it is recorded, in its order."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import islice
from typing import Annotated

import typer

from metergate.cli.connection import Connection, connect
from metergate.cli.errors import CliError
from metergate.cli.usage_tail import show
from metergate.v1.usage_pb2 import RecordedEvent, WatchUsageRequest, WatchUsageResponse

_PAUSE_SECONDS = 1.0
_AGAIN = ("UNREACHABLE", "SHUTTING_DOWN", "LEDGER_UNAVAILABLE", "OVERLOADED", "UNAVAILABLE", "CANCELLED", "INTERNAL")


def watch(
    customer: Annotated[str, typer.Option(help="All subjects of this customer.")] = "",
    subject: Annotated[str, typer.Option(help="Only this subject.")] = "",
    after: Annotated[int | None, typer.Option(min=0, help="From after this seq on; by default from now on.")] = None,
    kind: Annotated[list[str] | None, typer.Option("--type", help="Only this type. Repeatable.")] = None,
    meter: Annotated[list[str] | None, typer.Option(help="Only what counts in this meter. Repeatable.")] = None,
    count: Annotated[int, typer.Option(min=0, help="How many events; 0 = until Ctrl-C.")] = 0,
) -> None:
    """Prints events as they are recorded, corrections too, until Ctrl-C; with --json one object a line.

    Each has the `seq` after which `--after` goes on. When the server goes away, it goes on by itself with the next one.
    """
    request = WatchUsageRequest(customer=customer, subject=subject, types=kind or [], meters=meter or [])
    if after is not None:
        request.after_seq = after
    try:
        with connect() as connection:
            for event in islice(follow(connection, request), count or None):
                show(event)
    except KeyboardInterrupt:
        return


def follow(connection: Connection, request: WatchUsageRequest) -> Iterator[RecordedEvent]:
    """Each event once: after a break it goes on behind what was told."""
    told = 0  # events behind after_seq; more than none where a commit takes several messages
    began = False
    while True:
        passed = 0  # as many of these as came again
        try:
            for answer in connection.stream("UsageService", "WatchUsage", request, WatchUsageResponse):
                for event in answer.events:
                    passed += 1
                    if passed > told:
                        told = passed
                        yield event
                if not began or answer.seq > request.after_seq:
                    request.after_seq, told, passed, began = answer.seq, 0, 0, True
        except CliError as error:
            if not began or error.reason not in _AGAIN:
                raise
        time.sleep(_PAUSE_SECONDS)
