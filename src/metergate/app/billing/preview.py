"""PreviewInvoice: what the next invoice of a subscription would be, now or, projected, when its period ends."""

from __future__ import annotations

from dataclasses import replace

from metergate.app.billing.close_ports import BillingReader
from metergate.app.billing.existing import existing
from metergate.app.billing.ports import SubscriptionStore
from metergate.app.billing.reading import answered, complete, earliest, offer_of
from metergate.app.catch_up import CatchUp
from metergate.app.directory import Directory
from metergate.app.ports.ledger import LedgerUnavailableError, OutcomeUnknownError
from metergate.domain.access import Principal
from metergate.domain.billing_period import next_period
from metergate.domain.catalog import Catalog
from metergate.domain.draft import Quantities, Question, ask
from metergate.domain.errors import MetergateError, Reason
from metergate.domain.invoice import Invoice
from metergate.domain.offer import NO_DETAILS
from metergate.domain.period import DAY, Window
from metergate.domain.quantity import estimate
from metergate.domain.subscription import Subscription
from metergate.domain.summary import adds_up

_A_PART = 20  # of the time, or a day, has to have passed before usage is projected: an hour says little of a month


class PreviewInvoice:
    """The verb. It writes nothing."""

    def __init__(
        self, store: SubscriptionStore, reader: BillingReader, directory: Directory, catch_up: CatchUp
    ) -> None:
        self._store = store
        self._reader = reader
        self._directory = directory
        self._catch_up = catch_up

    async def preview(self, principal: Principal, subscription: str, projected: bool = False) -> Invoice:
        """A draft without an id: with what was used until now, or, `projected`, with what will have been used at the
        period's end if it goes on as it went (of meters that add up, when a day or a twentieth of the time has passed;
        else what there is).

        Raises:
            MetergateError: SUBSCRIPTION_NOT_FOUND; SUBSCRIPTION_STATE where all is invoiced; PLAN_NOT_FOUND,
                METER_NOT_FOUND, AMOUNT_TOO_LARGE, TOO_EXPENSIVE, EVENTS_DROPPED, LEDGER_UNAVAILABLE.
        """
        tenant = principal.tenant
        one = await existing(self._store, tenant, subscription)
        catalog = await self._directory.catalog(tenant)
        period = next_period(one, offer_of(catalog).prices)
        if period is None:
            message = f"subscription {one.id!r} has ended and all of it is invoiced"
            raise MetergateError(Reason.SUBSCRIPTION_STATE, message, {"subscription": one.id, "state": "canceled"})
        try:
            return await self._made(tenant, one, catalog, period, projected)
        except (LedgerUnavailableError, OutcomeUnknownError):
            raise MetergateError(Reason.LEDGER_UNAVAILABLE, "the database cannot be reached") from None

    async def _made(self, tenant: str, one: Subscription, catalog: Catalog, period: Window, projected: bool) -> Invoice:
        async with complete(self._reader, self._catch_up, tenant, one.customer, catalog) as snapshot:
            cut = snapshot.cuts[one.customer]
            late_from = earliest(cut.late_from, await snapshot.late_from(one.id))
            since = min(period.start, period.start if late_from is None else late_from)
            earlier = (await snapshot.earlier({one.id: since}))[one.id]
            details = (await snapshot.details([one.customer])).get(one.customer, NO_DETAILS)
            asked = ask(one, period, offer_of(catalog), earlier, details, late_from)
            ((draft, counted),) = await answered(snapshot, catalog, [asked])
            now = snapshot.now
        if projected:
            counted = [_projected(*pair, now) for pair in zip(draft.questions, counted, strict=True)]
        made = draft.make(counted, cut.seq)
        return replace(made, created_at=now, seller=catalog.seller, buyer=details)


def _projected(question: Question, counted: Quantities, now: int) -> Quantities:
    """As it goes on for the rest of the time for which the price holds; as it is, where too little of that has passed
    to tell."""
    windows = question.charge.windows
    whole = sum(window.end - window.start for window in windows)
    passed = sum(max(min(window.end, now) - window.start, 0) for window in windows)
    if question.late or not adds_up(question.meter) or not min(DAY, whole // _A_PART) <= passed < whole:
        return counted
    return [(labels, estimate(quantity, whole, passed)) for labels, quantity in counted]
