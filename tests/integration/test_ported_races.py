"""Ends that race each other, and reports that arrive in any order: Autumn's locks and Service Control's aggregator, as
`test_ported_quota_cases` lists them."""

from __future__ import annotations

import asyncio
import itertools
import random
from decimal import Decimal

import pytest

from metergate.app.quota.lease import Report
from metergate.domain.answer import Answer
from metergate.domain.catalog import Catalog, Plan
from metergate.domain.errors import MetergateError
from metergate.domain.hold import Hold, State
from metergate.domain.meter import Meter
from metergate.domain.quota import Limit
from metergate.domain.work import Want
from tests.integration.conftest import Start
from tests.integration.processes import PRINCIPAL, Process, event


async def begin(one: Process, most: int) -> None:
    limit = Limit("month", "calls", Decimal(most))
    await one.apply(Catalog((Meter("calls", "calls"),), (Plan("default", (limit,)),)))
    await one.customer("acme")


def hold_of(answer: Answer) -> Hold:
    assert answer.hold is not None
    return answer.hold


ENDS = ("commit", "other commit", "release", "expire")


@pytest.mark.parametrize("ends", list(itertools.combinations_with_replacement(ENDS, 2)), ids="-".join)
async def test_locks_race(one: Process, start: Start, rng: random.Random, ends: tuple[str, str]) -> None:
    """Two ends at once, from two processes: one comes first, and what is held goes back exactly once."""
    two = await start()
    await begin(one, 10)
    recorded = 0
    for turn in range(4):
        held = hold_of(await one.reserve(Want("calls", Decimal(2), {})))
        await one.fetch("UPDATE hold SET end_at = clock_timestamp() WHERE id = $1", held.id)
        pair = rng.sample([one, two], 2)
        both = [_end(process, end, held.id, turn) for process, end in zip(pair, ends, strict=True)]
        outcomes = await asyncio.gather(*both)
        again = [await _end(one, end, held.id, turn) for end in ends]
        assert not any(outcome == "recorded" for outcome in again)  # by now everything is known
        recorded += len({end for end, outcome in zip(ends, outcomes, strict=True) if outcome == "recorded"})
        ((state, kept),) = await one.fetch("SELECT state, reserved FROM hold WHERE id = $1", held.id)
        assert state in {_STATES[end] for end in ends}
        assert kept == 0
    assert await one.used("calls") == [recorded]
    assert await one.differences() == []
    assert (await one.consume(event("all that is left", amount=10 - recorded))).allowed
    assert not (await one.consume(event("more"))).allowed


_STATES = {
    "commit": State.COMMITTED, "other commit": State.COMMITTED, "release": State.RELEASED, "expire": State.EXPIRED,
}  # fmt: skip


async def _end(process: Process, end: str, id: str, turn: int) -> str:
    """Ends a reservation in one way: "recorded" when an event was."""
    try:
        if end == "expire":
            await process.expiry.finish()
        elif end == "release":
            await process.reservations.release(PRINCIPAL, id)
        else:
            done, _ = await process.reservations.commit(PRINCIPAL, id, [event(f"{end}-{turn}", settles=id)])
            return "recorded" if done.receipts[0].outcome == "accepted" else "known"
    except MetergateError as error:
        return error.reason
    return ""


async def test_aggregated_marks_count_once_however_they_arrive(one: Process, start: Start, rng: random.Random) -> None:
    """Many reports of one holder under way at once, through two processes, in any order and some of them twice."""
    two = await start()
    await begin(one, 2000)
    held = hold_of(await one.acquire("calls", "60"))
    reports = [Report(held.id, Decimal(spent), Decimal(spent // 3)) for spent in range(46)]
    reports += rng.sample(reports, 20)
    rng.shuffle(reports)
    answers = await asyncio.gather(*(rng.choice([one, two]).sync(report) for report in reports))
    assert not [answer for (answer,) in answers if isinstance(answer, MetergateError)]
    (answer,) = await two.sync(Report(held.id, Decimal(0)))
    assert isinstance(answer, Answer)
    part = hold_of(answer).parts[0]
    assert (part.granted, part.spent, part.returned) == (60, 45, 15)
    assert await one.differences() == []


async def test_a_report_of_nothing_new_moves_nothing(one: Process) -> None:
    await begin(one, 2000)
    held = hold_of(await one.acquire("calls", "60"))
    for _ in range(3):
        await one.sync(Report(held.id, Decimal(20)), Report(held.id, Decimal(7)))
    assert await one.fetch("SELECT leased::int, granted::int, spent::int FROM hold") == [(60, 60, 20)]
    assert await one.fetch("SELECT count(*) FROM hold_move") == [(1,)]
