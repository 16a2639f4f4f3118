"""Closing periods: drafts of what the ledger counted, each once, and late usage by its meter's policy."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from decimal import Decimal

import pytest

from metergate.adapters.postgres.subscriptions import PostgresSubscriptions
from metergate.app.billing.close_ports import BillingSnapshot, EventPlace
from metergate.app.billing.ports import Standing
from metergate.cli.main import main
from metergate.domain import subscription
from metergate.domain.errors import MetergateError, Reason
from metergate.domain.invoice import InvoiceState, LineKind
from metergate.domain.period import DAY, MINUTE
from tests.integration.biller import CATALOG, Biller, of_kind, short
from tests.integration.processes import PRINCIPAL, TENANT, Process, Start, event


@pytest.fixture
async def biller(one: Process) -> Biller:
    return await Biller.of(one)


async def test_p6_each_period_that_is_over_becomes_one_draft(biller: Biller) -> None:
    subscription = await biller.subscribed()
    await biller.use("calls", 130, 30)
    await biller.use("calls", 7, 2)  # in the period that runs
    await biller.use("files", 11, 44.9)
    closed = await biller.closer.close()
    assert (closed.periods, closed.invoices, closed.failed) == (2, 2, [])
    first, second = await biller.invoices()
    assert short(first) == [("flat", "base", Decimal(1), 2000)]
    assert first.period.start == first.period.end == subscription.segments[0].start
    assert second.state is InvoiceState.DRAFT
    assert [line.amount for line in second.lines if line.price == "calls"] == [1000, 150]
    assert [(line.billed, line.amount) for line in second.lines if line.price == "files"] == [(Decimal(11), 200)]
    assert second.total == 1000 + 150 + 200 + 2000
    with pytest.raises(MetergateError) as refused:
        await biller.closer.close(subscriptions=[subscription.id])
    assert refused.value.reason is Reason.PERIOD_OPEN
    assert len(await biller.invoices()) == 2


async def test_p6_late_usage_is_on_the_next_invoice_or_declared(biller: Biller) -> None:
    await biller.subscribed(days=75)
    await biller.use("calls", 90, 60)
    await biller.use("jobs", 4, 60)
    await biller.closer.close(now=biller.now - 40 * 86_400_000_000)
    await biller.finalize()
    assert len(await biller.invoices()) == 2
    await biller.use("calls", 30, 61)
    await biller.use("jobs", 2, 61)
    await biller.closer.close()
    *_, last = await biller.invoices()
    late = of_kind(last.lines, LineKind.LATE, LineKind.UNBILLED)
    assert [(line.kind, line.price, line.quantity, line.amount) for line in late] == [
        (LineKind.LATE, "calls", Decimal(30), 200), (LineKind.UNBILLED, "jobs", Decimal(2), 0),
    ]  # fmt: skip
    assert not await biller.untrue()
    assert await biller.one.fetch("SELECT late_from FROM customer_head WHERE customer = 'acme'") == [(None,)]


async def test_p6_late_usage_reopens_a_draft(biller: Biller) -> None:
    await biller.subscribed()
    await biller.use("files", 5, 40)
    await biller.use("jobs", 1, 40)
    await biller.closer.close()
    _, before = await biller.invoices()
    await biller.use("files", 9, 39)
    await biller.use("jobs", 3, 39)
    await biller.use("calls", 1, 2)  # counts in the period that runs, and is not late
    closed = await biller.closer.close()
    assert (closed.periods, closed.invoices) == (0, 1)
    _, after = await biller.invoices()
    assert (after.id, after.finalize_at, after.period) == (before.id, before.finalize_at, before.period)
    assert [(line.billed, line.amount) for line in after.lines if line.price == "files"] == [(Decimal(14), 200)]
    assert [(line.kind, line.quantity, line.amount) for line in after.lines if line.price == "jobs"] == [
        (LineKind.USAGE, Decimal(1), 50), (LineKind.UNBILLED, Decimal(3), 0),
    ]  # fmt: skip
    assert not await biller.untrue()
    assert (await biller.closer.close()).invoices == 0  # once
    await biller.finalize()
    await biller.use("files", 7, 39)
    assert (await biller.closer.close()).invoices == 0  # it is closed: the next invoice will have it
    *_, preview = [await biller.preview()]
    assert [(line.billed, line.amount) for line in preview.lines if line.kind is LineKind.LATE] == [(Decimal(21), 100)]


async def test_p6_a_subscription_that_ended_gets_an_invoice_of_what_came_late(biller: Biller) -> None:
    subscription = await biller.subscribed()
    await biller.subscriptions.cancel(PRINCIPAL, subscription.id, at_period_end=False)
    await biller.closer.close()
    await biller.finalize()
    count = len(await biller.invoices())
    await biller.use("calls", 10, 40)
    closed = await biller.closer.close()
    assert (closed.periods, closed.invoices) == (0, 1)
    *_, last = await biller.invoices()
    assert short(last)[0] == ("late", "calls", Decimal(10), 100)
    assert [line.kind for line in last.lines[1:]] == [LineKind.CARRIED]  # what was paid in advance and not used
    assert not await biller.untrue()
    assert (await biller.explained(last, 1)).amount == 100
    assert (await biller.closer.close()).invoices == 0
    assert len(await biller.invoices()) == count + 1


async def test_prices_by_labels_and_meters_that_do_not_add_up(biller: Biller) -> None:
    await biller.subscribed(plan="regions")
    for day, region, subject in ((40, "eu", "acme"), (39, "us", "ann"), (38, "eu", "bob"), (30, "", "ann")):
        if subject != "acme":
            await biller.one.subject(f"{subject}{day}", "acme")
        name = subject if subject == "acme" else f"{subject}{day}"
        labels = {"region": region} if region else {}
        await biller.use("calls", day, day, labels=labels, as_subject=name)
        await biller.use("users", 1, day, as_subject=name)
        await biller.use("disk", day, day, as_subject=name)
    await biller.closer.close()
    (invoice,) = await biller.invoices()
    lines = {(line.price, line.labels): (line.quantity, line.amount) for line in invoice.lines}
    assert lines == {
        ("eu", ()): (Decimal(78), 7800),
        ("each", (("region", ""),)): (Decimal(30), 6000),
        ("each", (("region", "eu"),)): (Decimal(78), 15600),
        ("each", (("region", "us"),)): (Decimal(39), 7800),
        ("users", ()): (Decimal(4), 1200),
        ("disk", ()): (Decimal(40), 16000),
    }


async def test_a_customer_that_fails_stops_nobody_and_is_listed(biller: Biller) -> None:
    for customer in ("a", "b", "c"):
        await biller.subscribed(customer)
    broken = '{"tax_rates": ["gone"]}'
    await biller.one.fetch("INSERT INTO billing_details VALUES ('t', 'b', $1::text::jsonb)", broken)
    closed = await biller.closer.close()
    assert (closed.periods, closed.invoices) == (4, 4)
    ((failed, reason),) = closed.failed
    (noted,) = await biller.closer.failures("t")
    assert (noted.subscription, noted.reason, reason) == (failed, "FIELD_INVALID", "FIELD_INVALID")
    assert "gone" in noted.message
    assert len(await biller.invoices("a")) == len(await biller.invoices("c")) == 2
    await biller.closer.close()
    assert (await biller.closer.failures("t"))[0].tries == 2
    await biller.one.fetch("DELETE FROM billing_details")
    assert (await biller.closer.close()).invoices == 2
    assert await biller.closer.failures("t") == []


async def test_p6_many_workers_close_each_period_once(biller: Biller, start: Start) -> None:
    others = [await Biller.joined(await start()) for _ in range(2)]
    customers = [f"c{number}" for number in range(40)]
    for number, customer in enumerate(customers):
        await biller.subscribed(customer, days=40 + number % 20)
        await biller.use("calls", number, 32, customer)
    done = await asyncio.gather(*[one.closer.close() for one in (biller, *others)])
    assert sum(one.periods for one in done) == 2 * len(customers)
    assert sum(one.invoices for one in done) == 2 * len(customers)
    for number, customer in enumerate(customers):
        _, invoice = await biller.invoices(customer)
        assert sum(line.billed or 0 for line in invoice.lines if line.price == "calls") == number


async def test_many_calls_of_one_process_do_not_wait_for_each_others_connections(biller: Biller) -> None:
    """A process has three; each call would hold one of them while it takes another."""
    for number in range(6):
        await biller.subscribed(f"c{number}", days=70)
    subscriptions = [row[0] for row in await biller.one.fetch("SELECT id FROM subscription")]
    done = await asyncio.gather(*[biller.closer.close(subscriptions=[one]) for one in subscriptions])
    assert [(one.periods, one.failed) for one in done] == [(3, [])] * 6


async def test_p6_what_comes_between_the_look_and_the_save_is_looked_at_again(biller: Biller) -> None:
    await biller.subscribed()
    await biller.use("calls", 1, 40)
    reader = biller.reader

    came = False

    class Interrupted:
        @asynccontextmanager
        async def snapshot(self, tenant: str, customers: Sequence[str]) -> AsyncGenerator[BillingSnapshot]:
            async with reader.snapshot(tenant, customers) as snapshot:
                yield snapshot
            nonlocal came
            if not came and len(await biller.invoices()) == 1:
                came = True
                await biller.use("calls", 2, 40)

    biller.closer._reader = Interrupted()
    await biller.closer.close()
    _, invoice = await biller.invoices()
    assert [line.billed for line in invoice.lines if line.price == "calls"] == [Decimal(3)]
    assert not any(line.kind is LineKind.LATE for line in invoice.lines)


async def test_a_preview_is_what_the_close_makes(biller: Biller) -> None:
    subscription = await biller.subscribed(days=14)
    await biller.closer.close()
    await biller.use("calls", 120, 3)
    await biller.use("files", 4, 1)
    now, projected = await biller.preview(), await biller.preview(projected=True)
    assert now.id == ""
    assert now.period.end > biller.now
    assert [line.quantity for line in now.lines if line.price == "files"] == [Decimal(1)]
    counted = {line.price: line.billed for line in now.lines if line.billed is not None}
    assert counted == {"calls": 120, "files": 4, "jobs": 0}
    expected = {line.price: line.billed for line in projected.lines if line.billed is not None}
    assert 240 < (expected["calls"] or 0) < 270
    assert 8 < (expected["files"] or 0) < 9
    end = now.period.end
    await biller.closer.close(now=end)
    *_, closed = await biller.invoices()
    assert short(closed) == short(now)
    assert closed.total == now.total
    assert closed.period == now.period
    assert subscription.id == closed.subscription


async def test_usage_is_projected_by_the_time_for_which_it_is_charged(biller: Biller) -> None:
    """An hour of a month tells nothing; of a price that came, or was paused, meanwhile it is the time that it holds."""
    begun = await biller.subscribed("new", days=0.1)
    await biller.use("calls", 10, 0.04, "new")
    changed = await biller.subscribed(days=20)
    for which in (begun, changed):
        await biller.closer.close(subscriptions=[which.id])
    (early,) = [line for line in (await biller.preview("new", projected=True)).lines if line.price == "calls"]
    assert early.billed == 10
    at = [biller.now - day * DAY for day in (15, 5)]
    paused = subscription.resume(subscription.pause(replace(changed, billed_until=changed.anchor), at[0]), at[1])
    async with PostgresSubscriptions(biller.one.engine).change(TENANT, "acme") as change:
        await change.save(Standing(paused, None, biller.now + 9 * DAY))
    await biller.use("files", 20, 18)
    projected = await biller.preview(projected=True)
    (files,) = [line for line in projected.lines if line.price == "files" and line.billed]
    passed, left = 10, (projected.period.end - biller.now) / DAY
    assert abs(float(files.billed or 0) - 20 * (passed + left) / passed) < 0.1


async def test_p6_a_line_is_worked_out_anew_from_its_events(biller: Biller) -> None:
    await biller.subscribed(days=75)
    first = await biller.use("calls", 90, 60)
    second = await biller.use("calls", 40, 58)
    await biller.one.amend(first, event(first, "calls", amount=95), backfill=True)
    await biller.closer.close(now=biller.now - 40 * DAY)
    await biller.finalize()
    await biller.one.void(second)
    late = await biller.use("calls", 60, 61)
    await biller.closer.close()
    invoices = await biller.invoices()
    for invoice in invoices:
        for line in invoice.lines:
            found = await biller.explained(invoice, line.number)
            assert found.amount == line.amount, line
            if line.billed is not None:
                assert found.quantity == line.billed
    number = next(line.number for line in invoices[1].lines if line.price == "calls")
    found = await biller.explained(invoices[1], number)
    assert [(one.event.id, one.sign, one.event.amount) for one in found.events] == [
        (first, 1, 90), (first, -1, 90), (first, 1, 95), (second, 1, 40),
    ]  # fmt: skip
    assert found.count == 4
    page = await biller.explained(invoices[1], number, EventPlace(found.events[1].counted_at, "api", first, 1, -1), 1)
    assert [one.event.amount for one in page.events] == [95]
    changed = next(line for line in invoices[-1].lines if line.kind is LineKind.LATE)
    found = await biller.explained(invoices[-1], changed.number)
    assert found.quantity == 155
    assert {one.event.id for one in found.events} == {first, second, late}


async def test_p6_a_draft_that_was_made_anew_is_explained_with_what_came_late(biller: Biller) -> None:
    """Less usage than was billed is given back on the draft itself, where its meter's late usage is not billed."""
    await biller.subscribed()
    await biller.use("jobs", 5, 40)
    job = await biller.use("jobs", 2, 40)
    await biller.closer.close()
    await biller.use("files", 9, 39)
    await biller.one.void(job)
    await biller.closer.close()
    *_, draft = await biller.invoices()
    jobs = [line for line in draft.lines if line.price == "jobs"]
    assert [(line.kind, line.quantity, line.amount) for line in jobs] == [
        (LineKind.USAGE, Decimal(7), 350), (LineKind.LATE, Decimal(-2), -100),
    ]  # fmt: skip
    for line in draft.lines:
        assert (await biller.explained(draft, line.number)).amount == line.amount


