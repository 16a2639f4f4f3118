"""A process that closes periods is killed at any point: whoever goes on makes the same invoices, each once."""

from __future__ import annotations

import asyncio
import random
import sys
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from tests.integration.biller import Biller
from tests.integration.processes import Process, process

CUSTOMERS = 24
_ROOT = Path(__file__).parents[2]


async def _closing(postgres_url: str, redis_url: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.chaos.close_worker", postgres_url, redis_url, cwd=_ROOT,
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip


async def _made(one: Process) -> int:
    count: int = (await one.fetch("SELECT count(*) FROM invoice"))[0][0]
    return count


@pytest.fixture
async def one(postgres_url: str, redis_url: str) -> AsyncGenerator[Process]:
    async with process(postgres_url, redis_url) as made:
        yield made


async def test_p6_killed_anywhere_and_run_again_the_invoices_are_the_same(
    one: Process, postgres_url: str, redis_url: str, rng: random.Random
) -> None:
    biller = await Biller.of(one)
    for number in range(CUSTOMERS):
        await biller.subscribed(f"c{number}")
        await biller.use("calls", number + 1, 40, f"c{number}")
    for _ in range(2):
        before, more = await _made(one), rng.randrange(1, CUSTOMERS // 2)
        worker = await _closing(postgres_url, redis_url)
        while worker.returncode is None and await _made(one) < before + more:  # noqa: ASYNC110
            await asyncio.sleep(rng.uniform(0, 0.005))
        if worker.returncode is None:
            worker.kill()
        await worker.wait()
        assert await _made(one) < 2 * CUSTOMERS, "it was to be killed before it was done"
    last = [await _closing(postgres_url, redis_url) for _ in range(2)]  # two go on at once
    said = [await worker.communicate() for worker in last]
    assert [worker.returncode for worker in last] == [0, 0], said
    for number in range(CUSTOMERS):
        first, second = await biller.invoices(f"c{number}")
        assert (first.total, second.total) == (2000, 2000 + 10 * (number + 1))
    assert (await biller.closer.close()).periods == 0
    assert not await one.differences()
