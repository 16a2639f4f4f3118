"""`metergate customer billing`: to whom a customer's invoices go."""

from __future__ import annotations

from typing import Annotated

import typer

from metergate.cli import messages
from metergate.cli.billing_words import details_in_words
from metergate.cli.connection import Connection, connect
from metergate.cli.options import request_id
from metergate.cli.screen import screen
from metergate.v1 import billing_pb2 as pb
from metergate.v1.invoice_pb2 import BillingDetails

app = typer.Typer(no_args_is_help=True, help="To whom a customer's invoices go, and its taxes.")
CustomerId = Annotated[str, typer.Argument(metavar="CUSTOMER", help="The customer's id.")]
_SERVICE = "BillingService"


@app.command("show")
def show(customer: CustomerId) -> None:
    """Shows to whom a customer's invoices go."""
    with connect() as connection:
        details = _get(connection, customer)
    _print(customer, details)


@app.command("set")
def set_details(
    customer: CustomerId,
    *,
    name: Annotated[str | None, typer.Option(help="The name on the invoices.")] = None,
    address: Annotated[list[str] | None, typer.Option(help="A line of the address. Repeat for more.")] = None,
    country: Annotated[str | None, typer.Option(help="The country, such as DE: taxes are those of this place.")] = None,
    region: Annotated[str | None, typer.Option(help="A part of it that has taxes of its own.")] = None,
    email: Annotated[str | None, typer.Option(help="Where invoices are sent.")] = None,
    tax_id: Annotated[list[str] | None, typer.Option(help='Such as "VAT DE123456789". Repeat for more.')] = None,
    tax_rate: Annotated[
        list[str] | None, typer.Option(help="A rate of the catalog in place of the country's. Repeat for more.")
    ] = None,
    tax_exempt: Annotated[bool | None, typer.Option("--tax-exempt/--taxed", help="Whether it pays no tax.")] = None,
    notes: Annotated[str | None, typer.Option(help="What stands on each of its invoices.")] = None,
) -> None:
    """Changes what is given, and keeps the rest; an empty text takes a thing away."""
    texts = {"name": name, "country": country, "region": region, "email": email, "notes": notes}
    lists = {"address": address, "tax_ids": tax_id, "tax_rates": tax_rate}
    with connect() as connection:
        details = _get(connection, customer)
        for field, text in texts.items():
            if text is not None:
                setattr(details, field, text)
        for field, rows in lists.items():
            if rows:
                details.ClearField(field)
                getattr(details, field).extend(row for row in rows if row)
        if tax_exempt is not None:
            details.tax_exempt = tax_exempt
        request = pb.SetBillingDetailsRequest(customer=customer, details=details, request_id=request_id())
        kept = connection.call(_SERVICE, "SetBillingDetails", request, pb.SetBillingDetailsResponse).details
    _print(customer, kept)


def _get(connection: Connection, customer: str) -> BillingDetails:
    request = pb.GetBillingDetailsRequest(customer=customer)
    return connection.call(_SERVICE, "GetBillingDetails", request, pb.GetBillingDetailsResponse).details


def _print(customer: str, details: BillingDetails) -> None:
    if screen.json:
        screen.data(messages.to_plain(details))
    else:
        screen.line(details_in_words(customer, details))
