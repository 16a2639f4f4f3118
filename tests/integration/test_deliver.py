"""Delivery: at least once, in each customer's order, through whatever endpoints and processes do."""

from __future__ import annotations

import asyncio
import itertools
from base64 import b64decode
from collections.abc import AsyncGenerator
from hashlib import sha256
from hmac import digest
from typing import Any

import pytest

from metergate.adapters.postgres import queues
from metergate.app.notify.deliver import Deliver
from metergate.app.notify.manage import Wanted
from metergate.app.notify.ports import Endpoint, Outcome, Replay, State
from metergate.domain.access import Principal
from metergate.domain.errors import MetergateError, Reason
from metergate.domain.news import BackOff
from metergate.domain.period import DAY, HOUR, MINUTE, SECOND
from tests.e2e.calls import eventually
from tests.integration.clock import make_shiftable
from tests.integration.deliveries import ALL, Count, Post, post
from tests.integration.processes import PRINCIPAL, Process, Start, event
from tests.receiver import Got, Receiver, answered, receiver
from tests.server import free_port

CLAIM_RUNS_OUT = 61 * SECOND


@pytest.fixture
async def one(postgres_url: str, start: Start) -> Process:
    """Over a database in which the clock of deliveries can be moved."""
    await make_shiftable(postgres_url)
    return await start()


@pytest.fixture
async def office(one: Process, postgres_url: str) -> AsyncGenerator[Post]:
    async with post(one, postgres_url) as made:
        yield made


@pytest.fixture
async def hook() -> AsyncGenerator[Receiver]:
    async with receiver() as made:
        yield made


def told(hook: Receiver, customer: str = "acme") -> list[str]:
    """The ids of the events of a customer that came, in order, with repeats."""
    return [id_ for got in hook.got if got.customer == customer for id_ in got.ids]


async def states(office: Post, customer: str = "acme") -> list[tuple[str, int, int]]:
    """What became of a customer's deliveries, oldest first: state, attempts, status."""
    return [(one.state.value, one.attempts, one.status) for one in reversed(await office.deliveries(customer=customer))]


async def came(hook: Receiver, count: int) -> bool:
    """Whether so many came."""
    return len(hook.got) >= count


async def begun(office: Post, endpoint: Endpoint) -> bool:
    """Whether a try of the endpoint has ended."""
    return bool(await office.deliveries(endpoint=endpoint.id))


async def test_news_come_signed_and_in_order(one: Process, office: Post, hook: Receiver) -> None:
    made = await office.manage.create(PRINCIPAL, hook.url, ALL, "")
    for number in range(30):
        await one.add(event(f"a{number}"), event(f"b{number}", subject="beta"))
    await office.deliver.finish()
    assert told(hook) == [f"a{number}" for number in range(30)]
    assert told(hook, "beta") == [f"b{number}" for number in range(30)]
    assert len({got.headers["webhook-id"] for got in hook.got}) == len(hook.got) == 60
    for got in hook.got:
        signed = f"{got.headers['webhook-id']}.{got.headers['webhook-timestamp']}.".encode() + got.payload
        _, signature = got.headers["webhook-signature"].split(",")
        assert b64decode(signature) == digest(b64decode(made.secret.removeprefix("whsec_")), signed, sha256)
    assert await states(office) == [("delivered", 1, 204)] * 30
    assert office.count.results == ["delivered"] * 60
    await office.deliver.finish()
    assert len(hook.got) == 60


async def test_what_was_recorded_before_an_endpoint_is_not_sent_to_it(
    one: Process, office: Post, hook: Receiver
) -> None:
    await office.endpoint("http://127.0.0.1:9/")
    await one.add(event("1"))
    async with receiver() as second:
        await office.endpoint(second.url)
        await one.add(event("2"))
        await office.deliver.finish()
        assert told(second) == ["2"]


async def test_a_kind_that_comes_later_begins_later(one: Process, office: Post, hook: Receiver) -> None:
    made = await office.endpoint(hook.url, "limit.exceeded")
    await office.endpoint("http://127.0.0.1:9/")
    await one.add(event("1"))
    await office.manage.update(PRINCIPAL, made.id, Wanted(kinds=ALL))
    await one.add(event("2"))
    await office.deliver.finish()
    assert told(hook) == ["2"]


