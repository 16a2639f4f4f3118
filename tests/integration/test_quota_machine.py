"""P2, P3 and P4 as a game: random admissions, holds, mishaps and clocks in two processes, against plain Python."""

from __future__ import annotations

import os
import random
from contextlib import AsyncExitStack
from decimal import Decimal

import pytest

from tests.integration.processes import process
from tests.integration.quota_clock import StepClock
from tests.integration.quota_game import Game, Player

ROUNDS = int(os.environ.get("METERGATE_QUOTA_ROUNDS", "4"))
TURNS = int(os.environ.get("METERGATE_QUOTA_TURNS", "75"))


@pytest.mark.slow
@pytest.mark.parametrize("round_", range(ROUNDS))
async def test_p2_p3_p4_whatever_happens(
    postgres_url: str, redis_url: str, rng: random.Random, monkeypatch: pytest.MonkeyPatch, round_: int
) -> None:
    """More with METERGATE_QUOTA_ROUNDS and METERGATE_QUOTA_TURNS; again with METERGATE_TEST_SEED."""
    clock = StepClock(postgres_url, monkeypatch)
    await clock.install()
    async with AsyncExitStack() as all_:

        async def begin() -> Player:
            stack = await all_.enter_async_context(AsyncExitStack())
            return Player(stack, await stack.enter_async_context(process(postgres_url, redis_url, dev=False)))

        game = Game(begin, clock, rng, redis_url)
        try:
            await game.play(TURNS)
        except BaseException:
            print("\n".join(game.log))
            raise
        print(dict(sorted(game.counts.items())))
        assert sum((held.shares[0].granted for held in game.oracle.holds.values()), Decimal(0)) >= 0
