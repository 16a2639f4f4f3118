"""`metergate quota check`: advice."""

from __future__ import annotations

from typing import Annotated

import typer

from metergate.cli.connection import connect
from metergate.cli.options import pairs
from metergate.cli.quota_words import REFUSED, in_words, plain
from metergate.cli.screen import screen
from metergate.v1 import quota_pb2 as pb


def check(
    meter: Annotated[str, typer.Argument(help="The meter.")],
    amount: Annotated[str, typer.Argument(help="How much.")] = "1",
    *,
    subject: Annotated[str, typer.Option(help="What would use it.")],
    label: Annotated[list[str] | None, typer.Option(help="A label of the usage, NAME=VALUE. Repeat for more.")] = None,
) -> None:
    """Asks whether an amount would fit now; exit code 4 when it would not. Nothing is charged."""
    asked = pb.QuotaAmount(meter=meter, amount=amount, labels=pairs(label or [], "--label"))
    request = pb.CheckQuotaRequest(subject=subject, amounts=[asked])
    with connect() as connection:
        decision = connection.call("QuotaService", "CheckQuota", request, pb.CheckQuotaResponse).decision
    if screen.json:
        screen.data(plain(decision))
    else:
        screen.line(in_words(decision))
    if not decision.allowed:
        raise typer.Exit(REFUSED)
