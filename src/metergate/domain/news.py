"""The kinds of news that Metergate sends out, and when a delivery that failed is tried again."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from metergate.domain.errors import invalid
from metergate.domain.period import DAY, HOUR, SECOND

_FACTOR = 5


class NewsKind(StrEnum):
    """What news tell of; the values are the types that receivers see."""

    RECORDED = "usage.recorded"
    CORRECTED = "usage.corrected"
    THRESHOLD = "billing.threshold_exceeded"
    EXCEEDED = "limit.exceeded"
    FINALIZED = "invoice.finalized"
    PAID = "invoice.paid"
    VOIDED = "invoice.voided"


# What is sent when somebody tries an endpoint out; nobody subscribes to it.
TEST = "endpoint.test"


def parse_kinds(given: Iterable[str], field: str) -> tuple[str, ...]:
    """The kinds of these names, each once and in order; all where none is given.

    Raises:
        MetergateError: FIELD_INVALID.
    """
    names = list(given)
    known = [kind.value for kind in NewsKind]
    for index, name in enumerate(names):
        if name not in known:
            raise invalid(f"{field}[{index}]", f"{name[:80]!r} is not one of {', '.join(known)}")
    return tuple([name for name in known if name in names]) if names else tuple(known)


@dataclass(frozen=True, slots=True)
class BackOff:
    """Pauses between the tries of one delivery: `first`, five times as long each time, at most `longest`; all in
    microseconds. There are at most `tries`. The ones by default take about a day."""

    first: int = 5 * SECOND
    longest: int = 8 * HOUR
    tries: int = 9

    def pause(self, attempts: int, chance: float) -> int:
        """How long to wait after so many tries; `chance`, from 0 to 1, spreads it by a fifth to either side, so that
        what failed together does not come again together."""
        return int(self._pause(attempts) * (0.8 + 0.4 * chance))

    @property
    def patience(self) -> int:
        """How long all tries of one delivery take. What has waited longer than this behind others is tried once."""
        return min(sum(self._pause(attempts) for attempts in range(1, self.tries)), 30 * DAY)

    def gives_up(self, attempts: int, waited: int) -> bool:
        """Whether a delivery is a dead letter after so many tries, `waited` after its news were recorded."""
        return attempts >= self.tries or waited >= self.patience

    def _pause(self, attempts: int) -> int:
        pause = self.first
        for _ in range(1, attempts):
            pause = min(pause * _FACTOR, self.longest)
        return min(pause, self.longest)
