"""`metergate retention`: which months of events are kept, and dropping those that are due."""

from __future__ import annotations

import asyncio

import typer

from metergate.app.retention import ExportFailedError, Plan, Stage
from metergate.cli.errors import CliError, sentence
from metergate.cli.screen import screen
from metergate.cli.server_file import DEFAULT_DATA
from metergate.cli.targets import DataOption, PostgresOption, on_database, settings_for

app = typer.Typer(no_args_is_help=True, help="Retention: months of events that are kept, exported and dropped.")
_BUSY = "Another process is dropping events right now: try again when it is done."


@app.command("show")
def show(postgres: PostgresOption = "", data: DataOption = DEFAULT_DATA) -> None:
    """Lists the months of events, and why each is kept; METERGATE_EVENTS_KEEP_MONTHS says for how long."""
    settings = settings_for(postgres, "", data)
    from metergate import wiring

    with on_database():
        plans = asyncio.run(wiring.retention_plan(settings))
    if plans is None:
        raise CliError(_BUSY)
    if screen.json:
        screen.data([{**_row(one), "events": one.month.events} for one in plans])
    else:
        screen.table(["month", "stage", "why", "file"], [tuple(_row(one).values()) for one in plans])


def _row(plan: Plan) -> dict[str, str]:
    one = plan.month
    why = plan.why or ("" if one.stage is Stage.DROPPED else "due")
    return {"month": f"{one.month:%Y-%m}", "stage": one.stage.value, "why": why, "file": one.file}


@app.command("run")
def run(postgres: PostgresOption = "", data: DataOption = DEFAULT_DATA) -> None:
    """Drops the months of events that are due now; servers do it each hour. What they made of the sums is kept."""
    settings = settings_for(postgres, "", data)
    from metergate import wiring

    with on_database():
        try:
            dropped = asyncio.run(wiring.retention_run(settings))
        except ExportFailedError as error:
            raise CliError(sentence(str(error))) from error
    if dropped is None:
        raise CliError(_BUSY)
    if screen.json:
        screen.data({"dropped": [f"{month:%Y-%m}" for month in dropped]})
    else:
        names = ", ".join(f"{month:%Y-%m}" for month in dropped)
        screen.line(f"Dropped: {names}." if names else "No month of events is due.")
