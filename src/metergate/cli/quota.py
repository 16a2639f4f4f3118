"""`metergate quota`: what is left, and taking some of it."""

from __future__ import annotations

import typer

from metergate.cli.quota_check import check
from metergate.cli.quota_consume import consume
from metergate.cli.quota_events import events
from metergate.cli.quota_explain import explain
from metergate.cli.quota_lease import write_off
from metergate.cli.quota_limits import limits
from metergate.cli.quota_reserve import commit, extend, release, reserve
from metergate.cli.quota_watch import watch

app = typer.Typer(no_args_is_help=True, help="Quota: what is left, to be consumed or reserved.")
app.command("check")(check)
app.command("consume")(consume)
app.command("reserve")(reserve)
app.command("extend")(extend)
app.command("commit")(commit)
app.command("release")(release)
app.command("write-off")(write_off)
app.command("limits")(limits)
app.command("watch")(watch)
app.command("explain")(explain)
app.command("events")(events)
