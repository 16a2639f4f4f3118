"""Collects the commands and turns what goes wrong into one sentence and an exit code.

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 some rows of an import were not taken, 4 refused by a quota.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from metergate.app.ports.ledger import LedgerUnavailableError
from metergate.cli import (
    backfill,
    billing,
    catalog,
    customer,
    doctor,
    invoice,
    key,
    limit,
    migrate,
    plan,
    quota,
    reconcile,
    retention,
    serve,
    subscription,
    usage,
    webhook,
)
from metergate.cli.errors import CliError, sentence
from metergate.cli.screen import screen
from metergate.domain.errors import MetergateError

app = typer.Typer(
    name="metergate",
    help="Meters usage, checks quotas and bills over PostgreSQL and Redis.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,  # they may hold keys
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("serve")(serve.serve)
app.command("migrate")(migrate.migrate)
app.command("doctor")(doctor.doctor)
app.command("reconcile")(reconcile.reconcile)
app.add_typer(retention.app, name="retention")
app.add_typer(key.app, name="key")
app.add_typer(limit.app, name="limit")
app.add_typer(catalog.app, name="catalog")
app.add_typer(plan.app, name="plan")
app.add_typer(customer.app, name="customer")
app.add_typer(usage.app, name="usage")
app.add_typer(backfill.app, name="backfill")
app.add_typer(quota.app, name="quota")
app.add_typer(webhook.app, name="webhook")
app.add_typer(subscription.app, name="subscription")
app.add_typer(invoice.app, name="invoice")
app.add_typer(billing.app, name="billing")


@app.callback()
def options(
    json: Annotated[bool, typer.Option("--json", help="Print JSON; stands before or after the command.")] = False,
) -> None:
    """Meters usage, checks quotas and bills over PostgreSQL and Redis."""
    screen.json = json


def main(arguments: Sequence[str] | None = None) -> None:
    """The command `metergate`."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        app(args=json_first(given), prog_name="metergate")
    except CliError as error:
        screen.error(error.message, error.reason)
        sys.exit(1)
    except MetergateError as error:  # from the commands that work on the database themselves
        screen.error(sentence(error.message), error.reason)
        sys.exit(1)
    except (OSError, LedgerUnavailableError) as error:
        said = str(error).rstrip(".") or "The database cannot be reached"
        screen.error(sentence(f"{said}: `metergate doctor` says what can be reached"), "UNREACHABLE")
        sys.exit(1)


def json_first(given: Sequence[str]) -> list[str]:
    """Moves `--json` to the front, where the parser takes it; what stands after `--` is not an option."""
    end = list(given).index("--") if "--" in given else len(given)
    before = [argument for argument in given[:end] if argument != "--json"]
    return ["--json"] * (len(before) < end) + before + list(given[end:])
