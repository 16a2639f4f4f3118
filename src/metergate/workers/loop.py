"""A loop that runs a step at intervals, survives its errors, and stops at once when asked."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable

log = logging.getLogger(__name__)

_LEAST_SECONDS = 0.05  # between two steps, however often somebody hurries


class Loop:
    """Runs `step` every `seconds`, and soon after `hurry` was set; an error is logged once until the step works
    again."""

    def __init__(
        self, name: str, seconds: float, step: Callable[[], Awaitable[None]], hurry: asyncio.Event | None = None
    ) -> None:
        self._name = name
        self._seconds = seconds
        self._step = step
        self._hurry = hurry
        self._task: asyncio.Task[None] | None = None
        self._failing = False

    def start(self) -> None:
        """Begins; the first step runs at once."""
        self._task = asyncio.create_task(self._run(), name=self._name)

    async def stop(self) -> None:
        """Ends the loop, in the middle of a step if need be."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _run(self) -> None:
        while True:
            try:
                await self._step()
                self._failing = False
            except Exception as error:  # noqa: BLE001  a loop goes on
                log.log(logging.DEBUG if self._failing else logging.WARNING, "%s: %s", self._name, error)
                self._failing = True
            await self._pause()

    async def _pause(self) -> None:
        if self._hurry is None:
            await asyncio.sleep(self._seconds)
            return
        # What comes at once is seen to at once.
        await asyncio.sleep(min(_LEAST_SECONDS, self._seconds))
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._hurry.wait(), self._seconds)
        self._hurry.clear()
