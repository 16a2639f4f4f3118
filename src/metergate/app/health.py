"""The health of the ledger's tables: what is measured, and what is too much of it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple


class Reading(NamedTuple):
    """One figure: of which kind, of what ("" = of the whole database), and how much."""

    kind: str
    of: str
    value: float


class Gauge(NamedTuple):
    """A kind of reading: what it says, from where on (`most`, or below `least`) something is to be done, and what."""

    help: str
    shown: str
    cure: str
    most: float | None = None
    least: float | None = None

    def well(self, value: float) -> bool:
        """Whether nothing is to be done."""
        return (self.most is None or value <= self.most) and (self.least is None or value >= self.least)


GAUGES: dict[str, Gauge] = {
    "dead_share": Gauge(
        "Dead rows of a table for each living one, where there are many.",
        "{of} has {value:.1f} dead rows for each living one",
        "see that autovacuum runs (`SHOW autovacuum`) and that no transaction is open for long; then VACUUM the table",
        most=2.0,
    ),
    "index_bloat": Gauge(
        "How many times as large an index is as its entries need, by an estimate, where it is large.",
        "index {of} is {value:.1f} times as large as it need be",
        "REINDEX INDEX CONCURRENTLY it when there is little to do",
        most=4.0,
    ),
    "xid_age_share": Gauge(
        "Age of the oldest transaction id, of that from which on PostgreSQL vacuums whatever happens.",
        "the oldest {of} has {value:.2f} of the age at which PostgreSQL vacuums by force",
        "see what keeps autovacuum from freezing: open transactions, prepared ones, replication slots",
        most=1.5,
    ),
    "oldest_transaction_seconds": Gauge(
        "Age of the oldest open transaction; vacuum removes nothing that died since.",
        "a transaction of {of} is open for {value:.0f} s",
        "end it (pg_terminate_backend), and bound such sessions with idle_in_transaction_session_timeout",
        most=1800.0,
    ),
    "prepared_transactions": Gauge(
        "Transactions that were prepared and neither committed nor rolled back.",
        "{value:.0f} prepared transactions wait for their end",
        "COMMIT PREPARED or ROLLBACK PREPARED them: they hold vacuum back for ever",
        most=0.0,
    ),
    "months_ahead": Gauge(
        "Months for which a partition is there already, this one not counted.",
        "{of} has partitions for {value:.0f} months ahead",
        "start a server, which makes them each hour, or run `metergate migrate`; without them usage is refused",
        least=1.0,
    ),
    "id_slices_due": Gauge(
        "Slices of ids that cannot come back and are there still.",
        "{value:.0f} slices of old ids are not dropped",
        "see the server's log: dropping them needs a moment without long transactions on usage_id",
        most=1.0,
    ),
    "months_closing": Gauge(
        "Months of events whose dropping began more than a day ago and is not done.",
        "{value:.0f} months of events are stuck half dropped",
        "see the server's log, or run `metergate retention run`, which says why",
        most=0.0,
    ),
}


def unwell(readings: Iterable[Reading]) -> list[tuple[str, str]]:
    """What is too much or too little, each in words, with what to do."""
    return [
        (GAUGES[one.kind].shown.format(of=one.of, value=one.value), GAUGES[one.kind].cure)
        for one in readings
        if not GAUGES[one.kind].well(one.value)
    ]
