"""`metergate quota`: what is left."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

import typer

from metergate.cli import messages, times
from metergate.cli.connection import connect
from metergate.cli.options import pairs
from metergate.cli.screen import bar, grouped, screen
from metergate.v1 import quota_pb2 as pb

app = typer.Typer(no_args_is_help=True, help="What is left of the limits.")
REFUSED = 4


@app.command("check")
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
        screen.data(messages.to_plain(decision) | {"allowed": decision.allowed})
    else:
        screen.line(in_words(decision))
    if not decision.allowed:
        raise typer.Exit(REFUSED)


@app.command("limits")
def limits(
    subject: Annotated[str, typer.Argument(help="The subject, or a customer's own id.")],
    meter: Annotated[list[str] | None, typer.Option(help="Only this meter's limits. Repeat for more.")] = None,
) -> None:
    """Shows each limit of a subject: what is used, what is left, and when it is whole again."""
    request = pb.ListLimitsRequest(subject=subject, meters=meter or [])
    with connect() as connection:
        answer = connection.call("QuotaService", "ListLimits", request, pb.ListLimitsResponse)
    if screen.json:
        screen.data(messages.to_plain(answer))
        return
    screen.line(f"customer {answer.customer} on plan {answer.plan}, as of {times.show(answer.as_of)}")
    columns = ["limit", "used", "left", "max", "policy", "overrun", "resets", ""]
    screen.table(columns, [_row(limit) for limit in answer.limits], right=["used", "left", "max", "overrun"])


def in_words(decision: pb.Decision) -> str:
    """The decision in one line, as the Python client prints it."""
    if not decision.limits:
        return "allowed · no limit" if decision.allowed else f"refused · {decision.reason}"
    limit = shown_limit(decision)
    if decision.allowed:
        left = f"{grouped(limit.remaining)} left" if limit.remaining else "unlimited"
        words = ["allowed", f"{grouped(limit.used)} used", left, f"resets {times.show(limit.reset_time)}"]
    else:
        words = [f"refused by {decision.binding_limit}", f"{grouped(limit.would_fit or '0')} would fit"]
        words.append(f"resets {times.show(limit.reset_time)}")
    if limit.overrun and Decimal(limit.overrun) > 0:
        words.append(f"{grouped(limit.overrun)} over the limit")
    if decision.degraded:
        words.append("degraded")
    return " · ".join(words)


def shown_limit(decision: pb.Decision) -> pb.LimitState:
    """The limit that binds, else the one with the least left."""
    for limit in decision.limits:
        if limit.name == decision.binding_limit:
            return limit
    return min(decision.limits, key=lambda limit: Decimal(limit.remaining or "Infinity"))


def _row(limit: pb.LimitState) -> tuple[str, ...]:
    labels = ", ".join(f"{name}={value}" for name, value in sorted(limit.labels.items()))
    shown = bar(Decimal(limit.used), Decimal(limit.max)) if limit.remaining else ""
    return (
        f"{limit.name} [{labels}]" if labels else limit.name,
        grouped(limit.used),
        grouped(limit.remaining) if limit.remaining else "unlimited",
        grouped(limit.max),
        messages.enum_name(limit, "policy"),
        grouped(limit.overrun) if limit.overrun not in ("", "0") else "",
        times.show(limit.reset_time),
        shown,
    )
