"""Usage events: what one is, what makes two the same, and which times are accepted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from hashlib import blake2b

from metergate.domain import period, quantity
from metergate.domain.errors import MetergateError, Reason, invalid

MAX_ID = 256
MAX_NAME = 128
MAX_LABELS = 16
MAX_LABEL_KEY = 64
MAX_LABEL_VALUE = 256

_SEPARATOR = "\x1f"
_NO_VALUES: Mapping[str, Decimal] = {}
_NO_LABELS: Mapping[str, str] = {}

# Fields are compared, and a conflict is named, in this order.
COMPARED = ("type", "subject", "time", "amount", "values", "labels", "settles")


class Outcome(StrEnum):
    """What became of an event."""

    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"
    CONFLICT = "conflict"
    REJECTED = "rejected"


@dataclass(slots=True, eq=False)
class Event:
    """One usage fact as the client made it. `time` is an instant, or None when the client gave none.

    `digest`, 16 bytes of BLAKE2b, stands for the content: all fields but id and source. A time that the
    server set is not part of it.
    """

    id: str
    source: str
    type: str
    subject: str
    time: int | None
    amount: Decimal | None
    values: Mapping[str, Decimal]
    labels: Mapping[str, str]
    settles: str
    digest: bytes


@dataclass(slots=True)
class Receipt:
    """What became of one event; `error` says why it was not accepted, `unmatched` why it does not count yet, and
    `unsettled` why it took nothing out of the hold that it names."""

    event_id: str
    outcome: Outcome
    error: MetergateError | None = None
    unmatched: str = ""
    unsettled: str = ""


@dataclass(frozen=True, slots=True)
class AcceptWindow:
    """How old a new fact may be and how far ahead of the database's clock, in microseconds."""

    age: int = 35 * period.DAY
    ahead: int = 5 * period.MINUTE

    def check(self, time: int, now: int, backfill: bool) -> MetergateError | None:
        """Why an event of that time is not accepted now; None when it is."""
        if time > now + self.ahead:
            return self._outside(Reason.TIME_IN_FUTURE, "lies too far ahead", now)
        if time < now - self.age and not (backfill and time >= period.EARLIEST):
            return self._outside(Reason.TIME_TOO_OLD, "is older than the accept window", now)
        return None

    def _outside(self, reason: Reason, what: str, now: int) -> MetergateError:
        earliest, latest = period.to_text(now - self.age), period.to_text(now + self.ahead)
        return invalid("time", f"{what}; accepted is {earliest} to {latest}", reason, earliest=earliest, latest=latest)


def make_event(
    id: str,
    source: str,
    type: str,
    subject: str,
    time: int | None,
    amount: str,
    values: Mapping[str, str],
    labels: Mapping[str, str],
    settles: str,
) -> Event:
    """The event of these fields, checked.

    Raises:
        MetergateError: FIELD_INVALID or QUANTITY_INVALID, naming the field.
    """
    number = (quantity.ONE if amount == "1" else quantity.parse(amount, "amount")) if amount else None
    numbers = _parse_values(values) if values else _NO_VALUES
    ordered = {name: labels[name] for name in sorted(labels)} if labels else _NO_LABELS
    content = _content(type, subject, time, number, numbers, ordered, settles)
    # All texts at once: what is plain ASCII and within bounds, as nearly everything is, needs no closer look.
    # A separator too many would be one that hides in a text.
    texts = f"{id}{source}{content.replace(_SEPARATOR, '')}"
    plain = (
        texts.isascii() and texts.isprintable()
        and content.count(_SEPARATOR) == 5 + 2 * (len(numbers) + len(ordered))
    )  # fmt: skip
    if not (plain and 0 < len(id) <= MAX_ID and 0 < len(type) <= MAX_NAME and 0 < len(subject) <= MAX_NAME):
        _check_texts(id, type, subject)
    if ordered and not (plain and len(ordered) <= MAX_LABELS and _short(ordered) and len(content) <= MAX_LABEL_VALUE):
        check_labels(ordered)
    if settles:
        check_text(settles, "settles", MAX_ID)
    if not (plain and 0 < len(source) <= MAX_NAME):
        check_text(source, "source", MAX_NAME)
    if time is not None and not period.EARLIEST <= time < period.LATEST:
        raise invalid("time", "must lie between 1970 and 2200")
    digest = blake2b(content.encode(), digest_size=16).digest()
    return Event(id, source, type, subject, time, number, numbers, ordered, settles, digest)


def _short(labels: Mapping[str, str]) -> bool:
    """Whether all keys are as long as keys may be."""
    return "" not in labels and max(map(len, labels)) <= MAX_LABEL_KEY


def _check_texts(id: str, type: str, subject: str) -> None:
    check_text(id, "id", MAX_ID)
    check_text(type, "type", MAX_NAME)
    check_text(subject, "subject", MAX_NAME)


def _parse_values(values: Mapping[str, str]) -> dict[str, Decimal]:
    if len(values) > MAX_LABELS:
        raise invalid("values", f"at most {MAX_LABELS} are allowed")
    numbers = {}
    for name in sorted(values):
        check_text(name, "values", MAX_LABEL_KEY)
        numbers[name] = quantity.parse(values[name], f"values.{name}")
    return numbers


def check_labels(labels: Mapping[str, str]) -> None:
    """Refuses too many labels, and keys and values that are too long or hold control characters.

    Raises:
        MetergateError: FIELD_INVALID on `labels`.
    """
    if len(labels) > MAX_LABELS:
        raise invalid("labels", f"at most {MAX_LABELS} are allowed")
    for name, value in labels.items():
        check_text(name, "labels", MAX_LABEL_KEY)
        if value:
            check_text(value, f"labels.{name}", MAX_LABEL_VALUE)


def check_text(text: str, field: str, most: int) -> None:
    """Refuses the empty, the too long (in UTF-8 bytes) and control characters, which no store and no screen keeps."""
    if text.isascii() and text.isprintable() and 0 < len(text) <= most:
        return
    if not text:
        raise invalid(field, "is required")
    if len(text.encode("utf-8", "surrogatepass")) > most:
        raise invalid(field, f"must be at most {most} bytes long")
    if any(character < " " or character == "\x7f" for character in text):
        raise invalid(field, "must not hold control characters")


def _content(
    type: str,
    subject: str,
    time: int | None,
    amount: Decimal | None,
    values: Mapping[str, Decimal],
    labels: Mapping[str, str],
    settles: str,
) -> str:
    """The content as one text, maps in order of their keys, a separator between the parts.

    No part holds a control character (see `check_text`), so that different contents make different texts.
    """
    text = quantity.to_text
    parts = [
        type, subject, "" if time is None else str(time), "" if amount is None else text(amount), settles,
        str(len(values)),
    ]  # fmt: skip
    for name, number in values.items():
        parts += (name, text(number))
    for pair in labels.items():
        parts += pair
    return _SEPARATOR.join(parts)


def compare(first: Event, second: Event) -> str | None:
    """The first field in which two events of one id differ; None when their content is the same."""
    for field in COMPARED:
        if getattr(first, field) != getattr(second, field):
            return field
    return None


def conflict(event: Event, field: str) -> MetergateError:
    """The error for an id that is known with other content."""
    return MetergateError(
        Reason.EVENT_CONFLICT,
        f"id {event.id!r} is known with another {field or 'content'}; nothing was overwritten",
        {"id": event.id, "field": field},
    )
