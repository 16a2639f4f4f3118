"""A loop that runs a step at intervals, survives its errors, and stops at once when asked."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable

log = logging.getLogger(__name__)


class Loop:
    """Runs `step` every `seconds`; an error is logged once until the step works again."""

    def __init__(self, name: str, seconds: float, step: Callable[[], Awaitable[None]]) -> None:
        self._name = name
        self._seconds = seconds
        self._step = step
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
            await asyncio.sleep(self._seconds)
