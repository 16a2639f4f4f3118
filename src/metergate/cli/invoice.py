"""`metergate invoice`: what subscriptions cost, and what became of it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from google.protobuf.message import Message

from metergate.cli import messages, times
from metergate.cli.billing_words import invoice_in_words, invoice_table, line_table, money, sums
from metergate.cli.connection import Connection, connect
from metergate.cli.errors import CliError
from metergate.cli.options import pairs, request_id
from metergate.cli.screen import grouped, screen
from metergate.v1 import billing_pb2 as pb
from metergate.v1.invoice_pb2 import CreditLine, Invoice, Money

app = typer.Typer(no_args_is_help=True, help="Invoices: previewed, finalized, paid, credited and explained.")
InvoiceId = Annotated[str, typer.Argument(metavar="INVOICE", help="The invoice's id.")]
_SERVICE = "BillingService"
_PAGE = 1000


@app.command("preview")
def preview(
    subscription: Annotated[str, typer.Argument(metavar="SUBSCRIPTION", help="The subscription's id.")],
    *,
    projected: Annotated[
        bool, typer.Option("--projected", help="As if usage goes on like this to the period's end.")
    ] = False,
) -> None:
    """Shows a subscription's next invoice as it would be now; nothing is kept."""
    request = pb.PreviewInvoiceRequest(subscription=subscription, projected=projected)
    with connect() as connection:
        made = connection.call(_SERVICE, "PreviewInvoice", request, pb.PreviewInvoiceResponse).invoice
    _print_whole(made)


@app.command("list")
def list_invoices(
    customer: Annotated[str, typer.Option(help="Only of this customer; by default of all.")] = "",
    subscription: Annotated[str, typer.Option(help="Only of this subscription; by default of all.")] = "",
    state: Annotated[
        Literal["draft", "open", "paid", "void", "uncollectible"] | None, typer.Option(help="Only in this state.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="The most to print.")] = 100,
) -> None:
    """Lists invoices, newest first."""
    request = pb.ListInvoicesRequest(
        customer=customer,
        subscription=subscription,
        state=f"STATE_{state.upper()}" if state else None,
        page_size=min(limit, _PAGE),
    )
    with connect() as connection:
        found = list(islice(_pages(connection, request), limit))
    if screen.json:
        screen.data([messages.to_plain(one) for one in found])
    else:
        screen.show(invoice_table(found))


@app.command("show")
def show(invoice: InvoiceId) -> None:
    """Shows an invoice with its lines and sums."""
    with connect() as connection:
        made = connection.call(_SERVICE, "GetInvoice", pb.GetInvoiceRequest(id=invoice), pb.GetInvoiceResponse).invoice
    _print_whole(made)


@app.command("pdf")
def pdf(
    invoice: InvoiceId,
    file: Annotated[Path | None, typer.Argument(help="The file to write; by default named by the invoice.")] = None,
    *,
    credit_note: Annotated[str, typer.Option(help="The id of one of its credit notes, in place of the invoice.")] = "",
) -> None:
    """Writes an invoice, or one of its credit notes, as a PDF."""
    request = pb.GetInvoicePdfRequest(id=invoice, credit_note=credit_note)
    with connect() as connection:
        made = connection.call(_SERVICE, "GetInvoicePdf", request, pb.GetInvoicePdfResponse)
    path = file or Path(made.file_name)
    try:
        path.write_bytes(made.pdf)
    except OSError as error:
        raise CliError(f"{path} cannot be written: {error.strerror}.") from error
    if screen.json:
        screen.data({"file": str(path), "bytes": len(made.pdf)})
    else:
        screen.line(f"{path}: {len(made.pdf):,} bytes")


@app.command("finalize")
def finalize(
    invoice: InvoiceId,
    *,
    notes: Annotated[str, typer.Option(help="What shall stand on it besides.")] = "",
    metadata: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="What to find on it later. Repeat for more.")
    ] = None,
) -> None:
    """Closes a draft: it gets its number and never changes again."""
    given = pairs(metadata or (), "--metadata")
    request = pb.FinalizeInvoiceRequest(id=invoice, notes=notes, metadata=given, request_id=request_id())
    _do("FinalizeInvoice", request, pb.FinalizeInvoiceResponse)


@app.command("pay")
def pay(
    invoice: InvoiceId,
    amount: Annotated[str, typer.Argument(help="How much, such as 119.00; by default all that is due.")] = "",
    *,
    method: Annotated[str, typer.Option(help='How, such as "bank transfer".')] = "",
    reference: Annotated[str, typer.Option(help="What it is found by at the bank.")] = "",
) -> None:
    """Records a payment that was received."""
    with connect() as connection:
        request = pb.PayInvoiceRequest(
            id=invoice,
            amount=Money(currency=_currency(connection, invoice), text=amount) if amount else None,
            method=method,
            reference=reference,
            request_id=request_id(),
        )
        made = connection.call(_SERVICE, "PayInvoice", request, pb.PayInvoiceResponse).invoice
    _print(made)