async def test_p1_a_killed_worker_loses_nothing_and_keeps_the_order(
    one: Process, office: Post, hook: Receiver, postgres_url: str
) -> None:
    await office.endpoint(hook.url)
    for number in range(5):
        await one.add(event(f"e{number}"))
    came, goes_on = asyncio.Event(), asyncio.Event()

    async def hold_the_third(got: Got) -> bytes:
        if got.ids == ["e2"] and not came.is_set():
            came.set()
            await goes_on.wait()
        return answered(200)

    hook.answer = hold_the_third
    await office.deliver.begin()
    await asyncio.wait_for(came.wait(), 10)
    for task in list(office.deliver._under_way.values()):  # as SIGKILL would: nothing is given back
        task.cancel()
    async with post(one, postgres_url) as other:
        await other.deliver.finish()
        assert told(hook) == ["e0", "e1", "e2"]  # the claim has not run out
        await other.later(CLAIM_RUNS_OUT)
        await other.deliver.finish()
    goes_on.set()
    assert told(hook) == ["e0", "e1", "e2", "e2", "e3", "e4"]
    twice = [got.headers["webhook-id"] for got in hook.got if got.ids == ["e2"]]
    assert len(set(twice)) == 1
    assert [state for state, _, _ in await states(office)] == ["delivered"] * 5


async def test_whoever_comes_back_too_late_notes_nothing(
    one: Process, office: Post, hook: Receiver, postgres_url: str
) -> None:
    await office.endpoint(hook.url)
    await one.add(event("1"))
    await office.queues.wake(10)
    [claim] = await office.queues.claim(10, 10, {})
    message = await office.queues.first(claim)
    assert message is not None
    async with post(one, postgres_url) as other:
        await other.later(CLAIM_RUNS_OUT)
        await other.deliver.finish()
    assert await office.queues.first(claim) is None
    assert not await office.queues.settle(claim, message, State.PENDING, Outcome(500), 5)
    await office.queues.leave(claim, is_empty=False)
    assert await states(office) == [("delivered", 1, 204)]
    assert await office.queues.claim(10, 10, {}) == []


async def test_many_processes_deliver_each_once(one: Process, office: Post, hook: Receiver, postgres_url: str) -> None:
    await office.endpoint(hook.url)
    for number in range(10):
        await one.add(*[event(f"{customer}-{number}", subject=f"c{customer}") for customer in range(12)])
    async with post(one, postgres_url) as second, post(one, postgres_url) as third:
        await asyncio.gather(*[some.deliver.finish() for some in (office, second, third) for _ in range(2)])
    for customer in range(12):
        assert told(hook, f"c{customer}") == [f"{customer}-{number}" for number in range(10)]


async def test_one_bad_answer_blocks_only_its_own_customers_queue(one: Process, office: Post, hook: Receiver) -> None:
    async with receiver() as good:
        await office.endpoint(hook.url)
        await office.endpoint(good.url)

        async def not_acme(got: Got) -> bytes:
            return answered(500 if got.customer == "acme" else 200)

        hook.answer = not_acme
        for number in range(3):
            await one.add(*[event(f"{name}{number}", subject=name) for name in ("acme", "beta", "gamma")])
        await office.deliver.finish()
        assert told(hook) == ["acme0"]
        for name in ("beta", "gamma"):
            assert told(hook, name) == [f"{name}{number}" for number in range(3)]
        for name in ("acme", "beta", "gamma"):
            assert told(good, name) == [f"{name}{number}" for number in range(3)]
        hook.answers(200)
        await office.later(6 * SECOND)
        await office.deliver.finish()
        assert told(hook) == ["acme0", "acme0", "acme1", "acme2"]


async def test_an_endpoint_that_hangs_holds_no_transaction_and_nobody_else(
    one: Process, office: Post, hook: Receiver
) -> None:
    async with receiver() as good:
        bad = await office.endpoint(hook.url)
        await office.endpoint(good.url)
        hangs = asyncio.Event()

        async def hang(_: Got) -> bytes:
            await hangs.wait()
            return answered(200)

        hook.answer = hang
        for number in range(2):
            await one.add(*[event(f"{name}-{number}", subject=name) for name in map(str, range(20))])
        rounds = asyncio.create_task(office.deliver.finish())
        await eventually(lambda: came(good, 40), 20)
        assert 0 < len(hook.got) <= 16  # of one endpoint few at a time
        idle = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in%'"
        assert await one.fetch(idle) == [(0,)]
        await eventually(lambda: begun(office, bad), 20)
        found = await office.deliveries(endpoint=bad.id)
        assert {(one.state, one.status, one.error) for one in found} == {(State.PENDING, 0, "no answer within 3 s")}
        hangs.set()
        await rounds


