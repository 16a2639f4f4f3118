"""P1: the connection to Postgres breaks exactly during COMMIT. Whoever was told something was told the truth."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import grpc
import pytest

from tests.chaos.client import Client, Failed, failed, outcome_name, usage
from tests.chaos.ledger import Ledger
from tests.chaos.proxy import Fate, Link, PostgresProxy
from tests.chaos.servers import StartServer
from tests.chaos.tenants import new_tenant

SUBJECT = "acme"
PATIENCE = 3.0  # seconds for which the server tries by itself, as in lane.py
DEADLINE = 10.0


class Case:
    """A server behind a proxy, and what the ledger holds."""

    def __init__(self, proxy: PostgresProxy, client: Client, tenant: str, ledger: Ledger) -> None:
        self.proxy, self.client, self.tenant, self.ledger = proxy, client, tenant, ledger

    def meet(self, *fates: Fate) -> None:
        """What becomes of the next COMMITs; those after them pass."""
        left = list(fates)

        async def fate(link: Link) -> Fate:
            return left.pop(0) if left else Fate.PASS

        self.proxy.on_commit = fate

    async def assert_counted(self, *ids: str) -> None:
        """Exactly these ids are in the ledger, once each, and CheckQuota says so as well."""
        assert await self.ledger.ids(self.tenant) == sorted(ids)
        assert (await self.client.used(SUBJECT)).used == len(ids)
        assert await self.ledger.differences() == []


Begin = Callable[[], Awaitable[Case]]


@pytest.fixture
async def case(postgres_url: str, redis_url: str, start_server: StartServer) -> AsyncIterator[Case]:
    """With the customer made and everything remembered, so that a COMMIT is the next call's own."""
    async with PostgresProxy(postgres_url) as proxy, asyncio.timeout(90):
        server = await start_server(proxy.url, redis_url)
        tenant, key = await new_tenant(postgres_url)
        async with Client(server.grpc_url, key) as client:
            await client.have_meter()
            assert await client.outcome(usage(SUBJECT, "first")) == "ACCEPTED"
            yield Case(proxy, client, tenant, Ledger(postgres_url))


async def refusal(call: Awaitable[object]) -> tuple[Failed, float]:
    """How the call failed, and after how long."""
    began = time.monotonic()
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call
    return failed(raised.value), time.monotonic() - began


@asynccontextmanager
async def postgres_away(proxy: PostgresProxy) -> AsyncIterator[None]:
    """Every connection breaks, and none can be made."""
    proxy.away = True
    proxy.cut()
    try:
        yield
    finally:
        proxy.away = False


@pytest.mark.slow
async def test_p1_answer_lost(case: Case) -> None:
    """The server finds out by the ids: ACCEPTED, whether the lost COMMIT arrived or not, and it counts once."""
    expected = ["first"]
    for number, fates in enumerate(
        ([Fate.ANSWER_LOST], [Fate.LOST], [Fate.LOST, Fate.ANSWER_LOST], [Fate.LOST, Fate.LOST, Fate.LOST])
    ):
        before = case.proxy.commits
        case.meet(*fates)
        id, began = f"lost{number}", time.monotonic()
        answer = await case.client.record(usage(SUBJECT, id), DEADLINE)
        took = time.monotonic() - began
        expected.append(id)
        print(f"{[fate.name for fate in fates]}: {case.proxy.commits - before} commits, {took * 1000:.0f} ms")
        assert outcome_name(answer.receipt) == "ACCEPTED"
        assert case.proxy.commits - before >= len(fates)
        assert took < PATIENCE
        # A try that finds its own ids in the ledger writes nothing; its answer carries the first try's token.
        assert (await case.client.used(SUBJECT, answer.token)).used == len(expected)
    await case.assert_counted(*expected)


@pytest.mark.slow
async def test_p1_commit_arrives_after_its_connection_broke(case: Case) -> None:
    """The server tries again while the first try still holds the customer's head, and finds it committed afterwards."""
    for number in range(3):
        case.meet(Fate.LATE)
        answer = await case.client.record(usage(SUBJECT, f"late{number}"), DEADLINE)
        assert outcome_name(answer.receipt) == "ACCEPTED"
        assert (await case.client.used(SUBJECT, answer.token)).used == number + 2
    await case.assert_counted("first", *(f"late{number}" for number in range(3)))