@app.command("void")
def void(invoice: InvoiceId) -> None:
    """Takes an unpaid invoice back as a whole."""
    _do("VoidInvoice", pb.VoidInvoiceRequest(id=invoice, request_id=request_id()), pb.VoidInvoiceResponse)


@app.command("uncollectible")
def uncollectible(invoice: InvoiceId) -> None:
    """Says that nobody expects it to be paid; it still may be."""
    request = pb.MarkInvoiceUncollectibleRequest(id=invoice, request_id=request_id())
    _do("MarkInvoiceUncollectible", request, pb.MarkInvoiceUncollectibleResponse)


@app.command("credit")
def credit(
    invoice: InvoiceId,
    lines: Annotated[
        list[str] | None,
        typer.Argument(metavar="[LINE=AMOUNT]...", help="Such as 2=12.50, before tax; by default all that is left."),
    ] = None,
    *,
    amount: Annotated[str, typer.Option(help="In place of lines: so much before tax, spread over them.")] = "",
    reason: Annotated[str, typer.Option(help="Why.")] = "",
) -> None:
    """Takes an invoice back that was closed, or parts of its lines, with a credit note."""
    with connect() as connection:
        currency = _currency(connection, invoice) if lines or amount else ""
        request = pb.CreateCreditNoteRequest(
            invoice=invoice,
            lines=[_credit_line(text, currency) for text in lines or ()],
            amount=Money(currency=currency, text=amount) if amount else None,
            reason=reason,
            request_id=request_id(),
        )
        note = connection.call(_SERVICE, "CreateCreditNote", request, pb.CreateCreditNoteResponse).credit_note
    if screen.json:
        screen.data(messages.to_plain(note))
    else:
        screen.line(f"{note.id} ({note.number}) takes back {money(note.total)} of {note.invoice}")


@app.command("explain")
def explain(
    invoice: InvoiceId,
    line: Annotated[int, typer.Argument(min=1, help="The line's number.")],
    *,
    limit: Annotated[int, typer.Option(min=0, help="The most events to print.")] = 20,
) -> None:
    """Computes a line anew from the ledger, and lists the events behind it."""
    request = pb.ExplainInvoiceLineRequest(invoice=invoice, line=line, page_size=min(max(limit, 1), _PAGE))
    with connect() as connection:
        answer = connection.call(_SERVICE, "ExplainInvoiceLine", request, pb.ExplainInvoiceLineResponse)
    if screen.json:
        screen.data(messages.to_plain(answer))
        return
    same = "as invoiced" if answer.amount == answer.line.amount else f"but {money(answer.line.amount)} was invoiced"
    screen.show(line_table([answer.line]))
    screen.line(
        f"computed anew: {grouped(answer.quantity)} make {money(answer.amount)}, {same} · {answer.event_count:,} events"
    )
    rows = [
        (one.event.id, one.event.source, one.event.subject, times.show(one.count_time), one.event.amount or "1")
        for one in answer.events[:limit]
    ]
    screen.table(["event", "source", "subject", "counted", "amount"], rows, right=["amount"])


def _credit_line(text: str, currency: str) -> CreditLine:
    number, equals, amount = text.partition("=")
    if not equals or not (number.isascii() and number.isdigit()) or len(number) > 9:
        raise CliError(f"{text!r} is not LINE=AMOUNT, such as 2=12.50.")
    return CreditLine(line=int(number), amount=Money(currency=currency, text=amount))


def _currency(connection: Connection, invoice: str) -> str:
    found = connection.call(_SERVICE, "GetInvoice", pb.GetInvoiceRequest(id=invoice), pb.GetInvoiceResponse)
    return found.invoice.currency


def _do(method: str, request: Message, reply: type[Any]) -> None:
    with connect() as connection:
        made: Invoice = connection.call(_SERVICE, method, request, reply).invoice
    _print(made)


def _print(invoice: Invoice) -> None:
    if screen.json:
        screen.data(messages.to_plain(invoice))
    else:
        screen.line(invoice_in_words(invoice))


def _print_whole(invoice: Invoice) -> None:
    if screen.json:
        screen.data(messages.to_plain(invoice))
        return
    screen.line(invoice_in_words(invoice))
    screen.show(line_table(invoice.lines))
    for text in sums(invoice):
        screen.line(text)


def _pages(connection: Connection, request: pb.ListInvoicesRequest) -> Iterator[Invoice]:
    while True:
        page = connection.call(_SERVICE, "ListInvoices", request, pb.ListInvoicesResponse)
        yield from page.invoices
        if not page.next_page_token:
            return
        request.page_token = page.next_page_token
