"""`metergate limit`: the most of a meter per window, per rate, or at once."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from metergate.cli import limit_window, messages, times
from metergate.cli.changes import print_changes
from metergate.cli.connection import connect
from metergate.cli.options import pairs, request_id
from metergate.cli.screen import grouped, screen
from metergate.v1.catalog_pb2 import Limit, Policy, SetLimitRequest, SetLimitResponse

app = typer.Typer(no_args_is_help=True, help="Limits of plans.")
Whose = Literal["customer", "subject"]
Day = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
Gone = Literal["ledger", "allow", "deny"]


@app.callback()
def group() -> None:
    """Limits of plans."""  # keeps `set` a command of its own


@app.command("set")
def set_limit(
    meter: Annotated[str, typer.Argument(help="The meter; made if it is not there.")],
    most: Annotated[
        str, typer.Argument(metavar="MAX", help="The most per window, `unlimited`, or `grants`: what they hold.")
    ],
    per: Annotated[str, typer.Option(help=limit_window.PER_HELP)] = "",
    anchored: Annotated[bool, typer.Option("--anchored", help="Counted from the customer's anchor.")] = False,
    rolling: Annotated[bool, typer.Option("--rolling", help="Any stretch of that length, not each.")] = False,
    sub_windows: Annotated[int, typer.Option(help="Into how many parts a rolling window is cut; 10 by default.")] = 0,
    rate: Annotated[bool, typer.Option("--rate", help="An even pace: MAX a second, or as --per says.")] = False,
    burst: Annotated[str, typer.Option(help="The most that a rate admits at once; MAX by default.")] = "",
    concurrent: Annotated[bool, typer.Option("--concurrent", help="At most MAX reserved at once.")] = False,
    week_start: Annotated[Day | None, typer.Option(help="The day with which weeks begin; monday by default.")] = None,
    plan: Annotated[str, typer.Option(help="The plan; by default the tenant's default plan.")] = "",
    name: Annotated[str, typer.Option(help="The limit's name; by default METER and its window.")] = "",
    soft: Annotated[bool, typer.Option("--soft", help="Allow what passes the limit, and show it as overrun.")] = False,
    grace: Annotated[str, typer.Option(metavar="AMOUNT", help="Allow an overrun of up to this.")] = "",
    grace_period: Annotated[
        str, typer.Option(metavar="TIME", help="Allow an overrun for so long after the limit is reached, such as 1h.")
    ] = "",
    shadow: Annotated[bool, typer.Option("--shadow", help="Decide and count, but never refuse.")] = False,
    threshold: Annotated[
        list[int] | None,
        typer.Option(metavar="PERCENT", help="Fires when this much is taken. Repeat for more."),
    ] = None,
    when_view_gone: Annotated[Gone, typer.Option(help="How checks answer while the fast view is gone.")] = "ledger",
    scope: Annotated[Whose, typer.Option(help="Whose usage is counted together.")] = "customer",
    label: Annotated[list[str] | None, typer.Option(help="Count only usage with NAME=VALUE. Repeat for more.")] = None,
    per_label: Annotated[list[str] | None, typer.Option(help="Each value of this label has its own window.")] = None,
) -> None:
    """Makes or changes one limit of a plan."""
    if soft and (grace or grace_period):
        raise typer.BadParameter("soft allows any overrun.", param_hint="--grace" if grace else "--grace-period")
    policy = Policy.POLICY_SOFT if soft else Policy.POLICY_GRACE if grace or grace_period else Policy.POLICY_HARD
    limit = Limit(
        name=name,
        meter=meter,
        max=most,
        policy=policy,
        scope=f"SCOPE_{scope.upper()}",
        labels=pairs(label or [], "--label"),
        per_labels=per_label or [],
        sub_windows=sub_windows,
        week_start=f"WEEKDAY_{week_start.upper()}" if week_start else None,
        burst=burst,
        grace=grace,
        shadow=shadow,
        thresholds=threshold or [],
        when_view_gone=f"WHEN_VIEW_GONE_{when_view_gone.upper()}",
    )
    if grace_period:
        limit.grace_period.FromTimedelta(limit_window.length(grace_period, "--grace-period"))
    chosen = {"--anchored": anchored, "--rolling": rolling, "--rate": rate, "--concurrent": concurrent}
    options = [option for option, given in chosen.items() if given]
    if most == limit_window.GRANTS:
        limit_window.fill_in_grants(limit, per, options)
    else:
        limit_window.fill_in(limit, per, options)
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
        *(["shadow"] if limit.shadow else []),
        messages.enum_name(limit, "policy"),
        *([grouped(limit.max)] if limit.max else []),
        limit_window.in_words(limit),
        *([f"and {_grace(limit)} of grace"] if limit.grace or limit.HasField("grace_period") else []),
        f"per {messages.enum_name(limit, 'scope')}",
        f"on plan {answer.plan!r}",
    ]
    only = ", ".join(f"{name}={value}" for name, value in sorted(limit.labels.items()))
    each = ", ".join(limit.per_labels)
    tail = (f" where {only}" if only else "") + (f" for each {each}" if each else "")
    return f"{limit.name}: {' '.join(words)}{tail}"


def _grace(limit: Limit) -> str:
    """ "20", "1h" or "20 for 1h"."""
    words = [grouped(limit.grace)] if limit.grace else []
    words += [times.show_length(limit.grace_period)] if limit.HasField("grace_period") else []
    return " for ".join(words)