async def test_p6_a_draft_that_is_made_anew_is_as_of_one_instant(biller: Biller) -> None:
    """What it says of earlier periods, too, has all that came until then."""
    await biller.subscribed(days=75)
    await biller.use("calls", 90, 60)
    await biller.closer.close(now=biller.now - 40 * DAY)
    await biller.finalize()
    await biller.use("calls", 30, 61)
    await biller.closer.close()
    await biller.use("calls", 5, 61)
    await biller.use("files", 9, 39)
    await biller.closer.close()
    *_, draft = await biller.invoices()
    (late,) = of_kind(draft.lines, LineKind.LATE)
    assert (late.quantity, late.billed) == (35, 125)
    for line in draft.lines:
        assert (await biller.explained(draft, line.number)).amount == line.amount
    assert not of_kind((await biller.preview()).lines, LineKind.LATE)


async def test_p6_each_of_a_customers_subscriptions_hears_of_what_came_late(biller: Biller) -> None:
    await biller.subscribed(days=75)
    await biller.subscribed(days=70, plan="team", again=True)
    await biller.use("calls", 10, 60)
    await biller.closer.close(now=biller.now - 35 * DAY)
    await biller.finalize()
    await biller.use("calls", 20, 61)
    await biller.closer.close()
    late = [line for invoice in await biller.invoices() for line in invoice.lines if line.kind is LineKind.LATE]
    assert sorted((line.plan, line.quantity, line.amount) for line in late) == [
        ("pro", Decimal(20), 200), ("team", Decimal(20), 40),
    ]  # fmt: skip
    assert await biller.one.fetch("SELECT late_from FROM subscription") == [(None,), (None,)]


