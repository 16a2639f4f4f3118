"""Nothing that happens to Redis makes the fast view lie or stops the ledger."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from metergate.adapters.embedded.redis import EmbeddedRedis
from metergate.adapters.redis.view import RedisView
from metergate.app.ports.ledger import LedgerUnavailableError
from metergate.app.ports.view import ViewUnavailableError
from metergate.domain.decision import AnsweredBy
from tests.integration.processes import Process, Start, event
from tests.integration.views import CATALOG, Swallower, View, command, eventually, news


@pytest.fixture
async def one(start: Start) -> Process:
    made = await start()
    await made.apply(CATALOG)
    return made


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[EmbeddedRedis]:
    """A Redis that the test may stop, restart and misconfigure."""
    with EmbeddedRedis(tmp_path / "own") as server:
        yield server


async def test_p2_another_ledger_behind_the_same_redis_starts_a_new_epoch(view: View) -> None:
    await view.publish(news(9, a=9))
    view.identity = "ledger-2"
    await view.view.reconsider()
    assert await view.used() == {}
    await view.publish(news(1, a=1))
    assert await view.used() == {"a": 1}


async def test_a_redis_restarted_empty_or_with_old_contents_starts_a_new_epoch(own_redis: EmbeddedRedis) -> None:
    """The old contents are put back under their old names: nobody asks for them."""
    made = View(own_redis.url)
    await made.view.start()
    made.view.trust()
    try:
        await made.publish(news(9, a=9))
        (name,) = await command(own_redis.url, "KEYS", "*")
        dump = await command(own_redis.url, "DUMP", name)
        own_redis.stop()
        assert await gone(made)
        own_redis.start()
        await command(own_redis.url, "RESTORE", name, 0, dump)
        await eventually(lambda: made.view.up)
        assert await made.used() == {}
        await made.publish(news(10, a=10))
        assert await made.used() == {"a": 10}
        assert sorted(await command(own_redis.url, "KEYS", "*")) != [name]
    finally:
        await made.view.stop()


async def gone(view: View) -> bool:
    with pytest.raises(ViewUnavailableError):
        await view.used()
    await view.publish(news(10, a=10))
    return not view.view.up


async def test_flushed_contents_and_scripts_do_no_harm(view: View, redis_url: str) -> None:
    await view.publish(news(1, a=1))
    await command(redis_url, "SCRIPT", "FLUSH")
    assert await view.used() == {"a": 1}
    await command(redis_url, "SCRIPT", "FLUSH")
    await view.publish(news(2, a=2))
    assert await view.used() == {"a": 2}
    await command(redis_url, "FLUSHDB")
    assert await view.used() == {}
    await view.publish(news(4, a=4))
    assert await view.used() == {"a": 4}


async def test_p2_after_flushall_checks_are_right_at_once(one: Process, redis_url: str) -> None:
    for number in range(5):
        await one.add(event(str(number)))
        await command(redis_url, "FLUSHDB")
        first = await one.check("calls")
        assert (first.states[0].figures.used, first.answered_by) == (number + 1, AnsweredBy.LEDGER)
        second = await one.check("calls")
        assert (second.states[0].figures.used, second.answered_by) == (number + 1, AnsweredBy.VIEW)


async def test_p1_a_redis_that_is_down_fails_nothing(start: Start, own_redis: EmbeddedRedis) -> None:
    one = await start(redis=own_redis.url)
    await one.apply(CATALOG)
    await one.add(event("1"))
    assert (await one.check("calls")).answered_by is AnsweredBy.VIEW
    own_redis.stop()
    for number in range(2, 5):
        assert await asyncio.wait_for(one.outcomes(event(str(number))), 1) == ["accepted"]
        decision = await asyncio.wait_for(one.check("calls"), 1)
        assert (decision.states[0].figures.used, decision.answered_by) == (number, AnsweredBy.LEDGER)
    own_redis.start()
    await eventually(lambda: one.view.up)
    assert await one.used("calls") == [4]
    await one.sweep.sweep()  # until then the view isn't read
    await one.add(event("5"))
    decision = await one.check("calls")
    assert (decision.states[0].figures.used, decision.answered_by) == (5, AnsweredBy.VIEW)
    assert await one.differences() == []


async def test_p1_a_process_starts_without_redis(start: Start, tmp_path: Path) -> None:
    one = await start(redis=f"unix://{tmp_path}/nobody?db=0")
    await one.apply(CATALOG)
    assert await one.outcomes(event("1")) == ["accepted"]
    assert await one.used("calls") == [1]


async def test_a_redis_that_swallows_replies_is_given_up_within_a_third_of_a_second(redis_url: str) -> None:
    proxy = Swallower(redis_url)
    async with proxy as url:
        view = View(url)
        await view.view.start()
        view.view.trust()
        try:
            await view.publish(news(1, a=1))
            assert await view.used() == {"a": 1}
            proxy.swallow = True
            for _ in range(2):
                began = time.monotonic()
                with pytest.raises(ViewUnavailableError):
                    await view.used()
                assert time.monotonic() - began < 1.5  # a third, on a machine that is not busy
            began = time.monotonic()
            await view.publish(news(2, a=2))
            assert time.monotonic() - began < 1.5  # a third, on a machine that is not busy
            proxy.swallow = False
            await eventually(lambda: view.view.up)
            assert await view.used("b") == {}
        finally:
            await view.view.stop()


async def test_p1_recording_goes_on_while_redis_swallows_replies(start: Start, redis_url: str) -> None:
    proxy = Swallower(redis_url)
    async with proxy as url:
        one = await start(redis=url)
        await one.apply(CATALOG)
        await one.add(event("0"))
        proxy.swallow = True
        began = time.monotonic()
        for number in range(1, 10):
            assert await one.outcomes(event(str(number))) == ["accepted"]
        decision = await one.check("calls")
        assert time.monotonic() - began < 3
        assert (decision.states[0].figures.used, decision.answered_by) == (10, AnsweredBy.LEDGER)
        proxy.swallow = False
        await eventually(lambda: one.view.up)
        await one.sweep.sweep()
        assert await one.used("calls") == [10]


@pytest.mark.parametrize("words", ["CONFIG SET maxmemory 1", "REPLICAOF 127.0.0.1 1"])
async def test_a_redis_that_refuses_writes_does_not_freeze_the_counts(
    start: Start, own_redis: EmbeddedRedis, words: str
) -> None:
    """As it does when its memory is full, or once it is another one's replica: reads may be answered all the same."""
    one = await start(redis=own_redis.url)
    await one.apply(CATALOG)
    await one.add(event("0"))
    assert await one.used("calls") == [1]
    await command(own_redis.url, *words.split())
    await one.add(event("1"))
    await one.add(event("2"))
    assert await one.used("calls") == [3]


async def test_connections_are_not_piled_up_while_the_ledger_is_away(own_redis: EmbeddedRedis) -> None:
    """The epoch cannot be named without the ledger, so that connections are made and given up."""

    async def away() -> str:
        raise LedgerUnavailableError("away")

    view = RedisView(own_redis.url, away)
    await view.start()
    try:
        for _ in range(3):
            await view.reconsider()
        assert not view.up
        await asyncio.sleep(0.1)
        clients = await command(own_redis.url, "CLIENT", "LIST")
        assert len(clients if isinstance(clients, list) else clients.splitlines()) == 1  # the one that asks
    finally:
        await view.stop()
