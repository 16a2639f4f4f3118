"""A read of the fast view whose answer is overtaken by the word that it is old."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from typing import Any

import pytest

from metergate.adapters.redis.pipe import Command
from tests.integration.views import View, news


@pytest.fixture
async def other(redis_url: str) -> AsyncGenerator[View]:
    """The view of another process on the same Redis."""
    made = View(redis_url)
    await made.view.start()
    made.view.trust()
    yield made
    await made.view.stop()


async def test_p5_an_answer_that_was_overtaken_is_not_kept(
    view: View, other: View, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Redis answers a read, then tells of a write, and only then the reader's task runs: so it happens under load,
    when both stand in one packet. What it keeps then is never called old again."""
    await other.publish(news(1, a=1))
    link = view.view._reading
    read = link.call

    async def slow(commands: Sequence[Command]) -> list[Any]:
        answers = await read(commands)
        await other.publish(news(2, a=2))
        await asyncio.sleep(0.1)  # the word of it has come, and the copy that it speaks of is not there yet
        return answers

    monkeypatch.setattr(link, "call", slow)
    assert await view.used() == {"a": 1}
    monkeypatch.undo()
    assert await view.used() == {"a": 2}