async def test_p6_what_was_counted_at_the_edge_of_a_window_is_charged_at_each_of_its_prices(biller: Biller) -> None:
    """Both begin at one second, within a quarter hour: the usage until its end is read from the events."""
    one = await biller.subscribed()
    await biller.subscribed(plan="team", again=True)
    await biller.use("calls", 30, (biller.now - one.segments[0].start - MINUTE) / DAY)
    await biller.closer.close()
    assert [
        (line.plan, line.billed)
        for invoice in await biller.invoices()
        for line in invoice.lines
        if line.meter == "calls"
    ] == [("pro", Decimal(30)), ("team", Decimal(30))]
    assert not await biller.untrue()


async def test_a_preview_shows_what_came_late_though_another_subscription_was_invoiced_since(biller: Biller) -> None:
    await biller.subscribed(days=75)
    await biller.subscribed(days=70, plan="team", again=True)
    await biller.closer.close(now=biller.now - 35 * DAY)
    await biller.finalize()
    await biller.use("calls", 20, 61)
    await biller.closer.close(now=biller.now - 12 * DAY)
    invoice = await biller.preview(place=1)
    assert [(line.price, line.quantity) for line in of_kind(invoice.lines, LineKind.LATE)] == [("calls", Decimal(20))]


async def test_a_trial_and_a_pause_are_declared(biller: Biller) -> None:
    await biller.subscribed(days=60, trial_days=10)
    await biller.use("calls", 12, 55)
    await biller.use("calls", 34, 45)
    await biller.closer.close()
    await biller.finalize()
    await biller.use("calls", 5, 54)  # late, in the trial
    await biller.closer.close(now=biller.now + 20 * DAY)
    kinds = [
        (line.kind, line.quantity, line.why)
        for invoice in await biller.invoices()
        for line in invoice.lines
        if line.price == "calls" and line.quantity
    ]
    assert kinds == [
        (LineKind.UNBILLED, Decimal(12), "trial"), (LineKind.USAGE, Decimal(34), ""),
        (LineKind.UNBILLED, Decimal(5), "trial"),
    ]  # fmt: skip
    assert not await biller.untrue()


