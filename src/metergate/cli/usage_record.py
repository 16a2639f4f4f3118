"""`metergate usage record`: one fact."""

from __future__ import annotations

import uuid
from typing import Annotated

import typer

from metergate.cli import messages, times
from metergate.cli.connection import connect
from metergate.cli.errors import CliError
from metergate.cli.options import pairs
from metergate.cli.screen import screen
from metergate.v1.error_reason_pb2 import ErrorReason
from metergate.v1.usage_event_pb2 import Outcome, UsageEvent, UsageReceipt
from metergate.v1.usage_pb2 import RecordUsageRequest, RecordUsageResponse


def record(
    kind: Annotated[str, typer.Argument(metavar="TYPE", help="The event type, or a meter's name.")],
    amount: Annotated[str, typer.Argument(help="How much; by default 1.")] = "",
    *,
    subject: Annotated[str, typer.Option(help="What used it.")],
    event_id: Annotated[str, typer.Option("--id", help="Its id; the same id counts once. By default a new one.")] = "",
    source: Annotated[str, typer.Option(help="Where its id is from; by default the key's service.")] = "",
    time: Annotated[str, typer.Option(help="When it happened; by default now.")] = "",
    value: Annotated[list[str] | None, typer.Option(help="A named value, NAME=DECIMAL. Repeatable.")] = None,
    label: Annotated[list[str] | None, typer.Option(help="A label, NAME=VALUE. Repeatable.")] = None,
    backfill: Annotated[bool, typer.Option("--backfill", help="Take usage of any age.")] = False,
) -> None:
    """Records one usage fact. It is never refused for quota."""
    event = UsageEvent(
        id=event_id or str(uuid.uuid4()),
        source=source,
        type=kind,
        subject=subject,
        time=times.moment_option(time) if time else None,
        amount=amount,
        values=pairs(value or [], "--value"),
        labels=pairs(label or [], "--label"),
    )
    request = RecordUsageRequest(event=event, backfill=backfill)
    with connect() as connection:
        answer = connection.call("UsageService", "RecordUsage", request, RecordUsageResponse)
    if answer.receipt.outcome not in (Outcome.OUTCOME_ACCEPTED, Outcome.OUTCOME_DUPLICATE):
        raise refusal(answer.receipt)
    if screen.json:
        screen.data(messages.to_plain(answer))
    else:
        screen.line(in_words(answer.receipt))


def in_words(receipt: UsageReceipt) -> str:
    """What became of an event that was taken."""
    outcome = messages.enum_name(receipt, "outcome")
    waiting = f"; its {receipt.unmatched} is unknown, it counts once there is one" if receipt.unmatched else ""
    return f"{outcome} · {receipt.event_id}{waiting}"


def refusal(receipt: UsageReceipt) -> CliError:
    """What became of an event that was not."""
    reason = ErrorReason.Name(receipt.reason).removeprefix("ERROR_REASON_")
    return CliError(f"The event was not taken: {receipt.message.rstrip('.') or reason}.", reason=reason)
