"""Billing from the first customer to the PDF: a customer, its subscription, usage, a refusal at the limit, an upgrade,
its status, a preview, the close of a period, the invoice and its payment.

    metergate catalog apply examples/catalog-billing.yaml
    .venv/bin/python examples/billing.py [FOLDER]

The server and the key are those of METERGATE_URL and METERGATE_KEY, else of the profile "dev". The subscription began
33 days ago, so that a period of it is over, and need not be waited for. The PDF is written into FOLDER.
"""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from metergate_client import Event, Metergate, MetergateError, new_id
from metergate_client.calls.call import Call
from metergate_client.v1 import billing_pb2 as pb
from metergate_client.v1.invoice_pb2 import BillingDetails, Invoice, Money
from metergate_client.v1.subscription_pb2 import SubscriptionItem

BEGAN = datetime.now(UTC).replace(microsecond=0) - timedelta(days=33)


def main(folder: Path) -> None:
    """Goes through all of it, and says what happens."""
    with Metergate() as mg:
        customer = f"acme-{new_id()[-8:]}"
        mg.create_customer(customer, name="Acme GmbH")
        details = BillingDetails(
            name="Acme GmbH", address=["Hauptstr. 1", "10115 Berlin"], country="DE", tax_ids=["VAT DE123456789"]
        )
        bill(mg, pb.SetBillingDetailsRequest(customer=customer, details=details, request_id=new_id()))
        say("customer", f"{customer}, billed to {details.name}, {details.country}")

        mg.record_batch([Event("api_calls", customer, 1_200, time=BEGAN + timedelta(days=5))])
        subscription = bill(
            mg,
            pb.CreateSubscriptionRequest(
                customer=customer, items=[SubscriptionItem(plan="solo")], start_time=to_pb(BEGAN), request_id=new_id()
            ),
        ).subscription
        say("subscription", f"{subscription.id} to {subscription.items[0].plan} since {BEGAN:%Y-%m-%d}")

        say("usage", f"50 designs: {mg.consume('designs', 50, subject=customer)}")
        say("refusal", f"the 51st: {mg.consume('designs', 1, subject=customer)}")

        upgraded = pb.ChangeSubscriptionRequest(
            id=subscription.id, items=[SubscriptionItem(plan="professional")], request_id=new_id()
        )
        subscription = bill(mg, upgraded).subscription
        say("upgrade", f"the 51st on {subscription.items[0].plan}: {mg.consume('designs', 1, subject=customer)}")

        found = bill(mg, pb.GetSubscriptionRequest(id=subscription.id)).subscription
        plans = " + ".join(item.plan for item in found.items)
        say("status", f"on {plans}, in a period until {found.period_end_time.ToDatetime():%Y-%m-%d}")

        invoices = closed(mg, subscription.id)
        for projected in (False, True):
            preview = bill(mg, pb.PreviewInvoiceRequest(subscription=subscription.id, projected=projected)).invoice
            say("preview", f"the next invoice, {'projected' if projected else 'as of now'}: {money(preview.total)}")

        for draft in invoices:
            invoice = bill(mg, pb.FinalizeInvoiceRequest(id=draft.id, request_id=new_id())).invoice
            say("invoice", f"{invoice.number}: {money(invoice.total)}")
            for line in invoice.lines:
                print(f"{'':14}{line.number}. {line.description}: {money(line.amount)}")
            for tax in invoice.taxes:
                print(f"{'':14}{tax.display_name} {tax.percent} %: {money(tax.amount)}")
            pdf = bill(mg, pb.GetInvoicePdfRequest(id=invoice.id))
            path = folder / f"{invoice.number}.pdf"
            path.write_bytes(pdf.pdf)
            say("PDF", f"{path}, {len(pdf.pdf):,} bytes")
            paid = bill(mg, pb.PayInvoiceRequest(id=invoice.id, method="bank transfer", request_id=new_id())).invoice
            say("payment", f"{money(paid.paid)} of {invoice.number}, {money(paid.due)} left")


def closed(mg: Metergate, subscription: str) -> list[Invoice]:
    """The drafts of all periods that are over: that at its begin, and that of its first month. The server closes them
    by itself as well; here it is asked to at once."""
    try:
        bill(mg, pb.ClosePeriodsRequest(subscriptions=[subscription]))
    except MetergateError as error:
        if error.reason != "PERIOD_OPEN":  # it was faster
            raise
    while len(found := bill(mg, pb.ListInvoicesRequest(subscription=subscription)).invoices) < 2:
        time.sleep(0.1)
    return list(reversed(found))


def bill(mg: Metergate, request: Message) -> Any:
    """Calls the method of BillingService that takes this request."""
    name = request.DESCRIPTOR.name.removesuffix("Request")
    reply: Any = getattr(pb, f"{name}Response")
    return mg.run(Call(f"/metergate.v1.BillingService/{name}", request, reply, lambda answer: answer))


def to_pb(moment: datetime) -> Timestamp:
    """The moment on the wire."""
    stamp = Timestamp()
    stamp.FromDatetime(moment)
    return stamp


def money(amount: Money) -> str:
    """An amount for people."""
    return f"{amount.text} {amount.currency}"


def say(step: str, what: str) -> None:
    """Prints one step."""
    print(f"{step:<14}{what}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "."))
