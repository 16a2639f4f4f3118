"""The fast view of counters, and where what it may have missed is found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from metergate.domain.quota import CounterKey, Figures


class Publication(NamedTuple):
    """What one commit makes known of one customer: counters as they were at `seq`, and those to forget.

    `whole` says that the customer's view has to begin anew with it.
    """

    customer: str
    before: int
    seq: int
    figures: Mapping[CounterKey, Figures]
    forget: Sequence[CounterKey]
    whole: bool = False


class Seen(NamedTuple):
    """A counter as the fast view holds it, and the instant of the ledger at which it was that."""

    figures: Figures
    as_of: int


class ViewUnavailableError(Exception):
    """The fast view cannot be reached or is not to be trusted now."""


class SweepSource(Protocol):
    """Where recent commits are found."""

    async def recent_heads(
        self, since: int | None, look_back: int
    ) -> tuple[int, dict[tuple[str, int], list[tuple[str, int]]]]:
        """The ledger's instant, and by tenant and its `catalog_version` the customers with facts recorded since, and
        their `seq`; None = for as long as `look_back`."""
        ...


class View(Protocol):
    """The fast view of counters. It may forget anything at any time."""

    @property
    def up(self) -> bool:
        """Whether it can be reached."""
        ...

    def held(self, tenant: str, catalog_version: int) -> Mapping[CounterKey, Seen]:
        """What is known without asking; empty while it is not to be read."""
        ...

    async def read(
        self, tenant: str, catalog_version: int, keys: Sequence[CounterKey], at_least: Mapping[str, int]
    ) -> list[Seen | None]:
        """The counters that it holds, None for those it does not, or holds at a `seq` under `at_least`.

        Raises:
            ViewUnavailableError
        """
        ...

    async def publish(self, tenant: str, catalog_version: int, now: int, publications: Sequence[Publication]) -> bool:
        """Makes a commit known. Never raises and never waits long: what is lost is read through or swept later.

        Returns whether it is known now. When it isn't, the view is not read until `trust`.
        """
        ...

    async def forget(self, tenant: str, catalog_version: int, customers: Sequence[str]) -> bool:
        """Drops all that is held of customers, under this and earlier versions of the catalog; whether it is gone now.

        What is published meanwhile may be held again.
        """
        ...

    @property
    def trusted(self) -> bool:
        """Whether it is read: not after commits may have been lost to it, until `trust`."""
        ...

    def trust(self) -> None:
        """All that was recorded is known to the view or was dropped from it."""
        ...
