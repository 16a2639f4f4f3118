"""ApplyCatalog and SetLimit: the catalog is replaced as a whole, under the tenant's lock."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from metergate.app.directory import Directory
from metergate.app.stores import CatalogChange, Catalogs, Once
from metergate.domain.access import Principal
from metergate.domain.catalog import Catalog
from metergate.domain.catalog_changes import Action, Change, changes
from metergate.domain.errors import MetergateError, Reason, invalid
from metergate.domain.meter import Meter
from metergate.domain.offer_rules import own_price_contradictions
from metergate.domain.quota import Limit


@dataclass(frozen=True, slots=True)
class Applied:
    """What changed, or would, and the catalog after it."""

    changes: list[Change]
    catalog: Catalog


class ApplyCatalog:
    """The verb, and its small sister for one limit."""

    def __init__(self, catalogs: Catalogs, directory: Directory) -> None:
        self._catalogs = catalogs
        self._directory = directory

    async def apply(self, principal: Principal, new: Catalog, dry_run: bool, once: Once | None = None) -> Applied:
        """Puts `new` in the place of the catalog in force.

        Raises:
            MetergateError: CATALOG_INVALID, also when it changes or lacks a coupon that subscriptions have, or what a
                meter counts that they are charged for, or lacks a tax rate that customers have; PLAN_IN_USE when it
                lacks a plan that customers are on; PLAN_VERSION_IN_USE when it changes what a version promises that
                subscriptions are on.
        """
        new.check()
        return await self._change(principal, lambda current: new, dry_run, once)

    async def set_limit(self, principal: Principal, plan: str, limit: Limit, once: Once | None = None) -> Applied:
        """Makes or changes one limit; a plan ("" = the default one) or meter that is not there is made.

        Raises:
            MetergateError: CATALOG_INVALID, PLAN_VERSION_IN_USE.
        """
        return await self._change(
            principal, lambda current: current.with_limit(plan or current.default_plan, limit), False, once
        )

    async def _change(
        self, principal: Principal, make: Callable[[Catalog], Catalog], dry_run: bool, once: Once | None
    ) -> Applied:
        async with self._catalogs.change(principal.tenant) as change:
            current = await change.current()
            if await change.repeated(once):
                return Applied([], current)
            new = make(current)
            new.check()
            found = changes(current, new)
            await _refuse_orphans(change, found)
            applied = Applied(found, current.succeed(new) if found else current)
            await _refuse_broken_promises(change, current, applied.catalog)
            await _refuse_other_meters(change, current, new)
            await _refuse_other_coupons(change, current, new)
            await _refuse_missing_taxes(change, current, new)
            if not dry_run:
                if found:
                    await change.replace(applied.catalog)
                await change.remember(once, applied)
        if found and not dry_run:
            self._directory.forget("catalog", principal.tenant, "")
        return applied


async def _refuse_orphans(change: CatalogChange, found: list[Change]) -> None:
    gone = [one.name for one in found if one.kind == "plan" and one.action is Action.DELETE]
    for plan, customers in sorted((await change.customers_on(gone)).items() if gone else ()):
        raise MetergateError(
            Reason.PLAN_IN_USE,
            f"{customers} customers are on plan {plan!r}; assign them another plan first",
            {"plan": plan, "customers": str(customers)},
        )


async def _refuse_broken_promises(change: CatalogChange, current: Catalog, new: Catalog) -> None:
    """What a version promises may change, or go with the meters that it needs, only where nobody subscribed to it."""
    broken = {plan.key for plan in current.every_version if not plan.same_promise(new.plan_at(*plan.key))}
    used = await change.subscriptions_to(sorted({plan for plan, _ in broken})) if broken else {}
    for plan, version in sorted(broken & used.keys()):
        count = used[plan, version]
        raise MetergateError(
            Reason.PLAN_VERSION_IN_USE,
            f"{count} subscriptions are on version {version} of plan {plan!r}, whose prices, limits or features would "
            "change; give the plan a version of its own for that",
            {"plan": plan, "version": str(version), "subscriptions": str(count)},
        )


async def _refuse_other_meters(change: CatalogChange, current: Catalog, new: Catalog) -> None:
    """What a meter counts may become other only where nobody subscribed to a price of it: windows that were invoiced
    are counted anew when usage comes late, and would come to another amount."""
    other = {one.name for one in current.meters if not _charges_alike(one, new.meter_of.get(one.name))}
    narrower = {one.name for one in current.meters if set(one.dimensions) - set(_dimensions(new, one.name))}
    plans = {
        plan.key: price.meter for plan in current.every_version for price in plan.all_prices if price.meter in other
    }
    used = await change.subscriptions_to(sorted({plan for plan, _ in plans})) if plans else {}
    own = await change.own_prices(sorted(other | narrower)) if other or narrower else []
    wrong = [one.meter for one in own if one.meter in other or any(own_price_contradictions("", [one], new.meter_of))]
    for meter in sorted({*wrong, *[plans[key] for key in plans.keys() & used.keys()]}):
        description = f"subscriptions are charged for {meter!r}, which would be gone or count otherwise; make a new one"
        raise invalid("meters", description, Reason.CATALOG_INVALID, meter=meter)


def _charges_alike(old: Meter, new: Meter | None) -> bool:
    return new is not None and old.charges_like(new)


def _dimensions(catalog: Catalog, meter: str) -> tuple[str, ...]:
    return catalog.meter_of[meter].dimensions if meter in catalog.meter_of else ()


async def _refuse_other_coupons(change: CatalogChange, current: Catalog, new: Catalog) -> None:
    """What a coupon takes off may change, or end, only where no subscription that is not over has it."""
    after = {coupon.name: replace(coupon, display_name="") for coupon in new.coupons}
    other = [one.name for one in current.coupons if replace(one, display_name="") != after.get(one.name)]
    used = await change.subscriptions_with(other) if other else {}
    for coupon, count in sorted(used.items()):
        description = f"{count} subscriptions have coupon {coupon!r}, which would change; give another one another name"
        raise invalid("coupons", description, Reason.CATALOG_INVALID, coupon=coupon, subscriptions=str(count))


async def _refuse_missing_taxes(change: CatalogChange, current: Catalog, new: Catalog) -> None:
    """A tax rate may change, as they do, but not go while customers have it by its name: they could not be invoiced."""
    gone = sorted({rate.name for rate in current.tax_rates} - {rate.name for rate in new.tax_rates})
    used = await change.customers_taxed(gone) if gone else {}
    for rate, count in sorted(used.items()):
        description = f"{count} customers have tax rate {rate!r} by its name; change their billing details first"
        raise invalid("tax_rates", description, Reason.CATALOG_INVALID, tax_rate=rate, customers=str(count))
