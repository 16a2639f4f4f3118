"""How subscriptions and invoices read: lines and tables."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from rich.table import Table

from metergate.cli import messages, times
from metergate.cli.screen import grouped, table
from metergate.v1 import invoice_pb2, subscription_pb2

_INVOICE_COLUMNS = ("invoice", "number", "customer", "state", "from", "to", "total", "due", "due on")
_LINE_COLUMNS = ("line", "kind", "description", "from", "to", "quantity", "unit price", "amount")


def money(amount: invoice_pb2.Money) -> str:
    """An amount with its currency: "1,500.00 USD"."""
    return f"{grouped(amount.text)} {amount.currency}"


def item(one: subscription_pb2.SubscriptionItem) -> str:
    """A plan's version, and how many times: "seats@1*3"."""
    times_ = "" if one.quantity in ("", "1") else f"*{one.quantity}"
    return f"{one.plan}@{one.version}{times_}"


def items(subscription: subscription_pb2.Subscription) -> str:
    """What holds, in one text."""
    return " + ".join(item(one) for one in subscription.items) or "nothing"


def subscription_in_words(subscription: subscription_pb2.Subscription) -> str:
    """The subscription in one line."""
    state = messages.enum_name(subscription, "state")
    interval = messages.enum_name(subscription, "interval")
    words = [f"{subscription.id} of {subscription.customer} is {state}", items(subscription)]
    words.append(f"by the {interval} in {subscription.currency}")
    if state == "trialing":
        words.append(f"trial until {times.show(subscription.trial_end_time)}")
    if subscription.HasField("period_end_time"):
        words.append(f"period until {times.show(subscription.period_end_time)}")
    if subscription.HasField("end_time") and state != "canceled":
        words.append(f"ends {times.show(subscription.end_time)}")
    return " · ".join(words)


def segment_table(subscription: subscription_pb2.Subscription) -> Table:
    """The time line of a subscription."""
    rows = [
        (
            times.show(one.start_time),
            times.show(one.end_time) if one.HasField("end_time") else "open",
            messages.enum_name(one, "mode"),
            " + ".join(item(held) for held in one.items),
            ", ".join(price.name for price in one.custom_prices),
        )
        for one in subscription.segments
    ]
    return table(["from", "to", "mode", "items", "own prices"], rows)


def invoice_in_words(invoice: invoice_pb2.Invoice) -> str:
    """The invoice in one line."""
    state = messages.enum_name(invoice, "state")
    words = [f"{invoice.id or 'preview'}{f' ({invoice.number})' if invoice.number else ''} is {state}"]
    words.append(f"total {money(invoice.total)}")
    if state in ("open", "uncollectible"):
        words.append(f"{money(invoice.due)} due{_on(invoice)}")
    if state == "draft" and invoice.HasField("scheduled_finalize_time"):
        words.append(f"to be finalized {times.show(invoice.scheduled_finalize_time)}")
    return " · ".join(words)


def _on(invoice: invoice_pb2.Invoice) -> str:
    return f" on {times.show(invoice.due_time)}" if invoice.HasField("due_time") else ""


def invoice_table(invoices: Iterable[invoice_pb2.Invoice]) -> Table:
    """Invoices under their columns."""
    rows = [
        (
            one.id, one.number, one.customer, messages.enum_name(one, "state"), times.show(one.start_time),
            times.show(one.end_time), money(one.total), money(one.due),
            times.show(one.due_time) if one.HasField("due_time") else "",
        )
        for one in invoices
    ]  # fmt: skip
    return table(_INVOICE_COLUMNS, rows, right=["total", "due"])


def line_table(lines: Iterable[invoice_pb2.InvoiceLine]) -> Table:
    """Lines under their columns."""
    return table(_LINE_COLUMNS, [_line(one) for one in lines], right=["line", "quantity", "unit price", "amount"])


def _line(one: invoice_pb2.InvoiceLine) -> tuple[str, ...]:
    labels = ", ".join(f"{name}={value}" for name, value in sorted(one.labels.items()))
    described = f"{one.description} ({labels})" if labels else one.description
    return (
        str(one.number), messages.enum_name(one, "kind"), described, times.show(one.start_time),
        times.show(one.end_time), grouped(one.quantity) if one.quantity else "", one.unit_amount, money(one.amount),
    )  # fmt: skip


def sums(invoice: invoice_pb2.Invoice) -> list[str]:
    """What stands under the lines, those that are nothing left out."""
    rows = [("subtotal", invoice.subtotal), ("discount", invoice.discount)]
    rows += [(_tax(one), one.amount) for one in invoice.taxes]
    rows += [("total", invoice.total), ("paid", invoice.paid), ("credited", invoice.credited), ("due", invoice.due)]
    kept = [(name, amount) for name, amount in rows if amount.minor_units or name in ("subtotal", "total")]
    return [f"{name}: {money(amount)}" for name, amount in kept]


def _tax(tax: invoice_pb2.InvoiceTax) -> str:
    inside = ", within" if tax.inclusive else ""
    return f"{tax.display_name or tax.name} ({Decimal(tax.percent):f} %{inside})"


def details_in_words(customer: str, details: invoice_pb2.BillingDetails) -> str:
    """To whom a customer's invoices go, a line for each thing that is said."""
    place = " ".join(one for one in (details.country, details.region) if one)
    said = {
        "name": details.name,
        "address": ", ".join(details.address),
        "place": place,
        "e-mail": details.email,
        "tax ids": ", ".join(details.tax_ids),
        "tax rates": "none: exempt" if details.tax_exempt else ", ".join(details.tax_rates),
        "notes": details.notes,
    }
    lines = [f"{name}: {text}" for name, text in said.items() if text]
    return "\n".join([f"{customer} is billed to", *lines]) if lines else f"{customer} has no billing details"
