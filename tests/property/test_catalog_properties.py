"""A catalog that was got can be applied again, and changes nothing."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from metergate.cli import messages, yaml_files
from metergate.domain.aggregation import AGGREGATIONS, LevelUnit
from metergate.domain.catalog import Catalog, Plan
from metergate.domain.catalog_changes import changes
from metergate.domain.catalog_rules import LENGTH_MAX
from metergate.domain.meter import LEVEL, PERCENTILE, UNIQUE, LabelFilter, LatePolicy, Meter, Op
from metergate.domain.period import DAY, SECOND, Period, Weekday
from metergate.domain.quota import DEFAULT_SUB_WINDOWS, Kind, Limit, Policy, Scope, WhenViewGone
from metergate.rpc.convert_catalog import from_pb_catalog, to_pb_catalog
from metergate.v1 import catalog_pb2

METERS = (Meter("calls", "calls", dimensions=("model", "region")), Meter("bytes", "http"))
positive = st.decimals(Decimal("0.001"), Decimal(10**12), places=3)
lengths = st.integers(1, LENGTH_MAX // SECOND).map(lambda seconds: seconds * SECOND) | st.sampled_from([DAY, 30 * DAY])
_WITHOUT_GRACE = (Kind.RATE, Kind.GRANTS)


@st.composite
def limits(draw: st.DrawFn, name: str) -> Limit:
    """A limit that no rule forbids."""
    kind = draw(st.sampled_from(list(Kind)))
    of_period = kind in (Kind.CALENDAR, Kind.ANCHORED)
    anchored = [Period.DAY, Period.WEEK, Period.MONTH, Period.YEAR]
    unit = draw(st.sampled_from(anchored if kind is Kind.ANCHORED else list(Period))) if of_period else Period.MONTH
    policy = draw(st.sampled_from([one for one in Policy if kind not in _WITHOUT_GRACE or one is not Policy.GRACE]))
    more: dict[str, Any] = {}
    if kind is Kind.ROLLING:
        more["sub_windows"] = draw(st.integers(2, 60) | st.just(DEFAULT_SUB_WINDOWS))
        more["length"] = more["sub_windows"] * draw(st.integers(1, 50_000)) * SECOND
    elif kind in (Kind.FIXED, Kind.RATE):
        more["length"] = draw(lengths)
    if kind is Kind.RATE:
        more["burst"] = draw(st.none() | positive)
    if kind is Kind.CALENDAR and unit is Period.WEEK:
        more["week_start"] = draw(st.sampled_from(list(Weekday)))
    most = None if kind is Kind.GRANTS else draw(st.none() | positive | st.just(Decimal(0)))
    if most is not None and kind is not Kind.RATE:
        more["thresholds"] = tuple(sorted(draw(st.sets(st.integers(1, 1000), max_size=20))))
    return Limit(
        name,
        draw(st.sampled_from(["calls", "bytes"])),
        most,
        unit,
        policy,
        Scope.CUSTOMER if kind is Kind.GRANTS else draw(st.sampled_from(list(Scope))),
        kind=kind,
        grace=draw(positive) if policy is Policy.GRACE else None,
        shadow=draw(st.booleans()),
        when_view_gone=draw(st.sampled_from(list(WhenViewGone))),
        **more,
    )


texts = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=8).filter(str.isprintable)


@st.composite
def filters(draw: st.DrawFn) -> LabelFilter:
    """A filter that no rule forbids."""
    op = draw(st.sampled_from(list(Op)))
    values = texts if op is Op.PREFIX else texts | st.just("")
    most = 1 if op is Op.EQUALS else 4
    return LabelFilter(draw(texts), op, tuple(draw(st.lists(values, min_size=1, max_size=most, unique=True))))


@st.composite
def meters(draw: st.DrawFn) -> Meter:
    """A meter that no rule forbids."""
    how = draw(st.sampled_from(list(AGGREGATIONS.values())))
    return Meter(
        "read",
        draw(texts),
        how.name,
        draw(st.just("") | texts),
        tuple(draw(st.lists(texts.filter(lambda name: name != "subject"), max_size=3, unique=True))),
        allow_negative=draw(st.booleans()) if how.name != UNIQUE else False,
        filters=tuple(draw(st.lists(filters(), max_size=3))),
        scale=Decimal(1)
        if how.counts
        else draw(st.sampled_from([Decimal(1), Decimal("1E-30"), Decimal("1E3")]) | positive),
        percentile=draw(st.sampled_from([Decimal("0.1"), Decimal(100)])) if how.name == PERCENTILE else None,
        level_unit=draw(st.sampled_from(list(LevelUnit))) if how.name == LEVEL else None,
        accept_window=draw(st.none() | lengths),
        late=draw(st.sampled_from(list(LatePolicy))),
    )


@settings(max_examples=100)
@given(meters())
def test_a_meter_that_was_got_is_the_one_that_was_applied(meter: Meter) -> None:
    """Over the wire, and through a YAML file."""
    catalog = Catalog((meter,), (Plan("default"),))
    catalog.check()
    message = to_pb_catalog(catalog)
    text = yaml_files.write(messages.to_plain(message))
    read = messages.from_plain(catalog_pb2.Catalog, yaml.load(text, Loader=yaml.BaseLoader))
    for got in (catalog_pb2.Catalog.FromString(message.SerializeToString()), read):
        again = from_pb_catalog(got)
        assert again.meters == catalog.meters
        assert again.meters[0].measure == meter.measure
        assert changes(catalog, again) == []


@st.composite
def catalogs(draw: st.DrawFn) -> Catalog:
    """A catalog that no rule forbids."""
    made = [draw(limits(f"l{number}")) for number in range(draw(st.integers(0, 4)))]
    rates: set[object] = set()
    kept = []
    for limit in made:
        place = (limit.meter, limit.scope, limit.length)
        if limit.kind is Kind.RATE and place in rates:
            continue
        rates |= {place} if limit.kind is Kind.RATE else set()
        kept.append(limit)
    return Catalog(METERS, (Plan("default", tuple(kept)),))


@settings(max_examples=200)
@given(catalogs())
def test_a_catalog_that_was_got_is_the_one_that_was_applied(catalog: Catalog) -> None:
    catalog.check()
    message = to_pb_catalog(catalog)
    assert changes(catalog, from_pb_catalog(message)) == []
    over_the_wire = catalog_pb2.Catalog.FromString(message.SerializeToString())
    assert changes(catalog, from_pb_catalog(over_the_wire)) == []


@settings(max_examples=100)
@given(catalogs())
def test_a_catalog_goes_through_a_yaml_file(catalog: Catalog) -> None:
    text = yaml_files.write(messages.to_plain(to_pb_catalog(catalog)))
    read = messages.from_plain(catalog_pb2.Catalog, yaml.load(text, Loader=yaml.BaseLoader))
    assert changes(catalog, from_pb_catalog(read)) == []
