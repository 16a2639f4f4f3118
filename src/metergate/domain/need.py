"""Need: which counters, and which values of UNIQUE ones, a commit has to look at before it can decide."""

from __future__ import annotations

from collections.abc import Collection

from metergate.domain.admission import Demand
from metergate.domain.counting import Counted, Place, needed, places_of
from metergate.domain.distinct import values_of
from metergate.domain.granting import counter_of, limit_of
from metergate.domain.period import LATEST
from metergate.domain.posting import Ledger, Posting, Use, shifted
from metergate.domain.quota import CounterKey, Limit


def places(ledger: Ledger, posting: Posting, demands: Collection[Demand]) -> set[Place]:
    """Where the counters are that may change, or are asked about."""
    meter_of = ledger.catalog.meter_of
    found = {
        place for (owner, meter), uses in posting.all_uses.items() for place in places_of(owner, meter_of[meter], uses)
    }
    found.update(counter_of(pair)[:4] for pair in ledger.grants)
    for shift in shifted(posting, ledger):
        if shift.meter in meter_of:
            found.update(places_of(shift.customer, meter_of[shift.meter], (shift,)))
    for asked in demands:
        found |= {key[:4] for touch in asked.touches for key in touch.keys}
        # Meters without a limit too: they may have counters of limits that were in force earlier.
        for account in ledger.accounts(asked.customer):
            for subject, want in asked.asked:
                if want.meter in meter_of:
                    counted = Counted(subject, want.labels)
                    found.update(places_of(account.customer, meter_of[want.meter], (counted,)))
    return found


def oldest(ledger: Ledger, posting: Posting, demands: Collection[Demand], holds: Collection[int]) -> int:
    """The instant after which the windows of those counters end; `holds` are when those count that were answered."""
    times = [use.counted_at for uses in posting.all_uses.values() for use in uses]
    times += [shift.counted_at for shift in shifted(posting, ledger)]
    times += [touch.keys[0].end - 1 for asked in demands for touch in asked.touches]
    times += [ledger.now] if demands or ledger.grants else []
    # More of a lease counts when the lease was made.
    times += holds
    return min(times, default=LATEST) - (ledger.catalog.thresholds_look_back or 0)


def wanted(ledger: Ledger, posting: Posting, demands: Collection[Demand]) -> dict[CounterKey, Limit]:
    """The counters that have to be there, and the limit that each is for."""
    keys = {counter_of(pair): limit_of(pair[1]) for pair in ledger.grants}
    keys |= needed(posting, ledger)
    for asked in demands:
        for touch in asked.touches:
            for key in touch.keys:
                keys[key] = touch.limit
    return keys


def sought(
    ledger: Ledger, posting: Posting, demands: Collection[Demand], counters: Collection[CounterKey]
) -> dict[CounterKey, set[str]]:
    """The values of UNIQUE counters whose numbers of events deciding has to know."""
    catalog = ledger.catalog
    if not catalog.unique_meters:
        return {}
    uses = {pair: [*mine] for pair, mine in posting.sightings.items()}
    for asked in demands:
        for subject, (meter, amount, labels) in asked.asked:
            if meter in catalog.unique_meters:
                for account in ledger.accounts(asked.customer):
                    use = Use(ledger.now, subject, labels, amount)
                    uses.setdefault((account.customer, meter), []).append(use)
    return values_of(counters, uses, catalog.meter_of)
