"""`metergate plan`: what is sold, and what a plan gives."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from metergate.cli import messages
from metergate.cli.connection import Connection, connect
from metergate.cli.errors import CliError
from metergate.cli.limit_window import in_words as window_in_words
from metergate.cli.price_words import feature_rows, in_short, price_rows
from metergate.cli.screen import grouped, screen
from metergate.v1 import catalog_pb2 as pb

app = typer.Typer(no_args_is_help=True, help="Plans: prices, features and limits.")
Every = Literal["month", "quarter", "year"]


@app.command("list")
def list_plans(
    currency: Annotated[str, typer.Option(help="Only prices in this currency, such as EUR.")] = "",
    interval: Annotated[Every | None, typer.Option(help="Only what is paid for per this.")] = None,
) -> None:
    """Lists what is sold: each plan by currency and interval."""
    with connect() as connection:
        answer = _prices(connection, currency, interval)
    if screen.json:
        screen.data(messages.to_plain(answer))
        return
    rows = [
        (
            entry.plan,
            entry.display_name,
            str(entry.version),
            messages.enum_name(entry, "interval"),
            entry.currency,
            "\n".join(in_short(price) for price in entry.prices),
            f"{entry.trial_days} days" if entry.trial_days else "",
        )
        for entry in answer.entries
    ]
    screen.table(["plan", "name", "version", "per", "currency", "prices", "trial"], rows, right=["version"])


@app.command("show")
def show(
    plan: Annotated[str, typer.Argument(help="The plan's name.")],
    currency: Annotated[str, typer.Option(help="Only prices in this currency, such as EUR.")] = "",
) -> None:
    """Shows a plan: its prices with their tiers, what it gives, and its limits."""
    with connect() as connection:
        catalog = connection.call("CatalogService", "GetCatalog", pb.GetCatalogRequest(), pb.GetCatalogResponse).catalog
        found = next((one for one in catalog.plans if one.name == plan), None)
        if found is None:
            raise CliError(f"No plan is called {plan!r}.", reason="PLAN_NOT_FOUND")
        entries = _prices(connection, currency, None, plan).entries
    if screen.json:
        screen.data({"plan": messages.to_plain(found), "prices": [messages.to_plain(one) for one in entries]})
        return
    screen.line(_heading(found, plan == catalog.default_plan))
    for entry in entries:
        screen.line(f"\nper {messages.enum_name(entry, 'interval')} in {entry.currency}:")
        columns = ["price", "model", "of", "quantity", "unit price", "more"]
        screen.table(columns, price_rows(entry.prices), right=["quantity", "unit price"])
    if entries and entries[0].features:
        screen.line("\nfeatures:")
        screen.table(["feature", "kind", "gives", "beyond"], feature_rows(entries[0].features, entries[0].currency))
    if found.limits:
        screen.line("\nlimits:")
        rows = [(one.name, one.meter, grouped(one.max), window_in_words(one)) for one in found.limits]
        screen.table(["limit", "meter", "max", "window"], rows, right=["max"])


def _prices(connection: Connection, currency: str, interval: str | None, plan: str = "") -> pb.ListPricesResponse:
    per = f"PRICE_INTERVAL_{interval.upper()}" if interval else None
    request = pb.ListPricesRequest(currency=currency.upper(), interval=per, plans=[plan] if plan else [])
    return connection.call("CatalogService", "ListPrices", request, pb.ListPricesResponse)


def _heading(plan: pb.Plan, is_default: bool) -> str:
    words = [f"{plan.name} ({plan.display_name})" if plan.display_name else plan.name]
    words.append(f"version {plan.version or 1}")
    words += ["an add-on"] if plan.add_on else []
    words += [f"{plan.trial_days} days of trial"] if plan.trial_days else []
    words += ["the default plan"] if is_default else []
    return " · ".join(words)