@pytest.mark.slow
async def test_p1_answer_lost_of_one_id_twice_in_a_commit(case: Case) -> None:
    """Two calls with one id share a commit whose answer is lost: one of them is told that it is new."""
    gate = asyncio.Event()
    fates = [Fate.PASS, Fate.ANSWER_LOST]

    async def fate(link: Link) -> Fate:
        await gate.wait()
        return fates.pop(0) if fates else Fate.PASS

    case.proxy.on_commit = fate
    before = asyncio.create_task(case.client.outcome(usage(SUBJECT, "before"), DEADLINE))
    async with asyncio.timeout(5):
        await case.proxy.commit_held.wait()
    twice = [asyncio.create_task(case.client.outcome(usage(SUBJECT, "twice"), DEADLINE)) for _ in range(2)]
    await asyncio.sleep(0.2)
    gate.set()
    assert await before == "ACCEPTED"
    assert sorted(await asyncio.gather(*twice)) == ["ACCEPTED", "DUPLICATE"]
    await case.assert_counted("first", "before", "twice")


@pytest.mark.slow
async def test_p1_answer_lost_of_many_at_once(case: Case, rng: random.Random) -> None:
    """The same under load: each COMMIT has the fate that chance gives it. Each id is acknowledged as new once."""

    async def fate(link: Link) -> Fate:
        return rng.choice([Fate.PASS, Fate.PASS, Fate.LOST, Fate.ANSWER_LOST])

    case.proxy.on_commit = fate
    ids = [f"many{number}" for number in range(300)]
    outcomes: dict[str, list[str]] = {id: [] for id in ids}
    queue = [*ids, *rng.sample(ids, 60)]
    rng.shuffle(queue)

    async def work() -> None:
        while queue:
            id = queue.pop()
            outcomes[id].append(await case.client.outcome(usage(SUBJECT, id), DEADLINE))

    await asyncio.gather(*(work() for _ in range(8)))
    case.proxy.on_commit = None
    wrong = {id: sorted(one) for id, one in outcomes.items() if sorted(one) != ["ACCEPTED", "DUPLICATE"][: len(one)]}
    print(f"{case.proxy.commits} commits for {len(ids)} ids; not exactly one ACCEPTED: {wrong}")
    await case.assert_counted("first", *ids)
    assert not wrong


@pytest.mark.slow
async def test_p1_postgres_away_for_longer_than_patience(case: Case) -> None:
    """UNAVAILABLE, saying whether it may have been recorded; the retry finds out and it counts once."""
    async with postgres_away(case.proxy):
        refused, took = await refusal(case.client.record(usage(SUBJECT, "away"), DEADLINE))
    print(f"away: {refused}, {took:.2f} s")
    assert refused == Failed(grpc.StatusCode.UNAVAILABLE, "LEDGER_UNAVAILABLE", has_retry_info=True)
    assert took < PATIENCE + 2
    assert await case.ledger.ids(case.tenant) == ["first"]
    assert await case.client.outcome(usage(SUBJECT, "away"), DEADLINE) == "ACCEPTED"

    ids = ["first", "away"]
    for fate, outcome in ((Fate.ANSWER_LOST, "DUPLICATE"), (Fate.LOST, "ACCEPTED")):

        async def and_away(link: Link, fate: Fate = fate) -> Fate:
            case.proxy.away = True
            for other in case.proxy.links - {link}:  # else the server would find out over one of its idle ones
                other.cut()
            return fate

        case.proxy.on_commit = and_away
        id = f"unknown-{fate.name}"
        try:
            refused, took = await refusal(case.client.record(usage(SUBJECT, id), DEADLINE))
        finally:
            case.proxy.on_commit, case.proxy.away = None, False
        print(f"{fate.name}, then away: {refused}, {took:.2f} s")
        assert refused == Failed(grpc.StatusCode.UNAVAILABLE, "OUTCOME_UNKNOWN", has_retry_info=True)
        assert took < PATIENCE + 2
        assert await case.client.outcome(usage(SUBJECT, id), DEADLINE) == outcome
        ids.append(id)
    await case.assert_counted(*ids)


@pytest.mark.slow
async def test_p1_postgres_silent(case: Case) -> None:
    """The network to Postgres drops everything. Calls end by their deadlines, and what they sent counts once."""
    case.proxy.dark = True
    calls = [refusal(case.client.record(usage(SUBJECT, f"dark{number}"), 2)) for number in range(5)]
    answers = await asyncio.gather(*calls)
    print(f"silent: {answers}")
    assert all(took < 3 for _, took in answers)
    assert {one.code for one, _ in answers} <= {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED}
    case.proxy.dark = False
    ids = [f"dark{number}" for number in range(5)]
    outcomes = await asyncio.gather(*(case.client.outcome(usage(SUBJECT, id), DEADLINE) for id in ids))
    assert set(outcomes) <= {"ACCEPTED", "DUPLICATE"}
    await case.assert_counted("first", *ids)
