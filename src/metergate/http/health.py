"""The health of the ledger's tables as metrics."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from metergate.app.health import GAUGES, Reading


class HealthMetrics(Collector):
    """What was read last, as a scrape sees it."""

    def __init__(self) -> None:
        self.readings: Sequence[Reading] = ()

    def collect(self) -> Iterable[Metric]:
        """From prometheus_client."""
        families = {
            kind: GaugeMetricFamily(f"metergate_ledger_{kind}", gauge.help, labels=["of"])
            for kind, gauge in GAUGES.items()
        }
        for one in self.readings:
            families[one.kind].add_metric([one.of], one.value)
        return families.values()
