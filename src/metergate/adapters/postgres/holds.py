"""Reservations and leases as rows: one per meter that a hold is for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any

import orjson

from metergate.domain.hold import Column, Hold, Kind, Part, Shift, State
from metergate.domain.posting import Ledger, Posting, shifted


def as_json(value: object) -> str:
    """The value as JSON."""
    return orjson.dumps(value).decode()


def literal(column: Sequence[str | None]) -> str:
    """The array literal of these texts, None being null. JSON's quotes and escapes are Postgres's too, as no text holds
    a control character."""
    return "{" + as_json(column)[1:-1] + "}"


def to_holds(rows: Iterable[Mapping[str, Any]]) -> list[Hold]:
    """The holds of these rows, which stand in order of id and part."""
    holds = []
    for _, group in groupby(rows, key=lambda row: row["id"]):
        parts = list(group)
        first = parts[0]
        hold = Hold(
            first["id"], Kind(first["kind"]), first["customer"], first["subject"], first["holder"], first["seq"],
            first["counted_at"], first["end_at"], State(first["state"]), tuple(map(_to_part, parts)), first["digest"],
            first["pool"] or "",
        )  # fmt: skip
        holds.append(hold)
    return holds


def _to_part(row: Mapping[str, Any]) -> Part:
    labels = orjson.loads(row["labels"])
    return Part(row["meter"], labels, row["granted"], row["returned"], row["spent"], row["settled"])


def to_shifts(rows: Iterable[Sequence[Any]]) -> list[Shift]:
    """What holds add to counters, of the rows of `KEPT`."""
    return [
        Shift(id_, customer, meter, subject, orjson.loads(labels), counted_at, column, amount)
        for customer, id_, meter, subject, labels, counted_at, *amounts in map(tuple, rows)
        for column, amount in zip(Column, amounts, strict=True)
        if amount
    ]


def hold_columns(holds: Iterable[Hold]) -> list[list[str]]:
    """What `WRITE_HOLDS` writes of holds, by column."""
    rows = [
        [
            hold.id, str(place), hold.kind, hold.customer, hold.subject, hold.holder, part.meter, as_json(part.labels),
            str(hold.seq), str(hold.counted_at), str(hold.end_at), hold.state, str(part.granted), str(part.returned),
            str(part.spent), str(part.settled), *[str(figure) for figure in hold.figures(part)[1:4]],
            hold.digest.hex(), hold.pool,
        ]
        for hold in holds
        for place, part in enumerate(hold.parts)
    ]  # fmt: skip
    return _by_column(rows, 21)


def move_columns(posting: Posting, ledger: Ledger) -> list[list[str]]:
    """What `WRITE_HOLDS` writes of the history of holds, by column."""
    rows = [
        [
            shift.customer, str(ledger.heads[shift.customer].seq + 1), shift.hold, shift.meter, shift.subject,
            as_json(shift.labels), str(shift.counted_at),
            *[str(shift.amount) if shift.column is column else "0" for column in Column],
        ]
        for shift in shifted(posting, ledger)
    ]  # fmt: skip
    return _by_column(rows, 10)


def _by_column(rows: Sequence[Sequence[str]], width: int) -> list[list[str]]:
    return [list(column) for column in zip(*rows, strict=True)] if rows else [[] for _ in range(width)]
