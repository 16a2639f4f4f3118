"""`metergate billing`: closing periods and what could not be closed, on the database itself."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from metergate.cli.screen import screen
from metergate.cli.server_file import DEFAULT_DATA
from metergate.cli.targets import DataOption, PostgresOption, RedisOption, on_database, settings_for
from metergate.domain import period

app = typer.Typer(no_args_is_help=True, help="Billing: closing periods, and what could not be closed.")
TenantOption = Annotated[str, typer.Option("--tenant", help="Only this tenant; without it, all of them.")]


@app.command("close")
def close(
    tenant: TenantOption = "",
    subscription: Annotated[list[str] | None, typer.Option(help="Only this subscription; may be repeated.")] = None,
    workers: Annotated[int, typer.Option(min=1, max=16, help="How many work at once in this process.")] = 2,
    postgres: PostgresOption = "",
    redis: RedisOption = "",
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Makes the drafts of all periods that are over; servers do it by themselves. Exit code 1 where some failed."""
    settings = settings_for(postgres, redis, data)
    from metergate import wiring

    # Each worker would find nothing of what another one did.
    count = 1 if subscription else workers
    with on_database(), _progress() as bar:
        task = bar.add_task("Closing periods", total=None)
        closed = asyncio.run(
            wiring.close_periods(
                settings, tenant or None, subscription, count,
                lambda done, total: bar.update(task, completed=done, total=total),
            )
        )  # fmt: skip
    failed = [{"subscription": id_, "reason": why} for id_, why in sorted(set(closed.failed))]
    if screen.json:
        screen.data({"periods": closed.periods, "invoices": closed.invoices, "failed": failed})
    else:
        screen.line(f"{closed.periods:,} periods closed, {closed.invoices:,} drafts made.")
        if failed:
            screen.table(["subscription", "reason"], [tuple(one.values()) for one in failed])
            screen.line("`metergate billing failures --tenant TENANT` says more; servers try them again.")
    if failed:
        raise typer.Exit(1)


@app.command("failures")
def failures(
    tenant: Annotated[str, typer.Option("--tenant", help="Whose.")] = "dev",
    postgres: PostgresOption = "",
    redis: RedisOption = "",
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Lists the periods that could not be closed, and why."""
    settings = settings_for(postgres, redis, data)
    from metergate import wiring

    with on_database():
        found = asyncio.run(wiring.billing_failures(settings, tenant))
    rows = [
        {
            "subscription": one.subscription, "period_end": period.to_text(one.period_end), "reason": one.reason,
            "message": one.message, "tries": one.tries, "at": period.to_text(one.at),
        }
        for one in found
    ]  # fmt: skip
    if screen.json:
        screen.data(rows)
    elif not rows:
        screen.line("All periods that are over are closed, or no try has failed.")
    else:
        screen.table(list(rows[0]), [[str(value) for value in row.values()] for row in rows], right=["tries"])


def _progress() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = screen.err
    return Progress(*columns, console=console, transient=True, disable=screen.json or not console.is_terminal)
