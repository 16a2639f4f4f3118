"""The mission's known answers, each from events to the PDF: what a finance team would work out by hand.

The server takes usage of 70 days, so that the month before this one is a period that is over, whole, and of the
calendar: then 45 GB that are held all month are 45 GB-months.
"""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator, Iterator, Mapping
from datetime import timedelta
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any

import pytest
from pypdf import PdfReader

from metergate.cli.catalog import read_catalog
from tests.databases import Databases
from tests.e2e.billing import (
    amounts,
    close,
    consume,
    customer,
    flat,
    last_month,
    meter,
    metered,
    plan,
    stamped,
    subscribe,
    use,
)
from tests.e2e.calls import Caller, caller
from tests.server import Server, SharedServer, shared_server

REPOSITORY = Path(__file__).parents[2]
TIERS = read_catalog(REPOSITORY / "examples" / "catalog-billing.yaml")
TRACE = REPOSITORY.parent / "shared" / "data" / "azure_llm_code_2023.csv"

TIER_FEATURES = ("api_calls", "ai_queries", "exports", "designs", "predictions")
METERS = [
    meter("units"), meter("orders"), meter("invoices"), meter("calls"), meter("jobs"), meter("requests"),
    meter("storage", aggregation="AGGREGATION_LEVEL", level_unit="LEVEL_UNIT_MONTH"),
    meter("input", event_type="llm", value="input"), meter("output", event_type="llm", value="output"),
]  # fmt: skip
BASE = [
    flat("199"),
    metered("UNIT", "orders", unit_amount="0.10"),
    metered("UNIT", "invoices", unit_amount="0.05"),
    metered("UNIT", "storage", unit_amount="1.00"),
    metered("UNIT", "calls", unit_amount="0.00001"),
    metered("UNIT", "jobs", unit_amount="0.50"),
]
LADDER = [{"up_to": "10000", "unit_amount": "0.10"}, {"unit_amount": "0.05"}]
PLANS = [
    plan("default"),
    plan("metered", metered("UNIT", "units", unit_amount="0.01")),
    plan("hybrid", flat("99"), metered("UNIT", "units", unit_amount="0.02", included="10000")),
    plan("graduated", metered("GRADUATED", "units", tiers=LADDER)),
    plan("volume", metered("VOLUME", "units", tiers=LADDER)),
    plan("rates", *BASE),
    plan("rates-blocks", *BASE[:4], metered("PACKAGE", "calls", unit_amount="0.01", package_size="1000"), BASE[5]),
    plan("partner", metered("PACKAGE", "requests", unit_amount="1", package_size="1000")),
    plan(
        "yen",
        flat("1200", currency="JPY"),
        metered("UNIT", "units", unit_amount="0.5", currency="JPY"),
    ),
    plan(
        "llm",
        metered("UNIT", "input", unit_amount="0.0000025"),
        metered("UNIT", "output", unit_amount="0.00001"),
    ),
]  # fmt: skip


