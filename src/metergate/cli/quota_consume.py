"""`metergate quota consume`: take some, or be refused."""

from __future__ import annotations

import uuid
from typing import Annotated

import typer

from metergate.cli import messages
from metergate.cli.connection import connect
from metergate.cli.options import pairs
from metergate.cli.quota_words import REFUSED, in_words, plain
from metergate.cli.screen import screen
from metergate.v1 import quota_pb2 as pb
from metergate.v1.usage_event_pb2 import UsageEvent


def consume(
    meter: Annotated[str, typer.Argument(help="The meter, or an event type.")],
    amount: Annotated[str, typer.Argument(help="How much.")] = "1",
    *,
    subject: Annotated[str, typer.Option(help="What uses it.")],
    label: Annotated[list[str] | None, typer.Option(help="A label of the usage, NAME=VALUE. Repeat for more.")] = None,
    event_id: Annotated[str, typer.Option("--id", help="Its id; the same id counts once. By default a new one.")] = "",
) -> None:
    """Takes an amount and records it, if it fits; else exit code 4, and nothing is charged."""
    event = UsageEvent(
        id=event_id or str(uuid.uuid4()),
        type=meter,
        subject=subject,
        amount=amount,
        labels=pairs(label or [], "--label"),
    )
    request = pb.ConsumeQuotaRequest(events=[event])
    with connect() as connection:
        answer = connection.call("QuotaService", "ConsumeQuota", request, pb.ConsumeQuotaResponse)
    if screen.json:
        screen.data(messages.to_plain(answer) | {"decision": plain(answer.decision)})
    else:
        _print(answer)
    if not answer.decision.allowed:
        raise typer.Exit(REFUSED)


def _print(answer: pb.ConsumeQuotaResponse) -> None:
    """The decision, and beneath it the ids with which to come back to it."""
    charged = "" if answer.decision.allowed else " · nothing charged"
    screen.line(in_words(answer.decision) + charged)
    ids = [f"{messages.enum_name(receipt, 'outcome')} {receipt.event_id}" for receipt in answer.receipts]
    ids += [f"decision {answer.decision.decision_id}"] if answer.decision.decision_id else []
    if ids:
        screen.line(" · ".join(ids))
