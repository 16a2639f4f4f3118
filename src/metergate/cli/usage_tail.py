"""`metergate usage tail`: what arrives, and which meters it counts in."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from metergate.cli import messages, times
from metergate.cli.connection import Connection, connect
from metergate.cli.screen import screen
from metergate.cli.usage_events import amounts, matched, pages
from metergate.v1.usage_pb2 import ListUsageEventsRequest, RecordedEvent

# Commits become visible in another order than their record times: what is this old may still appear.
_OVERLAP = timedelta(seconds=10)
_PAGE = 1000


def tail(
    since: Annotated[str, typer.Option(help="How far back to begin: 30s, 10m, 2h, 1d.")] = "10m",
    interval: Annotated[float, typer.Option(min=0.1, help="Seconds between two looks.")] = 1.0,
    once: Annotated[bool, typer.Option("--once", help="Print what is there and stop.")] = False,
) -> None:
    """Prints events as they arrive, until Ctrl-C."""
    with connect() as connection:
        follower = Follower(connection, datetime.now(UTC) - times.duration_option(since))
        try:
            while True:
                for event in follower.new():
                    show(event)
                if once:
                    return
                time.sleep(interval)
        except KeyboardInterrupt:
            return


class Follower:
    """Asks again and again for what arrived, and gives each event once."""

    def __init__(self, connection: Connection, start: datetime) -> None:
        self._connection = connection
        self._start = start
        self._seen: dict[tuple[str, str], datetime] = {}

    def new(self) -> Iterator[RecordedEvent]:
        """What arrived since the last call, in order of arrival."""
        request = ListUsageEventsRequest(start_time=times.to_timestamp(self._start), page_size=_PAGE)
        latest = self._start
        for event in pages(self._connection, request):
            arrived = times.from_timestamp(event.record_time)
            latest = max(latest, arrived)
            key = (event.event.source, event.event.id)
            if key not in self._seen:
                self._seen[key] = arrived
                yield event
        self._start = max(self._start, latest - _OVERLAP)
        self._seen = {key: arrived for key, arrived in self._seen.items() if arrived >= self._start}


def show(recorded: RecordedEvent) -> None:
    """Prints one event."""
    if screen.json:
        screen.data(messages.to_plain(recorded))
        return
    event = recorded.event
    arrow = f"{'taken back from' if recorded.taken_back else '→'} {matched(recorded)}"
    screen.line(f"{times.show(recorded.record_time)}  {event.subject}  {event.type}  {amounts(recorded)}  {arrow}")
