"""`metergate customer override`: a customer's own maximum in the place of a limit's."""

from __future__ import annotations

from typing import Annotated

import typer

from metergate.cli import messages, times
from metergate.cli.connection import connect
from metergate.cli.customer_words import override_table
from metergate.cli.options import request_id
from metergate.cli.screen import screen
from metergate.v1 import customer_pb2 as pb

app = typer.Typer(no_args_is_help=True, help="A customer's own maximum in the place of a limit's.")

CustomerId = Annotated[str, typer.Argument(metavar="CUSTOMER", help="The customer's id.")]
LimitName = Annotated[str, typer.Argument(metavar="LIMIT", help="The limit's name, such as calls/month.")]


@app.command("set")
def set_override(
    customer: CustomerId,
    limit: LimitName,
    most: Annotated[str, typer.Argument(metavar="MAX", help="The most per window, or `unlimited`.")],
    start: Annotated[str, typer.Option("--from", help="From this moment on; by default now.")] = "",
    end: Annotated[str, typer.Option("--to", help="Before this moment; by default for good.")] = "",
) -> None:
    """Sets a maximum for one customer; it holds at the next decision, and what was used stays used."""
    request = pb.SetLimitOverrideRequest(
        customer=customer,
        limit=limit,
        max=most,
        start_time=times.moment_option(start) if start else None,
        end_time=times.moment_option(end) if end else None,
        request_id=request_id(),
    )
    with connect() as connection:
        answer = connection.call("CustomerService", "SetLimitOverride", request, pb.SetLimitOverrideResponse)
    _show(answer.customer)


@app.command("list")
def list_overrides(customer: CustomerId) -> None:
    """Lists a customer's overrides by limit and start."""
    request = pb.GetCustomerRequest(id=customer)
    with connect() as connection:
        found = connection.call("CustomerService", "GetCustomer", request, pb.GetCustomerResponse).customer
    _show(found)


@app.command("delete")
def delete(
    customer: CustomerId,
    limit: LimitName,
    start: Annotated[str, typer.Option("--from", help="Only the one that starts then; by default all.")] = "",
) -> None:
    """Takes a limit's overrides away: the plan's maximum is in force again."""
    request = pb.DeleteLimitOverrideRequest(
        customer=customer,
        limit=limit,
        start_time=times.moment_option(start) if start else None,
        request_id=request_id(),
    )
    with connect() as connection:
        answer = connection.call("CustomerService", "DeleteLimitOverride", request, pb.DeleteLimitOverrideResponse)
    _show(answer.customer)


def _show(customer: pb.Customer) -> None:
    if screen.json:
        screen.data([messages.to_plain(one) for one in customer.limit_overrides])
    elif customer.limit_overrides:
        screen.show(override_table(customer.limit_overrides))
    else:
        screen.line(f"{customer.id} has no overrides")
