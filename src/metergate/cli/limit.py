"""`metergate limit`: the most of a meter per window."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from metergate.cli import messages
from metergate.cli.changes import print_changes
from metergate.cli.connection import connect
from metergate.cli.options import pairs, request_id
from metergate.cli.screen import grouped, screen
from metergate.v1.catalog_pb2 import Limit, Policy, SetLimitRequest, SetLimitResponse

app = typer.Typer(no_args_is_help=True, help="Limits of plans.")
Per = Literal["minute", "hour", "day", "week", "month", "year"]
Whose = Literal["customer", "subject"]


@app.callback()
def group() -> None:
    """Limits of plans."""  # keeps `set` a command of its own


@app.command("set")
def set_limit(
    meter: Annotated[str, typer.Argument(help="The meter; made if it is not there.")],
    most: Annotated[str, typer.Argument(metavar="MAX", help="The most per window, or `unlimited`.")],
    per: Annotated[Per, typer.Option(help="How long the window is.")] = "month",
    plan: Annotated[str, typer.Option(help="The plan; by default the tenant's default plan.")] = "",
    name: Annotated[str, typer.Option(help="The limit's name; by default METER/PERIOD.")] = "",
    soft: Annotated[bool, typer.Option("--soft", help="Allow what passes the limit, and show it as overrun.")] = False,
    scope: Annotated[
        Literal["customer", "subject"], typer.Option(help="Whose usage is counted together.")
    ] = "customer",
    label: Annotated[list[str] | None, typer.Option(help="Count only usage with NAME=VALUE. Repeat for more.")] = None,
    per_label: Annotated[list[str] | None, typer.Option(help="Each value of this label has its own window.")] = None,
) -> None:
    """Makes or changes one limit of a plan."""
    limit = Limit(
        name=name,
        meter=meter,
        max=most,
        period=f"PERIOD_{per.upper()}",
        policy=Policy.POLICY_SOFT if soft else Policy.POLICY_HARD,
        scope=f"SCOPE_{scope.upper()}",
        labels=pairs(label or [], "--label"),
        per_labels=per_label or [],
    )
    with connect() as connection:
        request = SetLimitRequest(plan=plan, limit=limit, request_id=request_id())
        answer = connection.call("CatalogService", "SetLimit", request, SetLimitResponse)
    if screen.json:
        screen.data(messages.to_plain(answer))
    else:
        screen.line(in_words(answer))
        print_changes(answer.changes)


def in_words(answer: SetLimitResponse) -> str:
    """The limit in force, in one line."""
    limit = answer.limit
    words = [
        f"{messages.enum_name(limit, 'policy')} {grouped(limit.max)} a {messages.enum_name(limit, 'period')}",
        f"per {messages.enum_name(limit, 'scope')}",
        f"on plan {answer.plan!r}",
    ]
    only = ", ".join(f"{name}={value}" for name, value in sorted(limit.labels.items()))
    each = ", ".join(limit.per_labels)
    tail = (f" where {only}" if only else "") + (f" for each {each}" if each else "")
    return f"{limit.name}: {' '.join(words)}{tail}"