async def test_the_command_closes_and_lists_what_failed(
    biller: Biller, postgres_url: str, redis_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for customer in ("a", "b"):
        await biller.subscribed(customer)
    await biller.one.fetch("""INSERT INTO billing_details VALUES ('t', 'b', '{"tax_rates": ["gone"]}')""")
    at = ["--postgres", postgres_url, "--redis", redis_url]
    with pytest.raises(SystemExit) as ended:
        await asyncio.to_thread(main, ["billing", "close", "--json", *at])
    assert ended.value.code == 1
    told = json.loads(capsys.readouterr().out)
    assert (told["periods"], told["invoices"]) == (2, 2)
    assert [one["reason"] for one in told["failed"]] == ["FIELD_INVALID"]
    with pytest.raises(SystemExit):
        await asyncio.to_thread(main, ["billing", "failures", "--tenant", "t", *at])
    assert "FIELD_INVALID" in capsys.readouterr().out


async def test_a_process_that_has_not_heard_of_a_catalog_reads_it(biller: Biller, start: Start) -> None:
    other = await Biller.joined(await start())
    await other.one.directory.catalog("t")  # remembered, and word of changes does not come
    newer = [replace(plan, version=2) if plan.name == "pro" else plan for plan in CATALOG.plans]
    await biller.one.apply(replace(CATALOG, plans=tuple(newer)))
    await biller.subscribed()
    assert (await other.closer.close()).failed == []
    assert {line.version for one in await biller.invoices() for line in one.lines} == {2}
