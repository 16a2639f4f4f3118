"""What a draft is read with: a catalog as an offer, and what the ledger is asked for it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager

from metergate.app.billing.close_ports import BillingReader, BillingSnapshot, UsageAsked
from metergate.app.catch_up import CatchUp
from metergate.domain.catalog import Catalog
from metergate.domain.draft import Draft, Offer, Quantities, Question
from metergate.domain.errors import MetergateError, Reason
from metergate.domain.price import Price
from metergate.domain.subscription import Subscription


def offer_of(catalog: Catalog) -> Offer:
    """What the catalog says of prices, each version of a plan looked up once."""
    known: dict[tuple[str, int], tuple[Price, ...]] = {}

    def prices(plan: str, version: int) -> tuple[Price, ...]:
        key = (plan, version)
        if key not in known:
            found = catalog.plan_at(plan, version)
            if found is None:
                message = f"there is no version {version} of plan {plan!r}"
                raise MetergateError(Reason.PLAN_NOT_FOUND, message, {"plan": plan, "version": str(version)})
            known[key] = found.charged
        return known[key]

    coupons = {coupon.name: coupon for coupon in catalog.coupons}
    return Offer(prices, catalog.meter_of, coupons, catalog.tax_rates)


def asked_of(subscription: Subscription, question: Question) -> UsageAsked:
    """What the ledger is asked."""
    one = question.charge
    return UsageAsked(
        subscription.customer, question.meter, one.windows or (one.window,), one.price.labels, one.price.per_labels,
        subscription.time_zone, question.late,
    )  # fmt: skip


async def answered(
    snapshot: BillingSnapshot, catalog: Catalog, drafts: Sequence[Draft]
) -> list[tuple[Draft, list[Quantities]]]:
    """The drafts with what was counted. Questions about earlier windows that can no longer be counted are left out.

    Raises:
        MetergateError: TOO_EXPENSIVE, EVENTS_DROPPED.
    """
    asked = [asked_of(draft.subscription, question) for draft in drafts for question in draft.questions]
    counted = iter(await snapshot.quantities(asked, catalog.closed) if asked else ())
    found = []
    for draft in drafts:
        pairs = [(question, next(counted)) for question in draft.questions]
        known = [(question, quantities) for question, quantities in pairs if quantities is not None]
        if len(known) < len(pairs):
            unknown = [question for question, quantities in pairs if quantities is None]
            draft = draft.without(unknown)  # noqa: PLW2901
        found.append((draft, [quantities for _, quantities in known]))
    return found


def earliest(*instants: int | None) -> int | None:
    """The earliest of those that there are."""
    return min([one for one in instants if one is not None], default=None)


@asynccontextmanager
async def complete(
    reader: BillingReader, catch_up: CatchUp, tenant: str, customer: str, catalog: Catalog
) -> AsyncGenerator[BillingSnapshot]:
    """A snapshot of a customer whose rollups have all that the catalog's meters count.

    Raises:
        LedgerUnavailableError, OutcomeUnknownError
    """
    async with reader.snapshot(tenant, [customer]) as snapshot:
        behind = snapshot.cuts[customer].metering_version < catalog.metering_version
        if not behind:
            yield snapshot
            return
    await catch_up.bring_up(tenant, [customer])
    async with reader.snapshot(tenant, [customer]) as snapshot:
        yield snapshot
