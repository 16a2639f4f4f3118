"""A catalog that was got can be applied again, and changes nothing."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from metergate.cli import messages, yaml_files
from metergate.domain.catalog import LENGTH_MAX, Catalog, Plan, changes
from metergate.domain.meter import Meter
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
