"""Whatever is recorded, amended and voided, in whatever order: what the signed rows say is what stands."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from metergate.domain.aggregation import Sample, standing, tie_key
from metergate.domain.catalog import Catalog
from metergate.domain.correction import Corrected, Place, Standing, correct
from metergate.domain.meter import Meter, Shape
from metergate.domain.period import HOUR, MINUTE
from metergate.domain.posting import NOBODY, Head, Ledger, Posting, post
from metergate.domain.quantity import ZERO
from metergate.domain.usage import AcceptWindow, Event, Outcome, make_event
from metergate.domain.work import Correct, Fact

NOW = 1_700_000_000_000_000
SHAPES = (Shape(False, ()),)
METERS = tuple(
    Meter(
        name, "calls", aggregation=name, dimensions=("model",), value="user" if name == "unique" else "", shapes=SHAPES
    )
    for name in ("sum", "count", "min", "max", "avg", "latest", "unique")
)
CATALOG = Catalog(METERS)
OWNERS = {"a": "acme", "b": "beta", "nobody": NOBODY}
POOLS = {"acme": "", "beta": "group", "group": "", NOBODY: ""}

contents = st.tuples(
    st.sampled_from([*OWNERS]),
    st.sampled_from([None, NOW, NOW - MINUTE, NOW - HOUR, NOW - 20 * HOUR]),
    st.integers(0, 9),
    st.sampled_from([{}, {"model": "x"}, {"model": "y", "user": "u"}, {"user": "v"}]),
)
moves = st.lists(st.tuples(st.sampled_from(["record", "amend", "void"]), st.integers(0, 4), contents), max_size=25)


def _event(id_: int, content: tuple[Any, ...]) -> Event:
    subject, time, amount, labels = content
    return make_event(f"e{id_}", "api", "calls", subject, time, str(amount), {}, labels, "")


class Book:
    """A ledger in memory: each move is a commit of its own, or all are one."""

    def __init__(self, one_commit: bool) -> None:
        self.one_commit = one_commit
        self.seqs = dict.fromkeys(POOLS, 0)
        self.postings = [Posting()]
        self.known: dict[tuple[str, str], Standing] = {}
        self.samples: list[Sample] = []
        self.stands: dict[int, tuple[Event, str, int, str] | None] = {}

    def ledger(self) -> Ledger:
        heads = {name: Head(name, seq, "", "UTC", 0, pool=POOLS[name]) for name, seq in self.seqs.items()}
        return Ledger(heads, {}, CATALOG, NOW, AcceptWindow(), standing=self.known)

    def do(self, kind: str, id_: int, content: tuple[Any, ...]) -> None:
        event, posting = _event(id_, content), self.postings[-1]
        owner = OWNERS[event.subject]
        if kind == "record":
            if id_ in self.stands:
                return
            (receipt,) = post([Fact(event, owner, backfill=True)], self.ledger(), posting)
            assert receipt.outcome is Outcome.ACCEPTED
            counted_at = NOW if event.time is None else event.time
            self.stands[id_] = (event, owner, counted_at, POOLS[owner])
            self.known["api", event.id] = Standing(event, Place(owner, counted_at, self.seqs[owner] + 1, POOLS[owner]))
        elif self.stands.get(id_) is not None:
            self._correct(kind, id_, event, posting)
        if not self.one_commit:
            self._next()

    def _correct(self, kind: str, id_: int, event: Event, posting: Posting) -> None:
        before = self.stands[id_]
        assert before is not None
        first, customer, counted_at, pool = before
        new, to = (event, OWNERS[event.subject]) if kind == "amend" else (None, NOBODY)
        made = correct(Correct("api", event.id, customer, to, new), self.ledger(), posting)
        assert isinstance(made, Corrected)
        if new is None:
            self.stands[id_] = None
        else:
            at = counted_at if event.time in (None, first.time) else event.time
            assert at is not None
            self.stands[id_] = (event, to, at, pool if to == customer else POOLS[to])

    def _next(self) -> None:
        posting = self.postings[-1]
        for name in posting.customers:
            self.seqs[name] += 1
        self.known |= posting.standing
        self.postings.append(Posting())


@given(moves, st.booleans())
def test_p4_the_signed_rows_are_what_stands(made: list[tuple[str, int, tuple[Any, ...]]], one_commit: bool) -> None:
    book = Book(one_commit)
    for move in made:
        book.do(*move)
    rows = [(row, 1) for posting in book.postings for row in posting.rows]
    rows += [(signed.row, signed.sign) for posting in book.postings for signed in posting.signed]
    for meter in CATALOG.meters:
        for customer in ("acme", "beta", "group"):
            signed = [
                _sample(meter, row.event, row.counted_at, sign)
                for row, sign in rows
                if customer in (row.customer, row.pool) and row.customer != NOBODY
            ]
            oracle = [
                _sample(meter, event, counted_at, 1)
                for stands in book.stands.values()
                if stands is not None
                for event, owner, counted_at, pool in [stands]
                if customer in (owner, pool) and owner != NOBODY
            ]
            left = standing([one for one in signed if one is not None])
            expected = [one for one in oracle if one is not None]
            assert Counter(left) == Counter(expected)
            _rollups(book, meter, customer, expected)
            _uses(book, meter, customer, expected)


def _sample(meter: Meter, event: Event, counted_at: int, sign: int) -> Sample | None:
    value = meter.contribution(event)
    if value is None:
        return None
    item = meter.item(event.subject, event.labels)
    return Sample(counted_at, tie_key(event.source, event.id), value, item, (), sign)


def _rollups(book: Book, meter: Meter, customer: str, expected: list[Sample]) -> None:
    """What the commits add to the rollups sums up to what stands."""
    if not meter.leads:
        return
    moved = [
        part
        for posting in book.postings
        for key, part in posting.rollups.items()
        if key.customer == customer and key.measure == meter.measure
    ]
    assert sum(count for count, _ in moved) == len(expected)
    assert sum((total for _, total in moved), ZERO) == sum((one.value for one in expected), ZERO)


def _uses(book: Book, meter: Meter, customer: str, expected: list[Sample]) -> None:
    """What moves a counter of all time sums up to what stands."""
    found: Decimal = ZERO
    for posting in book.postings:
        for use in posting.all_uses.get((customer, meter.name), ()):
            found += use.value
    assert found == sum((one.value for one in expected), ZERO)
