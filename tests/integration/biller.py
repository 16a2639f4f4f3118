"""A tenant that bills: subscriptions that began a while ago, what closes their periods, and its invoices' sums."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from metergate.adapters.postgres.billing_explain import PostgresLines
from metergate.adapters.postgres.billing_usage import PostgresBilling
from metergate.adapters.postgres.closing import PostgresClosing
from metergate.adapters.postgres.drafts import load_invoices
from metergate.adapters.postgres.invoices import PostgresInvoices
from metergate.adapters.postgres.subscriptions import PostgresSubscriptions
from metergate.app.billing.close_period import ClosePeriods
from metergate.app.billing.close_ports import EventPlace
from metergate.app.billing.explain import Explained, ExplainLine
from metergate.app.billing.preview import PreviewInvoice
from metergate.app.billing.subscribe import Subscriptions, Wanted
from metergate.domain.catalog import Catalog
from metergate.domain.invoice import Invoice, Line, LineKind
from metergate.domain.meter import LatePolicy, Meter
from metergate.domain.period import DAY, SECOND, Window
from metergate.domain.plan import Plan
from metergate.domain.price import Model, Price, Tier
from metergate.domain.subscription import Subscription
from tests.integration.processes import PRINCIPAL, TENANT, Process, event

BILLED = frozenset({LineKind.USAGE, LineKind.LATE})


def meter(name: str, late: LatePolicy = LatePolicy.NEXT_INVOICE, **fields: Any) -> Meter:
    """A meter of its own event type."""
    return Meter(name, name, late=late, **fields)


def tiers(*pairs: tuple[int | None, str]) -> tuple[Tier, ...]:
    return tuple([Tier(None if up_to is None else Decimal(up_to), Decimal(amount)) for up_to, amount in pairs])


CATALOG = Catalog(
    (
        meter("calls", dimensions=("region",)),
        meter("jobs", LatePolicy.DO_NOT_BILL),
        meter("files", LatePolicy.REOPEN_DRAFT),
        meter("users", aggregation="unique"),
        meter("disk", aggregation="max"),
    ),
    (
        Plan("default"),
        Plan("pro", prices=(
            Price("base", Model.FLAT, "USD", unit_amount=Decimal(20)),
            Price("calls", Model.GRADUATED, "USD", meter="calls", tiers=tiers((100, "0.10"), (None, "0.05"))),
            Price("jobs", Model.UNIT, "USD", meter="jobs", unit_amount=Decimal("0.5")),
            Price("files", Model.PACKAGE, "USD", meter="files", unit_amount=Decimal(1), package_size=Decimal(10)),
        )),
        Plan("team", prices=(
            Price("base", Model.FLAT, "USD", unit_amount=Decimal(50)),
            Price("calls", Model.UNIT, "USD", meter="calls", unit_amount=Decimal("0.02")),
            Price("jobs", Model.UNIT, "USD", meter="jobs", unit_amount=Decimal("0.4")),
            Price("files", Model.UNIT, "USD", meter="files", unit_amount=Decimal("0.1")),
        )),
        Plan("regions", prices=(
            Price("eu", Model.UNIT, "USD", meter="calls", unit_amount=Decimal(1), labels=(("region", "eu"),)),
            Price("each", Model.UNIT, "USD", meter="calls", unit_amount=Decimal(2), per_labels=("region",)),
            Price("users", Model.UNIT, "USD", meter="users", unit_amount=Decimal(3)),
            Price("disk", Model.UNIT, "USD", meter="disk", unit_amount=Decimal(4)),
        )),
    ),
)  # fmt: skip


@dataclass
class Biller:
    """A process, and the verbs of billing over it."""

    one: Process
    reader: PostgresBilling
    closer: ClosePeriods
    subscriptions: Subscriptions
    now: int

    @classmethod
    async def of(cls, one: Process, catalog: Catalog = CATALOG) -> Biller:
        """With a catalog in force."""
        await one.apply(catalog)
        return await cls.joined(one)

    @classmethod
    async def joined(cls, one: Process) -> Biller:
        """With the catalog that there is."""
        reader = PostgresBilling(one.engine)
        closer = ClosePeriods(PostgresClosing(one.engine), reader, one.directory, one.catch_up)
        verbs = Subscriptions(PostgresSubscriptions(one.engine), one.directory, one.catch_up)
        return cls(one, reader, closer, verbs, await one.now())

    async def preview(self, customer: str = "acme", projected: bool = False, place: int = 0) -> Invoice:
        """The next invoice of the customer's first subscription, or of that at the place."""
        store = PostgresSubscriptions(self.one.engine)
        mine = (await store.list(TENANT, customer, "", 9))[place]
        verb = PreviewInvoice(store, self.reader, self.one.directory, self.one.catch_up)
        return await verb.preview(PRINCIPAL, mine.id, projected)

    async def explained(
        self, invoice: Invoice, line: int, after: EventPlace | None = None, most: int = 100
    ) -> Explained:
        """What stands behind a line."""
        engine = self.one.engine
        verb = ExplainLine(
            PostgresInvoices(engine), PostgresSubscriptions(engine), self.reader, PostgresLines(engine),
            self.one.directory,
        )  # fmt: skip
        return await verb.explain(PRINCIPAL, invoice.id, line, after, most)

    async def subscribed(
        self, customer: str = "acme", plan: str = "pro", days: float = 45, **fields: Any
    ) -> Subscription:
        """A subscription that began so many days ago; at a second that no quarter hour begins with."""
        if not fields.pop("again", False):
            await self.one.customer(customer)
        start = self.now - int(days * DAY)
        start -= start % (900 * SECOND) - 423 * SECOND
        wanted = Wanted(customer, [(plan, 0, Decimal(1))], start=start, **fields)
        return await self.subscriptions.create(PRINCIPAL, wanted)

    async def use(self, type: str, amount: object, days: float, customer: str = "acme", **fields: Any) -> str:
        """Something used so many days ago; its id."""
        id_ = fields.pop("id", f"{type}-{await self._next()}")
        at = self.now - int(days * DAY)
        (outcome,) = await self.one.outcomes(
            event(id_, type, subject=fields.pop("as_subject", customer), amount=amount, time=at, **fields),
            backfill=True,
        )
        assert outcome == "accepted", outcome
        return id_

    async def _next(self) -> int:
        count: int = (await self.one.fetch("SELECT count(*) FROM usage_event"))[0][0]
        return count

    async def invoices(self, customer: str = "acme") -> list[Invoice]:
        """All of a customer's, by period."""
        ids = [row[0] for row in await self.one.fetch("SELECT id FROM invoice WHERE customer = $1", customer)]
        async with self.one.pool.acquire() as connection:
            found = await load_invoices(connection, TENANT, ids)
        return sorted(found, key=lambda one: (one.period.start, one.period.end, one.subscription))

    async def finalize(self) -> None:
        """Closes all drafts, as far as billing looks."""
        await self.one.fetch(
            "UPDATE invoice SET state = CASE WHEN total > 0 THEN 'open' ELSE 'paid' END, finalized_at = now(), "
            "due_at = now(), number = id, paid_at = CASE WHEN total <= 0 THEN now() END WHERE state = 'draft'"
        )

    async def told(self, customer: str = "acme") -> dict[tuple[str, str, Window], Decimal]:
        """What all invoices of a customer say was billed, and declare not to be, by price, meter and window."""
        billed: dict[tuple[str, str, Window], Decimal] = {}
        declared: dict[tuple[str, str, Window], Decimal] = defaultdict(Decimal)
        for invoice in await self.invoices(customer):
            for line in invoice.lines:
                key = (line.price, line.meter, line.window)
                if line.kind in BILLED and line.billed is not None:
                    billed[key] = line.billed  # each says it of the whole window
                if line.kind is LineKind.UNBILLED:
                    declared[key] += line.quantity or 0
        return {key: billed.get(key, Decimal(0)) + declared[key] for key in billed.keys() | declared.keys()}

    async def untrue(self, customer: str = "acme") -> dict[tuple[str, str, Window], tuple[Decimal, Decimal]]:
        """Where that is not what the ledger counts: what invoices say, and what it is."""
        found = {}
        for key, quantity in (await self.told(customer)).items():
            _, name, window = key
            counted = await self.counted(name, window.start, window.end, customer)
            if counted != quantity:
                found[key] = (quantity, counted)
        return found

    async def counted(self, meter: str, start: int, end: int, customer: str = "acme") -> Decimal:
        """What the ledger counts."""
        rows = await self.one.fetch(
            "SELECT coalesce(sum(coalesce(amount, 1) * coalesce(sign, 1)), 0) FROM usage_event "
            "WHERE customer = $1 AND type = $2 AND counted_at >= $3 AND counted_at < $4",
            customer, meter, start, end,
        )  # fmt: skip
        whole: Decimal = rows[0][0]
        return whole


def of_kind(lines: Sequence[Line], *kinds: LineKind) -> list[Line]:
    return [line for line in lines if line.kind in kinds]


def short(invoice: Invoice) -> list[tuple[str, str, Decimal | None, int]]:
    """Of each line: kind, price, quantity, amount."""
    return [(line.kind.value, line.price, line.quantity, line.amount) for line in invoice.lines]
