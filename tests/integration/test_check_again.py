"""An answer of CheckQuota that is given again without a look: for how long, and that news end it."""

from __future__ import annotations

from decimal import Decimal

import pytest

from metergate.app import clock
from metergate.app.quota.check import Amount, Question
from metergate.domain.catalog import Catalog, Plan
from metergate.domain.decision import Decision
from metergate.domain.meter import Meter
from metergate.domain.period import MINUTE, SECOND
from metergate.domain.quota import Limit
from tests.integration.processes import PRINCIPAL, Process, event

LIMIT = Limit("calls/month", "calls", Decimal(100))


async def asked(one: Process, used: int) -> tuple[Question, Decision]:
    """A question that was answered after so much use, and the answer that it remembers."""
    await one.apply(Catalog((Meter("calls", "calls"),), (Plan("default", (LIMIT,)),)))
    await one.customer("acme")
    await one.add(event("1", amount=str(used)))
    question = Question("acme", [Amount("calls", Decimal(1), {})])
    for _ in range(2):  # the second is by the view
        [answer] = await one.checks.check(PRINCIPAL, [question])
    assert isinstance(answer, Decision)
    return question, answer


async def test_p5_an_answer_is_given_again_for_a_minute(one: Process, monkeypatch: pytest.MonkeyPatch) -> None:
    now = clock.now()
    question, answer = await asked(one, used=0)
    for later, again in ((50 * SECOND, answer), (62 * SECOND, None)):
        monkeypatch.setattr(clock, "now", lambda later=later: now + later)
        assert one.checks.again(PRINCIPAL, question) is again


async def test_p5_a_forecast_is_made_again_before_it_is_off(one: Process, monkeypatch: pytest.MonkeyPatch) -> None:
    """One hundredth of the window that has passed, and no moment of a window that has just begun is too short."""
    question, answer = await asked(one, used=99)
    [state] = answer.states
    now = clock.now()
    assert state.exhausted_in is not None
    lives = min(max((now - state.window.start) // 100, SECOND), MINUTE)
    for later, again in ((lives * 8 // 10 - SECOND // 2, answer), (lives + SECOND, None)):
        monkeypatch.setattr(clock, "now", lambda later=later: now + max(later, 0))
        assert one.checks.again(PRINCIPAL, question) is again


async def test_p5_an_answer_is_not_given_again_after_news(one: Process) -> None:
    question, answer = await asked(one, used=10)
    assert one.checks.again(PRINCIPAL, question) is answer
    await one.add(event("2", amount="5"))
    assert one.checks.again(PRINCIPAL, question) is None


async def test_p5_a_sweep_that_changes_nothing_leaves_the_answer(one: Process, monkeypatch: pytest.MonkeyPatch) -> None:
    """It publishes whoever used something lately at the `seq` that is known already."""
    now = clock.now()
    question, answer = await asked(one, used=0)
    monkeypatch.setattr(clock, "now", lambda: now + 10 * SECOND)  # a sweep is due
    await one.sweep.sweep()
    assert one.checks.again(PRINCIPAL, question) is answer
