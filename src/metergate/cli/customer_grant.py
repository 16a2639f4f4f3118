"""`metergate customer grant`: units that a customer was given."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

import typer

from metergate.cli import messages, times
from metergate.cli.connection import Connection, connect
from metergate.cli.options import request_id
from metergate.cli.screen import grouped, screen
from metergate.v1 import grant_pb2 as pb

app = typer.Typer(no_args_is_help=True, help="Prepaid and included units, which limits of the kind grants allow.")
CustomerId = Annotated[str, typer.Argument(metavar="CUSTOMER", help="The customer's id.")]
MeterOption = Annotated[str, typer.Option(help="Only on this meter; by default on all.")]
_PAGE = 1000
_FIGURES = ("amount", "rolled", "burned", "lost", "left")


@app.command("create")
def create(
    customer: CustomerId,
    meter: Annotated[str, typer.Argument(help="The meter; it may only grow.")],
    amount: Annotated[str, typer.Argument(help="How much to give.")],
    *,
    priority: Annotated[int, typer.Option(min=0, help="The lowest is used up first.")] = 0,
    start: Annotated[str, typer.Option(help="When it begins, in RFC 3339; by default now.")] = "",
    end: Annotated[str, typer.Option(help="When it ends, or with --recurs the last one; by default never.")] = "",
    recurs: Annotated[
        Literal["day", "week", "month", "year"] | None, typer.Option(help="Lasts so long, and is given again then.")
    ] = None,
    rollover_min: Annotated[str, typer.Option(help="The least that rolls over, even if less is left.")] = "",
    rollover_max: Annotated[str, typer.Option(help="The most that rolls over; by default nothing.")] = "",
) -> None:
    """Gives a customer units of a meter; what was used beyond all earlier grants is taken out of them first."""
    request = pb.CreateGrantRequest(
        customer=customer,
        meter=meter,
        amount=amount,
        priority=priority,
        start_time=times.moment_option(start) if start else None,
        end_time=times.moment_option(end) if end else None,
        recurs=f"PERIOD_{recurs.upper()}" if recurs else None,
        rollover_min=rollover_min,
        rollover_max=rollover_max,
        request_id=request_id(),
    )
    with connect() as connection:
        answer = connection.call("CustomerService", "CreateGrant", request, pb.CreateGrantResponse)
    if screen.json:
        screen.data(messages.to_plain(answer))
    else:
        screen.line(in_words(answer.grant))


@app.command("void")
def void(grant: Annotated[str, typer.Argument(help="The grant's id, or that of the first of recurring ones.")]) -> None:
    """Takes back what is left of a grant, with all that would follow it."""
    with connect() as connection:
        request = pb.VoidGrantRequest(grant_id=grant)
        answer = connection.call("CustomerService", "VoidGrant", request, pb.VoidGrantResponse)
    if screen.json:
        screen.data(messages.to_plain(answer))
    else:
        screen.line(in_words(answer.grant))


@app.command("list")
def list_grants(
    customer: CustomerId,
    *,
    meter: MeterOption = "",
    ended: Annotated[bool, typer.Option("--ended", help="Also those that are over.")] = False,
) -> None:
    """Lists a customer's grants with what is left of them, newest first."""
    with connect() as connection:
        found = list(_grants(connection, customer, meter, ended))
    if screen.json:
        screen.data([messages.to_plain(one) for one in found])
        return
    rows = [
        (
            one.id, one.meter, messages.enum_name(one, "state"), str(one.priority), times.show(one.start_time),
            times.show(one.end_time) if one.HasField("end_time") else "never",
            *(grouped(getattr(one, name)) for name in _FIGURES),
        )
        for one in found
    ]  # fmt: skip
    columns = ["grant", "meter", "state", "priority", "starts", "ends", *_FIGURES]
    screen.table(columns, rows, right=["priority", *_FIGURES])


@app.command("history")
def history(
    customer: CustomerId,
    *,
    meter: MeterOption = "",
    grant: Annotated[str, typer.Option(help="Only of this grant.")] = "",
    most: Annotated[int, typer.Option(min=1, max=_PAGE, help="The most to list.")] = 100,
) -> None:
    """Lists what became of a customer's grants, newest first."""
    request = pb.ListGrantMovesRequest(customer=customer, meter=meter, grant_id=grant, page_size=most)
    with connect() as connection:
        found = connection.call("CustomerService", "ListGrantMoves", request, pb.ListGrantMovesResponse).moves
    if screen.json:
        screen.data([messages.to_plain(one) for one in found])
        return
    rows = [
        (str(one.seq), times.show(one.create_time), one.meter, one.grant, messages.enum_name(one, "kind"),
         grouped(one.amount))
        for one in found
    ]  # fmt: skip
    screen.table(["seq", "recorded", "meter", "grant", "what", "amount"], rows, right=["seq", "amount"])


def _grants(connection: Connection, customer: str, meter: str, ended: bool) -> Iterator[pb.Grant]:
    token = ""
    while True:
        request = pb.ListGrantsRequest(
            customer=customer, meter=meter, include_ended=ended, page_size=_PAGE, page_token=token
        )
        page = connection.call("CustomerService", "ListGrants", request, pb.ListGrantsResponse)
        yield from page.grants
        if not (token := page.next_page_token):
            return


def in_words(grant: pb.Grant) -> str:
    """What a grant is, in one line."""
    state = messages.enum_name(grant, "state")
    words = [f"{grant.id} is {state}", f"{grouped(grant.amount)} {grant.meter}"]
    if grant.rolled not in ("", "0"):
        words.append(f"{grouped(grant.rolled)} rolled over")
    words.append(f"{grouped(grant.left)} left")
    if grant.HasField("end_time") and state in ("pending", "active"):
        words.append(f"until {times.show(grant.end_time)}")
    if grant.recurs:
        words.append(f"again each {messages.enum_name(grant, 'recurs')}")
    return " · ".join(words)
