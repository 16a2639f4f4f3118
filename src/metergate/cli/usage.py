"""`metergate usage`: what was used."""

from __future__ import annotations

import typer

from metergate.cli.usage_correct import amend, history, void
from metergate.cli.usage_events import events
from metergate.cli.usage_import import import_usage
from metergate.cli.usage_record import record
from metergate.cli.usage_summary import summary
from metergate.cli.usage_tail import tail
from metergate.cli.usage_watch import watch

app = typer.Typer(no_args_is_help=True, help="Usage: record it, import it, sum it up, correct it.")
app.command("record")(record)
app.command("import")(import_usage)
app.command("summary")(summary)
app.command("events")(events)
app.command("tail")(tail)
app.command("watch")(watch)
app.command("amend")(amend)
app.command("void")(void)
app.command("history")(history)
