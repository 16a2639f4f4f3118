"""How deliveries went, and how the queues stand, for a scrape."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from prometheus_client.core import REGISTRY, CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector


class DeliveryTally(Collector):
    """`app.notify.ports.Tally`, as a scrape sees it. The gauges are of the whole ledger: each server shows the same."""

    def __init__(self) -> None:
        self._tries: Counter[str] = Counter({"delivered": 0, "failed": 0, "dead": 0})
        self._stand = (0, 0.0, 0)

    def ended(self, result: str) -> None:
        """See `app.notify.ports.Tally`."""
        self._tries[result] += 1

    def stands(self, queues: int, age: float, dead: int) -> None:
        """How many queues wait, for how many seconds the one that moved last, and how many dead letters there are."""
        self._stand = (queues, age, dead)

    def collect(self) -> Iterable[Metric]:
        """From prometheus_client."""
        tries = CounterMetricFamily(
            "metergate_webhook_tries", "Tries of this server to deliver news, by how they ended.", labels=["result"]
        )
        for result, count in self._tries.items():
            tries.add_metric([result], count)
        queues, age, dead = self._stand
        return [
            tries,
            GaugeMetricFamily("metergate_webhook_queues", "Queues of news that wait.", value=queues),
            GaugeMetricFamily(
                "metergate_webhook_queue_age_seconds", "How long the queue that moved last has waited.", value=age
            ),
            GaugeMetricFamily("metergate_webhook_dead_letters", "Deliveries that were given up.", value=dead),
        ]


TALLY = DeliveryTally()
"""The process's one."""
REGISTRY.register(TALLY)
