"""The ledger in twenty lines of plain Python: events in a list, everything else summed up when it is asked for."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

from metergate.domain.catalog import Catalog
from metergate.domain.meter import Meter
from metergate.domain.quota import Limit, Scope
from metergate.domain.usage import Event


@dataclass
class Oracle:
    """What was accepted, at which instant it counts, and who owns which subject."""

    catalog: Catalog = field(default_factory=Catalog)
    events: dict[tuple[str, str], tuple[Event, int]] = field(default_factory=dict)
    owners: dict[str, str] = field(default_factory=dict)
    plans: dict[str, str] = field(default_factory=dict)
    zones: dict[str, str] = field(default_factory=dict)

    def uses(self, customer: str, meter: Meter) -> list[tuple[Event, int, Decimal]]:
        """What each of the customer's events adds to the meter."""
        found = []
        for event, counted_at in self.events.values():
            if event.type != meter.event_type or self.owners.get(event.subject) != customer:
                continue
            value: Decimal | None = event.amount if event.amount is not None else Decimal(1)
            if meter.value:
                value = event.values.get(meter.value)
            if value is None or (value < 0 and not meter.allow_negative):
                continue
            found.append((event, counted_at, Decimal(1) if meter.aggregation == "count" else value))
        return found

    def used(self, subject: str, limit: Limit, labels: dict[str, str], now: int) -> Decimal | None:
        """What is used of a limit in the window of now; None where usage with these labels does not count."""
        customer = self.owners[subject]
        windows = limit.windows(self.zones[customer], now)
        wanted = dict(limit.labels)
        if any(labels.get(name, "") != value for name, value in wanted.items()):
            return None
        wanted |= {name: labels.get(name, "") for name in limit.per_labels}
        return sum(
            (
                value
                for event, counted_at, value in self.uses(customer, self.catalog.meter_of[limit.meter])
                if windows[0].start <= counted_at < windows[-1].end
                and (limit.scope is Scope.CUSTOMER or event.subject == subject)
                and all(event.labels.get(name, "") == wanted[name] for name in wanted)
            ),
            Decimal(0),
        )

    def expected(self, subject: str, meter: str, labels: dict[str, str], now: int) -> dict[str, Decimal]:
        """What CheckQuota has to say is used, by limit."""
        limits = self.catalog.limits(self.plans[self.owners[subject]], meter)
        found = {limit.name: self.used(subject, limit, labels, now) for limit in limits}
        return {name: used for name, used in found.items() if used is not None}
