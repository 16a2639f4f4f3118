"""`metergate usage amend`, `void` and `history`: what was recorded wrongly, and what became of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import typer

from metergate.cli import messages, times
from metergate.cli.connection import Connection, connect
from metergate.cli.errors import CliError
from metergate.cli.options import pairs, request_id
from metergate.cli.screen import screen
from metergate.v1 import usage_pb2 as pb
from metergate.v1.usage_event_pb2 import UsageEvent

_PAGE = 1000
EventId = Annotated[str, typer.Argument(metavar="ID", help="The event's id.")]
Source = Annotated[str, typer.Option(help="Where its id is from; by default the key's service.")]
Reason = Annotated[str, typer.Option(help="Why; it stands in the history.")]
Customer = Annotated[str, typer.Option(help="For whom it counts, of an event whose id is forgotten.")]
CountTime = Annotated[str, typer.Option(help="When it counts, of an event whose id is forgotten.")]


def amend(
    event_id: EventId,
    *,
    source: Source = "",
    reason: Reason = "",
    kind: Annotated[str, typer.Option("--type", help="The new event type.")] = "",
    amount: Annotated[str, typer.Option(help="The new amount.")] = "",
    subject: Annotated[str, typer.Option(help="What used it instead.")] = "",
    time: Annotated[str, typer.Option(help="When it happened instead.")] = "",
    value: Annotated[list[str] | None, typer.Option(help="The new named values, NAME=DECIMAL. Repeatable.")] = None,
    label: Annotated[list[str] | None, typer.Option(help="The new labels, NAME=VALUE. Repeatable.")] = None,
    no_labels: Annotated[bool, typer.Option("--no-labels", help="It has no labels.")] = False,
    backfill: Annotated[bool, typer.Option("--backfill", help="Take a new time of any age.")] = False,
    customer: Customer = "",
    count_time: CountTime = "",
) -> None:
    """Corrects an event; what is not given stays as it is. Everything that it counts in follows at once."""
    with connect() as connection:
        stands = _latest(connection, event_id, source)
        event = stands.event
        event.id, event.source = event_id, source or event.source
        for field, text in (("type", kind), ("amount", amount), ("subject", subject)):
            if text:
                setattr(event, field, text)
        if time:
            event.time.CopyFrom(times.moment_option(time))
        _replace(event, value, label, no_labels)
        request = pb.AmendUsageRequest(
            event=event, reason=reason, backfill=backfill, expected_version=stands.version, request_id=request_id(),
            customer=customer, count_time=times.moment_option(count_time) if count_time else None,
        )  # fmt: skip
        answer = connection.call("UsageService", "AmendUsage", request, pb.AmendUsageResponse)
    _show(answer)


def _replace(event: UsageEvent, values: list[str] | None, labels: list[str] | None, no_labels: bool) -> None:
    if values:
        event.values.clear()
        event.values.update(pairs(values, "--value"))
    if labels or no_labels:
        event.labels.clear()
        event.labels.update(pairs(labels or [], "--label"))


def void(
    event_id: EventId,
    *,
    source: Source = "",
    reason: Reason = "",
    customer: Customer = "",
    count_time: CountTime = "",
) -> None:
    """Takes an event back. Its id stays taken."""
    request = pb.VoidUsageRequest(
        id=event_id, source=source, reason=reason, request_id=request_id(), customer=customer,
        count_time=times.moment_option(count_time) if count_time else None,
    )  # fmt: skip
    with connect() as connection:
        answer = connection.call("UsageService", "VoidUsage", request, pb.VoidUsageResponse)
    _show(answer)


def history(event_id: EventId, *, source: Source = "") -> None:
    """Lists all versions of an event, the oldest first."""
    with connect() as connection:
        found = list(_versions(connection, event_id, source))
    if screen.json:
        screen.data([messages.to_plain(one) for one in found])
        return
    columns = ["version", "what", "recorded", "counts at", "customer", "subject", "type", "amount", "labels", "reason"]
    screen.table([*columns, "by"], [_row(one) for one in found], right=["version", "amount"])


def _row(one: pb.UsageVersion) -> tuple[str, ...]:
    event, place = one.event, one.counted
    named = [f"{name}={number}" for name, number in sorted(event.values.items())]
    return (
        str(one.version),
        messages.enum_name(one, "kind"),
        times.show(one.record_time),
        times.show(place.count_time) if one.HasField("counted") else "",
        place.customer,
        event.subject,
        event.type,
        " ".join([event.amount or ("" if named or not one.HasField("event") else "1"), *named]).strip(),
        " ".join([f"{name}={text}" for name, text in sorted(event.labels.items())]),
        one.reason,
        one.backfill or one.service,
    )


def _versions(connection: Connection, event_id: str, source: str) -> Iterator[pb.UsageVersion]:
    token = ""
    while True:
        request = pb.GetUsageHistoryRequest(id=event_id, source=source, page_size=_PAGE, page_token=token)
        page = connection.call("UsageService", "GetUsageHistory", request, pb.GetUsageHistoryResponse)
        yield from page.versions
        if not (token := page.next_page_token):
            return


def _latest(connection: Connection, event_id: str, source: str) -> pb.UsageVersion:
    latest = list(_versions(connection, event_id, source))[-1]
    if not latest.HasField("event"):
        raise CliError(f"Event {event_id!r} was voided; nothing of it is left to correct.", reason="EVENT_VOIDED")
    return latest


def _show(answer: pb.AmendUsageResponse | pb.VoidUsageResponse) -> None:
    if screen.json:
        screen.data(messages.to_plain(answer))
        return
    receipt = answer.receipt
    words = [f"{receipt.event_id} is at version {receipt.version}"]
    if receipt.HasField("counted"):
        words.append(f"counts {_where(receipt.counted)}")
    if receipt.HasField("taken_back"):
        words.append(f"no more {_where(receipt.taken_back)}")
    if receipt.unmatched:
        words.append(f"its {receipt.unmatched} is unknown, it counts once there is one")
    screen.line(" · ".join(words))


def _where(place: pb.UsagePlace) -> str:
    return f"for {place.customer or 'nobody yet'} at {times.show(place.count_time)}"
