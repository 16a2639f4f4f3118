"""Random usage: small alphabets, so that things collide."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from metergate.domain import quantity
from metergate.domain.catalog import Catalog
from metergate.domain.meter import Meter
from metergate.domain.usage import Event, make_event

NOW = 1_795_000_123_456_789

decimals = st.decimals(
    Decimal("-999999999999999999.999999999999"), Decimal("999999999999999999.999999999999"), places=12
) | st.integers(-(10**18) + 1, 10**18 - 1).map(Decimal)
small = st.decimals(Decimal(-20), Decimal(1000), places=3)
texts = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=12)
words = st.sampled_from(["a", "b", "ab", "ü", " "])
times = st.none() | st.integers(NOW - 3 * 86_400_000_000, NOW)


def spelled(number: Decimal, rng: Any = None) -> str:
    """The number as a client may write it."""
    return quantity.to_text(number)


@st.composite
def events(draw: st.DrawFn, ids: st.SearchStrategy[str] = texts, amounts: st.SearchStrategy[Decimal] = small) -> Event:
    """An event of few types, subjects and labels."""
    amount = draw(st.none() | amounts)
    values = draw(st.dictionaries(st.sampled_from(["in", "out"]), amounts, max_size=2))
    return make_event(
        draw(ids),
        draw(st.sampled_from(["api", "web"])),
        draw(st.sampled_from(["llm", "http", "other"])),
        draw(words.filter(str.strip)),
        draw(times),
        "" if amount is None else spelled(amount),
        {name: spelled(number) for name, number in values.items()},
        draw(st.dictionaries(st.sampled_from(["model", "region", "x"]), st.sampled_from(["", "a", "b"]), max_size=3)),
        draw(st.sampled_from(["", "lease"])),
    )


METERS = (
    Meter("in", "llm", value="in", dimensions=("model", "region")),
    Meter("out", "llm", value="out", allow_negative=True),
    Meter("calls", "llm", "count"),
    Meter("requests", "http", "count", dimensions=("region",), allow_negative=True),
    Meter("bytes", "http", dimensions=("model",), allow_negative=True),
    Meter("outputs", "http", "count", value="out", allow_negative=True),
)
CATALOG = Catalog(METERS)
