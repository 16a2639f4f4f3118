"""Late usage: rows that count in a period which was invoiced before they came."""

from __future__ import annotations

from collections.abc import Mapping

from metergate.domain.posting import Head, Posting, Row


def late_marks(posting: Posting, heads: Mapping[str, Head]) -> dict[str, int]:
    """By customer, the earliest instant by which a row of this commit counts, of those that count before the customer's
    `billed_until`; in order of the customers. A row counts for its customer and for its pool.

    Where nobody was invoiced, or nothing is that old, nothing is looked at closely: each commit asks.
    """
    billed = [head.billed_until for head in heads.values() if head.billed_until is not None]
    if not billed:
        return {}
    newest = max(billed)
    old = [row for row in posting.rows if row.counted_at < newest]
    if posting.signed:
        old += [signed.row for signed in posting.signed if signed.row.counted_at < newest]
    marks: dict[str, int] = {}
    for row in old:
        for customer in _whose(row):
            until = heads[customer].billed_until
            if until is not None and row.counted_at < until:
                marks[customer] = min(row.counted_at, marks.get(customer, until))
    return dict(sorted(marks.items()))


def _whose(row: Row) -> tuple[str, ...]:
    return (row.customer, row.pool) if row.pool else (row.customer,)
