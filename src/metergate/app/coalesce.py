"""Coalescing: what is asked while a round trip is under way shares the next one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

Q = TypeVar("Q")
A = TypeVar("A")


class Coalescer(Generic[Q, A]):
    """Hands questions in order to `ask_together`, one call at a time, which answers each in its place.

    A lone question is asked at once; nothing waits for a timer. Whatever `ask_together` raises is raised
    to everyone who shared the call.
    """

    def __init__(self, ask_together: Callable[[Sequence[Q]], Awaitable[Sequence[A]]]) -> None:
        self._ask_together = ask_together
        self._queue: list[tuple[Sequence[Q], asyncio.Future[Sequence[A]]]] = []
        self._runner: asyncio.Task[None] | None = None

    async def submit_all(self, questions: Sequence[Q]) -> Sequence[A]:
        """The answers to the questions, in their order."""
        future: asyncio.Future[Sequence[A]] = asyncio.get_running_loop().create_future()
        self._queue.append((questions, future))
        if self._runner is None:
            self._runner = asyncio.create_task(self._run())
        return await future

    async def _run(self) -> None:
        try:
            while self._queue:
                batch, self._queue = self._queue, []
                live = [(questions, future) for questions, future in batch if not future.done()]
                await self._ask([questions for questions, _ in live], [future for _, future in live])
        finally:
            self._runner = None

    async def _ask(self, groups: Sequence[Sequence[Q]], futures: Sequence[asyncio.Future[Sequence[A]]]) -> None:
        try:
            answers = await self._ask_together([question for group in groups for question in group])
        except Exception as error:  # noqa: BLE001  it is raised to whoever asked
            for future in futures:
                if not future.done():
                    future.set_exception(error)
            return
        at = 0
        for group, future in zip(groups, futures, strict=True):
            if not future.done():
                future.set_result(answers[at : at + len(group)])
            at += len(group)
