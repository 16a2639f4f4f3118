"""Looks after the outbox: forgets what is old, and tells how the queues stand."""

from __future__ import annotations

from typing import Protocol


class Kept(Protocol):
    """The news and deliveries that are kept."""

    async def forget(self, keep_days: int, keep_dead_days: int) -> None:
        """Deletes delivered news, and dead letters, that are older."""
        ...

    async def stand(self) -> tuple[int, float, int]:
        """How many queues wait, for how many seconds the one that moved last, and how many dead letters there are."""
        ...


class Gauge(Protocol):
    """Shows how the queues stand."""

    def stands(self, queues: int, age: float, dead: int) -> None:
        """See `Kept.stand`."""
        ...


class LookAfterOutbox:
    """The verbs."""

    def __init__(self, kept: Kept, gauge: Gauge, keep_days: int, keep_dead_days: int) -> None:
        self._kept = kept
        self._gauge = gauge
        self._keep_days = keep_days
        self._keep_dead_days = keep_dead_days

    async def forget(self) -> None:
        """Deletes what is kept no longer.

        Raises:
            LedgerUnavailableError
        """
        await self._kept.forget(self._keep_days, self._keep_dead_days)

    async def tell(self) -> None:
        """Tells how the queues stand.

        Raises:
            LedgerUnavailableError
        """
        self._gauge.stands(*await self._kept.stand())
