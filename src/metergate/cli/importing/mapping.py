"""Which columns of a row are which fields of an event."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, tzinfo

from metergate.cli.errors import CliError
from metergate.cli.importing.rows import BadRow, Row
from metergate.cli.times import read_moment, to_timestamp
from metergate.v1.usage_event_pb2 import UsageEvent

SINGLE = ("id", "time", "subject", "type", "amount")
"""The fields of which an event has one; of values and labels it has any number, by name."""


@dataclass(frozen=True, slots=True)
class Entry:
    """Where a field comes from: a column of the row, or a constant. Exactly one is given."""

    column: str | None = None
    constant: str | None = None

    def __post_init__(self) -> None:
        """Raises CliError unless exactly one is given."""
        if (self.column is None) == (self.constant is None):
            raise CliError("A mapping entry is either `column: NAME` or `constant: VALUE`.")

    def of(self, row: Row) -> str:
        """The field's text in that row, without space around it."""
        return (row.fields[self.column] if self.column is not None else self.constant or "").strip()


@dataclass(frozen=True, slots=True)
class RowMapping:
    """Where each field of an event comes from. Without `id` it is made from the row, without `time` it is arrival."""

    id: Entry | None = None
    time: Entry | None = None
    subject: Entry | None = None
    type: Entry | None = None
    amount: Entry | None = None
    values: Mapping[str, Entry] = field(default_factory=dict)
    labels: Mapping[str, Entry] = field(default_factory=dict)
    zone: tzinfo = UTC
    source: str = "import"

    def over(self, base: RowMapping) -> RowMapping:
        """This mapping, with the base's entries where it has none."""
        chosen = {name: getattr(self, name) or getattr(base, name) for name in SINGLE}
        return replace(self, **chosen, values={**base.values, **self.values}, labels={**base.labels, **self.labels})

    def entries(self) -> Iterator[tuple[str, Entry]]:
        """Each entry that is given, with the field's name."""
        for name in SINGLE:
            if (entry := getattr(self, name)) is not None:
                yield name, entry
        yield from ((f"values.{name}", entry) for name, entry in self.values.items())
        yield from ((f"labels.{name}", entry) for name, entry in self.labels.items())


ACCESS_LOG = RowMapping(
    time=Entry(column="time"),
    type=Entry(constant="http.request"),
    values={"bytes": Entry(column="bytes")},
    labels={"method": Entry(column="method"), "status": Entry(column="status")},
)
"""The defaults for access logs. The path is no label: it has too many values to be a dimension."""


def check_columns(mapping: RowMapping, columns: list[str]) -> None:
    """Raises CliError when an entry names a column that is not there."""
    for name, entry in mapping.entries():
        if entry.column is not None and entry.column not in columns:
            raise CliError(f"There is no column {entry.column!r} for {name}: the columns are {', '.join(columns)}.")


def to_event(row: Row, mapping: RowMapping, row_id: str) -> UsageEvent | BadRow:
    """The event that a row describes; `row_id` stands in where no column holds ids.

    An empty label or value is left out. An empty id, time, subject, type or amount is an error, because what stands in
    for it (now, 1) would be counted without having been said.
    """
    try:
        required = {
            name: _required(name, entry, row) for name in SINGLE if (entry := getattr(mapping, name)) is not None
        }
        when = read_moment(required.pop("time"), mapping.zone) if mapping.time else None
    except _EmptyFieldError as empty:
        return BadRow(row.line, row.raw, "FIELD_INVALID", empty.field, f"{empty.field} is empty")
    except ValueError as error:
        return BadRow(row.line, row.raw, "FIELD_INVALID", "time", str(error))
    return UsageEvent(
        **({"id": row_id} | required),
        source=mapping.source,
        time=to_timestamp(when) if when else None,
        values=_given(mapping.values, row),
        labels=_given(mapping.labels, row),
    )


class _EmptyFieldError(Exception):
    def __init__(self, field: str) -> None:
        super().__init__(field)
        self.field = field


def _required(name: str, entry: Entry, row: Row) -> str:
    text = entry.of(row)
    if not text:
        raise _EmptyFieldError(name)
    return text


def _given(entries: Mapping[str, Entry], row: Row) -> dict[str, str]:
    return {name: text for name, entry in entries.items() if (text := entry.of(row))}
