"""Remembered refusals: how long they hold."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pytest

from metergate.app.ports.ledger import Peek
from metergate.app.quota.refusals import LIVES, Refusals
from metergate.domain.admission import Asked, conclude, demand
from metergate.domain.answer import Answer
from metergate.domain.catalog import Catalog, Plan
from metergate.domain.meter import Meter
from metergate.domain.override import Override
from metergate.domain.posting import Head
from metergate.domain.quota import Figures, Limit
from metergate.domain.usage import make_event
from metergate.domain.work import Want

NOW = 1_795_000_000_000_000
CATALOG = Catalog((Meter("calls", "calls"),), (Plan("default", (Limit("calls", "calls", Decimal(1)),)),))
EVENT = make_event("e", "api", "calls", "acme", None, "", {}, {}, "")


class Peeking:
    """A ledger that is looked at without a lock."""

    now = NOW
    seq = 1

    async def peek(self, tenant: str, questions: Sequence[Any]) -> list[Peek]:
        return [Peek(self.now, 0, self.seq, False) for _ in questions]


@pytest.mark.parametrize("until", [NOW + 1000, NOW + LIVES, NOW + 2 * LIVES])
async def test_a_refusal_is_forgotten_when_another_limit_is_in_force(until: int) -> None:
    head = Head("acme", 1, "", "UTC", 0, None, (Override("calls", Decimal(5), until),))
    asked = demand((head,), CATALOG, NOW, [Asked("acme", Want("calls", Decimal(1), {}))])
    figures = dict.fromkeys(asked.amounts, Figures(Decimal(1)))
    answer = Answer(asked, False, 1, NOW, conclude(asked, False, figures, "default", NOW))
    ledger = Peeking()
    refusals = Refusals(ledger)  # type: ignore[arg-type]
    refusals.remember("t", (EVENT,), answer)
    last = min(until, NOW + LIVES)
    for now, seq, holds in ((NOW, 1, True), (last - 1, 1, True), (last - 1, 2, False), (last, 1, False)):
        ledger.now, ledger.seq = now, seq
        [said] = await refusals.recall("t", [(EVENT,)])
        assert (said is not None) == holds