@pytest.fixture(scope="module")
def _server(
    databases: Databases, redis_server: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[SharedServer]:
    """A server that takes usage of 70 days."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("METERGATE_ACCEPT_DAYS", "70")
        yield from shared_server("production", databases, redis_server, tmp_path_factory)


@pytest.fixture(scope="module")
def seller(_server: SharedServer) -> Server:
    """A tenant with the plans of this file."""
    return _server.with_a_tenant()


@pytest.fixture
async def api(seller: Server) -> AsyncIterator[Caller]:
    """Calls in the name of the seller."""
    async with caller(seller.grpc_url, seller.key) as calling:
        await calling("ApplyCatalog", catalog={"meters": METERS, "plans": PLANS, "seller": {"name": "Example Ltd"}})
        yield calling


@pytest.fixture(scope="module")
def tiered(_server: SharedServer) -> Server:
    """A tenant with the tiers of `examples/catalog-billing.yaml`."""
    return _server.with_a_tenant()


@pytest.fixture
async def tiers(tiered: Server) -> AsyncIterator[Caller]:
    """Calls in the name of who sells those."""
    async with caller(tiered.grpc_url, tiered.key) as calling:
        await calling("ApplyCatalog", catalog=TIERS)
        yield calling


async def billed(api: Caller, plan_name: str, usage: Mapping[str, Any], **fields: Any) -> Any:
    """Uses it in the course of last month, and subscribes from its first moment; the invoice at its end, finalized.
    Its PDF says the same total."""
    start, end = last_month()
    who = await customer(api)
    if "storage" in usage:
        await use(api, who, start, {"storage": usage["storage"]})
    await use(api, who, start + timedelta(days=9), {name: used for name, used in usage.items() if name != "storage"})
    made = await close(api, await subscribe(api, who, plan_name, start=start, **fields), end)
    assert made[-1].start_time == stamped(start)
    assert made[-1].end_time == stamped(end)
    return await finalized(api, made[-1])


async def finalized(api: Caller, draft: Any) -> Any:
    """The invoice, closed; its lines sum to its total, and its PDF says the same."""
    invoice = (await api("FinalizeInvoice", id=draft.id)).invoice
    assert sum(line.amount.minor_units for line in invoice.lines) == invoice.subtotal.minor_units
    assert invoice.subtotal == invoice.total  # nothing is discounted or taxed here
    assert [line.number for line in invoice.lines] == list(range(1, len(invoice.lines) + 1))
    said = text_of((await api("GetInvoicePdf", id=invoice.id)).pdf)
    assert invoice.number in said
    assert invoice.total.text in said.replace(",", ""), said
    return invoice


def text_of(pdf: bytes) -> str:
    """What a PDF says."""
    return "\n".join(page.extract_text() for page in PdfReader(io.BytesIO(pdf)).pages)


@pytest.mark.parametrize(
    ("usage", "total", "lines"),
    [
        (
            {"api_calls": 15_000, "ai_queries": 1_200, "exports": 600},
            "219.00",
            {"base": "99.00", "api_calls": "50.00", "ai_queries": "20.00", "exports": "50.00"},
        ),
        ({"ai_queries": 1_200}, "119.00", {"base": "99.00", "ai_queries": "20.00"}),
        ({"api_calls": 10_000, "ai_queries": 1_000, "exports": 500}, "99.00", {"base": "99.00"}),
    ],
    ids=["219.00", "119.00", "99.00"],
)
async def test_known_answer_professional(
    tiers: Caller, usage: dict[str, int], total: str, lines: dict[str, str]
) -> None:
    invoice = await billed(tiers, "professional", usage)
    assert (invoice.total.text, invoice.currency) == (total, "USD")
    assert {price: amount for price, amount in amounts(invoice).items() if amount != "0.00"} == lines


@pytest.mark.parametrize(
    ("plan_name", "month", "year"),
    [("solo", "29.00", "295.80"), ("professional", "99.00", "1009.80"), ("enterprise", "299.00", "3049.80")],
)
async def test_known_answer_a_year_at_15_per_cent_off(tiers: Caller, plan_name: str, month: str, year: str) -> None:
    assert Decimal(month) * 12 * Decimal("0.85") == Decimal(year)
    for interval, price in (("PRICE_INTERVAL_MONTH", month), ("PRICE_INTERVAL_YEAR", year)):
        made = await close(tiers, await subscribe(tiers, await customer(tiers), plan_name, interval=interval))
        assert (await finalized(tiers, made[0])).total.text == price


@pytest.mark.parametrize(
    ("tier", "feature", "included"),
    [
        *[("free", feature, most) for feature, most in zip(TIER_FEATURES, (100, 10, 5, 3, 10), strict=True)],
        ("solo", "designs", 50), ("solo", "predictions", 100), ("professional", "predictions", 1_000),
    ],
)  # fmt: skip
async def test_known_answer_a_tier_refuses_the_next_call(tiers: Caller, tier: str, feature: str, included: int) -> None:
    who = await customer(tiers)
    if tier != "free":
        await subscribe(tiers, who, tier)
    assert (await consume(tiers, who, feature, included)).allowed
    refused = await consume(tiers, who, feature, 1)
    assert (refused.allowed, refused.binding_limit) == (False, f"{feature}/month")
    assert refused.plan == tier


@pytest.mark.parametrize(
    ("tier", "feature", "included"),
    [
        ("solo", "api_calls", 1_000), ("solo", "ai_queries", 100), ("solo", "exports", 50),
        ("professional", "api_calls", 10_000), ("professional", "ai_queries", 1_000), ("professional", "exports", 500),
        *[("enterprise", feature, 1_000_000) for feature in TIER_FEATURES], ("professional", "designs", 1_000_000),
    ],
)  # fmt: skip
async def test_known_answer_a_tier_lets_overage_pass(tiers: Caller, tier: str, feature: str, included: int) -> None:
    who = await customer(tiers)
    await subscribe(tiers, who, tier)
    assert (await consume(tiers, who, feature, included)).allowed
    assert (await consume(tiers, who, feature, 1)).allowed


@pytest.mark.parametrize(
    ("plan_name", "units", "total"),
    [
        ("metered", 1_234, "12.34"), ("hybrid", 12_500, "149.00"), ("hybrid", 10_000, "99.00"),
        ("graduated", 20_000, "1500.00"), ("volume", 20_000, "1000.00"),
    ],
)  # fmt: skip
async def test_known_answer_of_units(api: Caller, plan_name: str, units: int, total: str) -> None:
    assert (await billed(api, plan_name, {"units": units})).total.text == total


D_USAGE = {"orders": 1_250, "invoices": 980, "storage": 45, "calls": 50_000, "jobs": 120}


@pytest.mark.parametrize(
    ("plan_name", "usage", "total"),
    [
        ("rates", D_USAGE, "478.50"),
        ("rates", {name: D_USAGE[name] for name in ("orders", "invoices", "storage")}, "418.00"),
        ("rates", {"orders": 5}, "199.50"),
        ("rates", {**D_USAGE, "calls": 50_001}, "478.50"),
        ("rates-blocks", {**D_USAGE, "calls": 50_001}, "478.51"),
        ("rates-blocks", D_USAGE, "478.50"),
    ],
    ids=["478.50", "418.00", "5-orders", "50,001-linear", "50,001-in-blocks", "50,000-in-blocks"],
)
async def test_known_answer_base_plus_five_rates(
    api: Caller, plan_name: str, usage: dict[str, int], total: str
) -> None:
    invoice = await billed(api, plan_name, usage)
    assert invoice.total.text == total
    if usage == D_USAGE:
        assert amounts(invoice) == {
            "base": "199.00", "orders": "125.00", "invoices": "49.00", "storage": "45.00", "calls": "0.50",
            "jobs": "60.00",
        }  # fmt: skip


@pytest.mark.parametrize(("requests", "blocks"), [(1, 1), (1_000, 1), (1_001, 2)])
async def test_known_answer_a_begun_block_counts_whole(api: Caller, requests: int, blocks: int) -> None:
    assert (await billed(api, "partner", {"requests": requests})).total.text == f"{blocks}.00"


async def test_known_answer_no_requests_cost_nothing(api: Caller) -> None:
    assert (await billed(api, "partner", {})).total.text == "0.00"


async def test_known_answer_jpy_has_no_minor_units(api: Caller) -> None:
    invoice = await billed(api, "yen", {"units": 3})
    assert (invoice.total.minor_units, invoice.total.text) == (1_202, "1202")  # 1.5 is rounded half up


async def test_known_answer_0_0000025_a_token(api: Caller) -> None:
    start, end = last_month()
    asked = _trace()
    who = await customer(api)
    for first in range(0, len(asked), 5_000):
        events = [
            {"id": f"t-{first + at}", "type": "llm", "subject": who, "time": stamped(start + timedelta(minutes=at)),
             "values": {"input": str(one), "output": str(other)}}
            for at, (one, other) in enumerate(asked[first : first + 5_000])
        ]  # fmt: skip
        await api("BatchRecordUsage", events=events)
    made = await close(api, await subscribe(api, who, "llm", start=start), end)
    invoice = await finalized(api, made[-1])
    tokens = [sum(column) for column in zip(*asked, strict=True)]
    exact = [Decimal(tokens[0]) * Decimal("0.0000025"), Decimal(tokens[1]) * Decimal("0.00001")]
    assert [line.quantity for line in invoice.lines] == [str(one) for one in tokens]
    assert [line.unit_amount for line in invoice.lines] == ["0.0000025", "0.00001"]
    rounded = [f"{one.quantize(Decimal('0.01'), ROUND_HALF_UP)}" for one in exact]
    assert [line.amount.text for line in invoice.lines] == rounded
    if TRACE.exists():
        assert [line.amount.text for line in invoice.lines] == ["45.15", "2.46"]  # of 45.149935 and 2.45896


def _trace() -> list[tuple[int, int]]:
    """Tokens in and out of real calls, or of a thousand made up ones where the trace is not there."""
    if not TRACE.exists():
        return [(4_808 + number, number % 97) for number in range(1_000)]
    with TRACE.open(encoding="utf-8") as file:
        return [(int(row["ContextTokens"]), int(row["GeneratedTokens"])) for row in csv.DictReader(file)]
