"""The price tables of the mission, as prices."""

from __future__ import annotations

from decimal import Decimal

from metergate.domain.price import Model, Price, Tier

D = Decimal


def flat(amount: str, currency: str = "USD") -> Price:
    """A base fee."""
    return Price("base", Model.FLAT, currency, unit_amount=D(amount))


def unit(amount: str, included: str = "0", name: str = "calls", currency: str = "USD") -> Price:
    """So much for each unit beyond the included ones."""
    return Price(name, Model.UNIT, currency, meter=name, unit_amount=D(amount), included=D(included))


def package(amount: str, size: str, included: str = "0", currency: str = "USD") -> Price:
    """So much for each begun block beyond the included units."""
    return Price(
        "calls", Model.PACKAGE, currency, meter="calls",
        unit_amount=D(amount), package_size=D(size), included=D(included),
    )  # fmt: skip


def percent(share: str, included: str = "0", currency: str = "USD") -> Price:
    """A share of an amount of money."""
    return Price("volume", Model.PERCENT, currency, meter="volume", percent=D(share), included=D(included))


def tiered(model: Model, *tiers: tuple[str | None, str] | tuple[str | None, str, str], currency: str = "USD") -> Price:
    """Tiers as (up to, unit price, flat price)."""
    made = [Tier(None if up_to is None else D(up_to), *map(D, amounts)) for up_to, *amounts in tiers]
    return Price("calls", model, currency, meter="calls", tiers=tuple(made))


# B: 0.10 for the first 10,000, then 0.05. C: three models.
GRADUATED = tiered(Model.GRADUATED, ("10000", "0.10"), (None, "0.05"))
VOLUME = tiered(Model.VOLUME, ("10000", "0.10"), (None, "0.05"))

# A: Professional, 99 a month, and what its overage costs; with the usage of the known answer.
PROFESSIONAL = {
    unit("0.01", "10000", "api_calls"): "15000",
    unit("0.10", "1000", "ai_queries"): "1200",
    unit("0.50", "500", "exports"): "600",
}
# D: 199 a month and five meters; calls are 0.01 per 1,000, linear.
FIVE_METERS = {
    unit("0.10", name="orders"): "1250",
    unit("0.05", name="invoices"): "980",
    unit("1.00", name="storage_gb_months"): "45",
    unit("0.00001", name="api_calls"): "50000",
    unit("0.50", name="ai_jobs"): "120",
}
