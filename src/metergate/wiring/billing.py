"""The parts of a server that bill."""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine

from metergate.adapters.pdf.render import TypstRenderer
from metergate.adapters.postgres.billing_explain import PostgresLines
from metergate.adapters.postgres.billing_usage import PostgresBilling
from metergate.adapters.postgres.budgets import PostgresBudgets
from metergate.adapters.postgres.closing import PostgresClosing
from metergate.adapters.postgres.invoices import PostgresInvoices
from metergate.adapters.postgres.subscriptions import PostgresSubscriptions
from metergate.adapters.postgres.turning import PostgresTurning
from metergate.app.billing.budget import Budgets
from metergate.app.billing.close_period import ClosePeriods
from metergate.app.billing.explain import ExplainLine
from metergate.app.billing.finalize_due import FinalizeDue
from metergate.app.billing.invoices import Invoices
from metergate.app.billing.pdf import InvoicePdf
from metergate.app.billing.preview import PreviewInvoice
from metergate.app.billing.subscribe import Subscriptions
from metergate.app.billing.turn import TurnSubscriptions
from metergate.app.catch_up import CatchUp
from metergate.app.directory import Directory
from metergate.app.tokens import Sealer
from metergate.rpc.billing.budget import BudgetService
from metergate.rpc.billing.invoices import InvoiceService
from metergate.rpc.billing.periods import PeriodService
from metergate.rpc.billing.subscriptions import SubscriptionService


@dataclass(frozen=True, slots=True)
class BillingParts:
    """The verbs of billing, and what workers run of it."""

    subscriptions: Subscriptions
    turns: TurnSubscriptions
    periods: ClosePeriods
    preview: PreviewInvoice
    explain: ExplainLine
    invoices: Invoices
    due: FinalizeDue
    pdf: InvoicePdf
    budgets: Budgets

    def servicers(self, sealer: Sealer) -> list[Any]:
        """What answers BillingService, and what NotificationService says of budgets."""
        return [
            SubscriptionService(self.subscriptions, sealer),
            PeriodService(self.subscriptions, self.invoices, self.preview, self.periods, self.explain, sealer),
            InvoiceService(self.invoices, self.pdf, sealer),
            BudgetService(self.budgets),
        ]


def billing(engine: AsyncEngine, directory: Directory, catch_up: CatchUp, stack: AsyncExitStack) -> BillingParts:
    """Joins them; `stack` closes what is opened."""
    subscriptions, invoices, renderer = PostgresSubscriptions(engine), PostgresInvoices(engine), TypstRenderer()
    stack.callback(renderer.close)
    reader = PostgresBilling(engine)
    preview = PreviewInvoice(subscriptions, reader, directory, catch_up)
    return BillingParts(
        Subscriptions(subscriptions, directory, catch_up),
        TurnSubscriptions(PostgresTurning(engine), directory, catch_up),
        ClosePeriods(PostgresClosing(engine), reader, directory, catch_up),
        preview,
        ExplainLine(invoices, subscriptions, reader, PostgresLines(engine), directory),
        Invoices(invoices, directory),
        FinalizeDue(invoices),
        InvoicePdf(invoices, subscriptions, directory, renderer),
        Budgets(PostgresBudgets(engine), subscriptions, preview),
    )