@pytest.mark.parametrize("location", ["http://169.254.169.254/latest", "http://10.0.0.1/", "https://[::1]/"])
async def test_redirects_are_not_followed(one: Process, office: Post, hook: Receiver, location: str) -> None:
    await office.endpoint(hook.url)
    hook.answers(302, f"location: {location}")
    await one.add(event("1"))
    await office.deliver.finish()
    [found] = await office.deliveries()
    assert (found.state, found.status, found.error) == (State.PENDING, 302, "redirects are not followed")


async def test_a_redirect_to_the_same_machine_is_not_followed_either(
    one: Process, office: Post, hook: Receiver
) -> None:
    async with receiver() as inside:
        await office.endpoint(hook.url)
        hook.answers(307, f"location: {inside.url}")
        await one.add(event("1"))
        await office.deliver.finish()
        assert (len(hook.got), inside.got) == (1, [])


async def test_an_endpoint_that_answers_500_for_a_day(one: Process, office: Post, hook: Receiver) -> None:
    endpoint = await office.endpoint(hook.url)
    hook.answers(500)
    await one.add(event("1"))
    await one.add(event("2"))
    tries: list[int] = []
    while office.shifted < 2 * DAY:
        before = len(hook.got)
        await office.deliver.finish()
        if len(hook.got) > before:
            tries.append(office.shifted)
        if len(await office.deliveries(State.DEAD)) == 2:
            break
        await office.later(5 * SECOND if office.shifted < 5 * MINUTE else 10 * MINUTE)
    # Nine tries in about a day; what has waited behind it for so long is given up when the day is over.
    assert [got.ids for got in hook.got[:9]] == [["1"]] * 9
    behind = len(hook.got) - 9
    assert [got.ids for got in hook.got[9:]] == [["2"]] * behind
    assert 1 <= behind < 9
    tries = tries[:9]
    pauses = [after - before for before, after in itertools.pairwise(tries)]
    assert pauses[:-1] == sorted(pauses[:-1])  # the last two are the longest there are
    assert pauses[0] <= 10 * SECOND
    assert 6 * HOUR <= pauses[-1] <= 10 * HOUR
    assert 17 * HOUR <= tries[-1] <= 28 * HOUR
    assert await states(office) == [("dead", 9, 500), ("dead", behind, 500)]
    assert office.count.results.count("dead") == 2
    # It is repaired: new news come by themselves, and dead letters where somebody asks for them, in order.
    hook.answers(200)
    hook.got.clear()
    await one.add(event("3"))
    assert await office.replay(endpoint) == 2
    await office.deliver.finish()
    assert told(hook) == ["1", "2", "3"]
    assert [state for state, _, _ in await states(office)] == ["delivered"] * 3
    assert await office.replay(endpoint) == 0


async def test_a_range_of_time_is_sent_again_before_what_is_new(one: Process, office: Post, hook: Receiver) -> None:
    endpoint = await office.endpoint(hook.url)
    await one.add(event("1"), event("x", subject="beta"))
    middle = await one.now()
    await one.add(event("2"))
    await office.deliver.finish()
    await one.add(event("3"))
    first = [got.headers["webhook-id"] for got in hook.got if got.ids == ["1"]]
    hook.got.clear()
    assert await office.manage.replay(PRINCIPAL, Replay(endpoint.id, "acme", 0, middle)) == 1
    await office.deliver.finish()
    assert told(hook) == ["1", "3"]
    assert [got.headers["webhook-id"] for got in hook.got][:1] == first
    hook.got.clear()
    assert await office.manage.replay(PRINCIPAL, Replay(endpoint.id, None, 0, await one.now())) == 4
    await office.deliver.finish()
    assert (told(hook), told(hook, "beta")) == (["1", "2", "3"], ["x"])


async def test_a_new_endpoint_may_ask_for_what_was_before_it(one: Process, office: Post, hook: Receiver) -> None:
    await office.endpoint("http://127.0.0.1:9/")
    await one.add(event("1"))
    endpoint = await office.endpoint(hook.url)
    await one.add(event("2"))
    # What comes by itself is not sent twice.
    assert await office.manage.replay(PRINCIPAL, Replay(endpoint.id, None, 0, await one.now())) == 1
    await one.add(event("3"))
    await office.deliver.finish()
    assert told(hook) == ["1", "2", "3"]


