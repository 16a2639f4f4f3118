"""The hot statements touch big tables only by index, whatever they were planned on."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from decimal import Decimal
from uuid import uuid4

import pytest

from metergate.adapters.postgres import connect
from metergate.adapters.postgres.customers import PostgresCustomers
from metergate.adapters.postgres.definitions import PostgresCatalogs
from metergate.adapters.postgres.keys import PostgresKeys
from metergate.adapters.postgres.ledger import PostgresLedger
from metergate.app.directory import Directory
from metergate.app.usage.commit import UsageCommitter
from metergate.domain.errors import MetergateError
from metergate.domain.period import DAY, MINUTE, Period, window_at
from metergate.domain.quota import CounterKey
from metergate.domain.usage import AcceptWindow, Outcome, Receipt
from metergate.domain.work import Acquire, Consume, Expire, Fact, Mark, Reserve, Settle, Want, Work
from tests.integration.plans import Watched, fill, nodes, nothing_behind, watched
from tests.integration.processes import event

CUSTOMERS = 2000
BIG = re.compile(r"usage_(id|event|rollup|counter)(_\d.*)?|customer_head|hold|hold_move")


@dataclass
class Commits:
    """A committer whose statements' plans are kept."""

    url: str
    watch: Watched
    ledger: PostgresLedger
    committer: UsageCommitter

    async def commit(self, ids: list[str], customers: int) -> list[Outcome]:
        owners = [f"c{n % customers}" for n in range(len(ids))]
        pending = [
            Fact(event(id, "llm", subject=owner, values={"in": "1", "out": "2"}), owner, False)
            for id, owner in zip(ids, owners, strict=True)
        ]
        done = await self.committer.commit("t", pending, False, {})
        return [receipt.outcome for receipt in done.results if isinstance(receipt, Receipt)]

    async def hold(self, number: int) -> None:
        """A reservation, a lease, usage that settles both, their ends, and what is asked of them without a commit."""
        owner, run = f"c{number}", uuid4().hex
        want = Want("in", Decimal(2), {})
        settling = event(f"{run}1", "llm", subject=owner, values={"in": "1"}, settles=f"r_{run}")
        leased = event(f"{run}2", "llm", subject=owner, values={"in": "1"}, settles=f"l_{run}")
        works: list[Work] = [
            Reserve(f"r_{run}", owner, owner, (want,), MINUTE, False, b""),
            Acquire(f"l_{run}", owner, owner, want, "h", b""),
            Fact(leased, owner, False),
            Mark(f"l_{run}", owner, Decimal(1), None, Decimal(3), False),
            Settle(f"r_{run}", owner, (settling,)),
            Expire(f"l_{run}", owner),
            Consume((event(f"{run}3", "llm", subject=owner, values={"in": "1"}),), owner),
        ]
        for work in works:
            done = await self.committer.commit("t", [work], False, {})
            assert not isinstance(done.results[0], MetergateError), done.results
        await self.ledger.peek("t", [(owner, (settling,))])
        await self.ledger.hold_owners("t", [f"l_{run}"])
        await self.ledger.due_holds(100, [], [])


@pytest.fixture
async def commits(postgres_url: str) -> AsyncGenerator[Commits]:
    engine = connect.engine(postgres_url, 2)
    directory = Directory(PostgresCatalogs(engine), PostgresCustomers(engine), PostgresKeys(engine), False)
    async with watched(postgres_url, log_format="json") as watch:
        ledger = PostgresLedger(watch)  # type: ignore[arg-type]
        yield Commits(
            postgres_url, watch, ledger, UsageCommitter(ledger, directory, AcceptWindow(), nothing_behind(ledger))
        )
    await engine.dispose()


def scans(watch: Watched) -> set[tuple[str, str]]:
    """How each big table was reached, in all plans so far."""
    found = set()
    for plan in watch.plans():
        for node in nodes(plan["Plan"]):
            relation = node.get("Relation Name", "")
            if BIG.fullmatch(relation) and node["Node Type"] != "ModifyTable":
                found.add((re.sub(r"_\d.*", "", relation), node["Node Type"]))
    return found


async def look_at_everything(commits: Commits, known: list[str]) -> None:
    now = window_at(Period.HOUR, "UTC", 1_795_000_000_000_000).start
    for size, customers in [(1, 1), (100, 20), (2000, CUSTOMERS)] * 2:
        fresh = [str(uuid4()) for _ in range(size)]
        assert set(await commits.commit(fresh, customers)) == {Outcome.ACCEPTED}
    if known:
        assert set(await commits.commit(known[:1000], CUSTOMERS)) == {Outcome.CONFLICT}
    keys = [
        CounterKey(f"c{n}", "in", subject, filter, now - DAY + n * MINUTE, now + n * MINUTE)
        for n in range(50)
        for subject, filter in (("", ""), (f"c{n}", '{"model":"m"}'))
    ]
    await commits.ledger.figures("t", keys)
    for number in (1, 2, 3):
        await commits.hold(number)
    async with commits.ledger.commit("t") as commit:
        await commit.sums(keys)
        await commit.counters([(f"c{n}", "in", "", "") for n in range(500)], now)


async def test_hot_statements_reach_big_tables_by_index_only(commits: Commits) -> None:
    known = await fill(commits.url, 200_000, CUSTOMERS)
    await look_at_everything(commits, known)
    assert len(commits.watch.messages) > 20
    found = scans(commits.watch)
    tables = {"usage_id", "usage_event", "usage_rollup", "usage_counter", "customer_head", "hold"}
    assert {table for table, _ in found} == tables
    assert {how for _, how in found} <= {"Index Scan", "Index Only Scan", "Bitmap Heap Scan"}


async def test_plans_made_on_empty_tables_stay_good_when_these_have_grown(commits: Commits) -> None:
    await fill(commits.url, 0, CUSTOMERS)
    await look_at_everything(commits, [])
    known = await fill(commits.url, 100_000, CUSTOMERS, already=1)
    commits.watch.messages.clear()
    await look_at_everything(commits, known)
    assert {how for _, how in scans(commits.watch)} <= {"Index Scan", "Index Only Scan", "Bitmap Heap Scan"}
