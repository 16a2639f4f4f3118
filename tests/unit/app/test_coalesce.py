"""Coalescing: what is asked while a round trip is under way shares the next one."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from metergate.app.coalesce import Coalescer


class Asked:
    """Answers each question with its double; holds each round trip until told to go on."""

    def __init__(self) -> None:
        self.together: list[list[int]] = []
        self.go = asyncio.Event()
        self.go.set()
        self.fail = False

    async def ask(self, questions: Sequence[int]) -> list[int]:
        self.together.append(list(questions))
        await self.go.wait()
        if self.fail:
            raise ConnectionError("away")
        return [2 * question for question in questions]


async def test_a_lone_question_is_asked_at_once() -> None:
    asked = Asked()
    assert await asyncio.wait_for(Coalescer(asked.ask).submit_all([1, 2]), 1) == [2, 4]
    assert asked.together == [[1, 2]]


async def test_what_comes_meanwhile_shares_the_next_round_trip() -> None:
    asked, answers = Asked(), []
    asked.go.clear()
    coalescer = Coalescer(asked.ask)
    tasks = [asyncio.create_task(coalescer.submit_all([number, -number])) for number in range(1)]
    await asyncio.sleep(0.01)
    tasks += [asyncio.create_task(coalescer.submit_all([number, -number])) for number in range(1, 20)]
    tasks.append(asyncio.create_task(coalescer.submit_all([])))
    await asyncio.sleep(0.01)
    assert len(asked.together) == 1
    asked.go.set()
    answers = await asyncio.gather(*tasks)
    assert answers == [*[[2 * number, -2 * number] for number in range(20)], []]
    assert len(asked.together) == 2


async def test_an_error_is_told_to_all_who_shared_the_call_and_the_next_call_works() -> None:
    asked = Asked()
    asked.fail = True
    coalescer = Coalescer(asked.ask)
    results = await asyncio.gather(*(coalescer.submit_all([n]) for n in range(3)), return_exceptions=True)
    assert [type(result) for result in results] == [ConnectionError] * 3
    asked.fail = False
    assert await coalescer.submit_all([4]) == [8]


async def test_one_who_leaves_takes_nothing_from_the_others() -> None:
    asked = Asked()
    asked.go.clear()
    coalescer = Coalescer(asked.ask)
    first = asyncio.create_task(coalescer.submit_all([1]))
    await asyncio.sleep(0.01)
    leaving, staying = (asyncio.create_task(coalescer.submit_all([number])) for number in (2, 3))
    await asyncio.sleep(0.01)
    first.cancel()
    leaving.cancel()
    asked.go.set()
    assert await asyncio.wait_for(staying, 1) == [6]
    with pytest.raises(asyncio.CancelledError):
        await leaving
    assert asked.together == [[1], [3]]