async def test_one_that_is_gone_is_turned_off(one: Process, office: Post, hook: Receiver) -> None:
    endpoint = await office.endpoint(hook.url)
    hook.answers(410)
    await one.add(event("1"), event("x", subject="beta"))
    await office.deliver.finish()
    await one.add(event("2"))
    await office.deliver.finish()
    [kept] = await office.manage.list(PRINCIPAL)
    assert (kept.enabled, kept.disabled_reason) == (False, "410 Gone")
    assert {one.state for one in await office.deliveries()} == {State.DEAD}
    assert await one.fetch("SELECT count(*) FROM outbox WHERE seq > 1") == [(0,)]
    with pytest.raises(MetergateError) as refused:
        await office.replay(endpoint)
    assert refused.value.reason is Reason.ENDPOINT_DISABLED
    hook.answers(200)
    hook.got.clear()
    await office.manage.update(PRINCIPAL, endpoint.id, Wanted(enabled=True))
    await one.add(event("3"))
    await office.deliver.finish()
    assert told(hook) == ["3"]
    assert await office.replay(endpoint) >= 1
    await office.deliver.finish()
    assert "1" in told(hook)


async def test_the_secret_before_signs_for_a_day(one: Process, office: Post, hook: Receiver) -> None:
    made = await office.manage.create(PRINCIPAL, hook.url, ALL, "")
    rotated = await office.manage.rotate(PRINCIPAL, made.endpoint.id)
    assert rotated.secret != made.secret
    await one.add(event("1"))
    await office.deliver.finish()
    await office.later(DAY + HOUR)
    await one.add(event("2"))
    await office.deliver.finish()
    first, second = [got.headers["webhook-signature"].split(" ") for got in hook.got]
    assert (len(first), len(second)) == (2, 1)


async def test_nothing_listens(one: Process, office: Post) -> None:
    await office.endpoint(f"http://127.0.0.1:{free_port()}/")
    await one.add(event("1"))
    await office.deliver.finish()
    [found] = await office.deliveries()
    assert (found.state, found.status) == (State.PENDING, 0)
    assert found.error.startswith("ConnectError")


async def test_a_long_or_broken_body_is_not_waited_for(one: Process, office: Post, hook: Receiver) -> None:
    await office.endpoint(hook.url)

    async def endless(_: Got) -> bytes:
        return b"HTTP/1.1 200 OK\r\ncontent-length: 10000000\r\n\r\n" + b"x" * 100_000

    hook.answer = endless
    await one.add(event("1"))
    await office.deliver.finish()

    async def never_ends(_: Got) -> bytes:
        return b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nx"

    hook.answer = never_ends
    await one.add(event("2"))
    await office.deliver.finish()

    async def no_http(_: Got) -> bytes:
        return b"HELO\r\n\r\n"

    hook.answer = no_http
    await one.add(event("3"))
    await office.deliver.finish()
    assert await states(office) == [("delivered", 1, 200), ("delivered", 1, 200), ("pending", 1, 0)]


async def test_what_is_old_is_forgotten_but_for_what_can_still_be_sent(
    one: Process, office: Post, hook: Receiver, postgres_url: str
) -> None:
    async with receiver() as bad:
        bad.answers(500)
        await office.endpoint(hook.url)
        endpoint = await office.endpoint(bad.url)
        async with post(one, postgres_url, BackOff(tries=1)) as hasty:
            await one.add(event("old"))
            await one.add(event("x", subject="beta"))
            await one.fetch("UPDATE outbox SET recorded_at = recorded_at - interval '8 days' WHERE customer = 'acme'")
            await one.fetch("UPDATE webhook_endpoint SET since = ARRAY[timestamptz '2000-01-01 00:00+00']")
            await hasty.deliver.finish()
        await office.store.forget(7, 30)
        assert {(one.customer, one.state.value) for one in await office.deliveries()} == {
            ("acme", "dead"), ("beta", "delivered"), ("beta", "dead"),
        }  # fmt: skip
        assert await one.fetch("SELECT customer FROM outbox ORDER BY 1") == [("acme",), ("beta",)]
        assert await office.store.stand() == (0, 0.0, 2)
        await one.fetch("UPDATE webhook_delivery SET recorded_at = recorded_at - interval '23 days'")
        await office.store.forget(7, 30)
        assert {one.customer for one in await office.deliveries(endpoint=endpoint.id)} == {"beta"}
        assert await one.fetch("SELECT customer FROM outbox ORDER BY 1") == [("beta",)]


async def test_what_was_not_delivered_is_not_forgotten(one: Process, office: Post, hook: Receiver) -> None:
    await office.endpoint(hook.url)
    hook.answers(500)
    await one.add(event("1"))
    await one.add(event("2"))
    await office.deliver.finish()
    await one.fetch("UPDATE outbox SET recorded_at = recorded_at - interval '8 days'")
    await one.fetch("UPDATE webhook_endpoint SET since = ARRAY[timestamptz '2000-01-01 00:00+00']")
    await office.store.forget(7, 30)
    queues, age, dead = await office.store.stand()
    assert (queues, dead) == (1, 0)
    assert age >= 0
    hook.answers(200)
    await office.later(6 * SECOND)
    await office.deliver.finish()
    assert told(hook) == ["1", "1", "2"]
    await office.store.forget(7, 30)
    assert await one.fetch("SELECT count(*) FROM outbox") == [(0,)]


async def test_p9_tenants_do_not_meet(one: Process, office: Post, hook: Receiver) -> None:
    endpoint = await office.endpoint(hook.url)
    stranger = Principal("other", "tests", "key")
    await one.fetch("INSERT INTO tenant (tenant) VALUES ('other')")
    assert await office.manage.list(stranger) == []
    for call in (
        office.manage.delete(stranger, endpoint.id),
        office.manage.rotate(stranger, endpoint.id),
        office.manage.update(stranger, endpoint.id, Wanted(description="mine")),
        office.manage.test(stranger, endpoint.id),
        office.manage.replay(stranger, Replay(endpoint.id, None, None, None)),
    ):
        with pytest.raises(MetergateError) as refused:
            await call
        assert refused.value.reason is Reason.ENDPOINT_NOT_FOUND


async def test_a_stopped_process_gives_its_queues_back(
    one: Process, office: Post, hook: Receiver, postgres_url: str
) -> None:
    await office.endpoint(hook.url)
    await one.add(event("1"))
    never = asyncio.Event()

    async def hang(_: Got) -> bytes:
        await never.wait()
        return b""

    hook.answer = hang
    await office.deliver.begin()
    await eventually(lambda: came(hook, 1), 20)
    await office.deliver.stop()
    hook.answers(200)
    async with post(one, postgres_url) as other:
        await other.deliver.finish()
    assert told(hook) == ["1", "1"]
    never.set()


async def test_news_that_come_while_a_queue_is_left_are_not_overlooked(
    one: Process, office: Post, hook: Receiver
) -> None:
    await office.endpoint(hook.url)
    await one.add(event("1"))
    real = office.queues
    leave = real.leave

    class Late:
        """Something is recorded, and its queue woken, between the look for more and the leaving."""

        def __getattr__(self, name: str) -> Any:
            return getattr(real, name)

        async def leave(self, claim: Any, is_empty: bool) -> None:
            if len(hook.got) == 1:
                await one.add(event("2"))
                await real.wake(10)
            await leave(claim, is_empty)

    late = Late()
    deliver = Deliver(late, office.sender, office.manage.turn_off, BackOff(), Count())
    await deliver.finish()
    assert told(hook) == ["1", "2"]


async def test_queues_that_are_due_are_found_by_their_time(one: Process, office: Post) -> None:
    """However many wait for their next try, and however many are empty."""
    await office.endpoint("http://127.0.0.1:9/")
    await one.fetch(
        "INSERT INTO webhook_queue (tenant, endpoint, customer, next_at) "
        "SELECT tenant, endpoint, 'c' || g, CASE WHEN g % 2 = 0 THEN now() + g * interval '1 minute' END "
        "FROM webhook_endpoint, generate_series(1, 5000) g"
    )
    await one.fetch("ANALYZE webhook_queue")
    async with office.pool.acquire() as connection:
        plan = await connection.fetch(f"EXPLAIN (ANALYZE, FORMAT TEXT) {queues._CLAIM}", 128, 16, [], [], [])
    text = "\n".join(row[0] for row in plan)
    assert "webhook_queue_due" in text
    assert "Index Cond: (next_at <= " in text
    assert "Seq Scan" not in text
    assert "Rows Removed by Filter" not in text
