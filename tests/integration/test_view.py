"""The fast view on a real Redis: its law, and what processes do to it and each other."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from metergate.app.ports.view import Publication, Seen, ViewUnavailableError
from metergate.domain.catalog import Plan
from metergate.domain.decision import AnsweredBy
from metergate.domain.period import Period
from metergate.domain.quota import Figures, Limit
from tests.integration.processes import PRINCIPAL, Process, Start, event, heard, settle
from tests.integration.views import CATALOG, MONTHLY, NOW, View, eventually, key, news


@pytest.fixture
async def one(start: Start) -> Process:
    made = await start()
    await made.apply(CATALOG)
    return made


# --- the law ------------------------------------------------------------------------------------------------------


async def test_what_was_published_is_read_with_its_instant(view: View) -> None:
    figures = Figures(
        Decimal("123456789012345678901234567890.000000000001"), Decimal("-0.5"), Decimal(3), Decimal("1E+3")
    )
    await view.view.publish("t", 1, NOW, [Publication("acme", 0, 1, {key(): figures}, ())])
    assert await view.view.read("t", 1, [key(), key("z")], {}) == [Seen(figures, NOW), None]


async def test_the_next_seq_keeps_what_it_does_not_move(view: View) -> None:
    await view.publish(news(1, a=1, b=1), news(2, a=2))
    assert await view.used() == {"a": 2, "b": 1}


async def test_a_gap_in_seq_drops_what_is_older(view: View) -> None:
    await view.publish(news(1, a=1, b=1), news(3, a=3))
    assert await view.used() == {"a": 3}


async def test_an_older_seq_is_ignored(view: View) -> None:
    await view.publish(news(1, a=1, b=1), news(2, a=2), news(1, a=1, c=9), news(2, before=2, c=2))
    assert await view.used() == {"a": 2, "b": 1, "c": 2}


async def test_a_whole_publication_begins_anew(view: View) -> None:
    await view.publish(news(1, a=1, b=1), news(2, whole=True, a=2))
    assert await view.used() == {"a": 2}
    await view.publish(news(3, whole=True))
    assert await view.used() == {}


async def test_forgotten_fields_are_gone(view: View) -> None:
    await view.publish(news(1, a=1, b=1), news(2, a=2, forget="bc"))
    assert await view.used() == {"a": 2}


async def test_a_sweep_drops_what_is_behind_and_nothing_else(view: View) -> None:
    await view.publish(news(5, before=5))
    assert await view.used() == {}
    await view.publish(news(5, a=5), news(5, before=5))
    assert await view.used() == {"a": 5}
    await view.publish(news(4, before=4))
    assert await view.used() == {"a": 5}
    await view.publish(news(7, before=7))
    assert await view.used() == {}
    await view.publish(news(8, b=8))
    assert await view.used() == {"b": 8}


async def test_p5_a_reader_who_must_have_seen_more_is_told_nothing(view: View) -> None:
    await view.publish(news(9, a=9))
    assert await view.used(at_least=9) == {"a": 9}
    assert await view.used(at_least=10) == {}
    await view.publish(news(10, a=10))
    assert await view.used(at_least=9) == {"a": 10}


async def test_p9_tenants_customers_and_catalogs_do_not_meet(view: View) -> None:
    places = [
        ("t", 1, "acme"), ("t", 1, "acm"), ("t", 2, "acme"), ("t:", 1, "acme"), ("t", 1, ":acme"), ("t:4", 1, "a}"),
    ]  # fmt: skip
    for number, (tenant, version, customer) in enumerate(places):
        figures = {key(customer=customer): Figures(Decimal(number))}
        await view.view.publish(tenant, version, NOW, [Publication(customer, 0, 1, figures, ())])
    for number, (tenant, version, customer) in enumerate(places):
        (seen,) = await view.view.read(tenant, version, [key(customer=customer)], {})
        assert seen
        assert seen.figures.used == number
    assert await view.view.read("u", 1, [key()], {}) == [None]


async def test_counters_of_one_customer_do_not_meet(view: View) -> None:
    keys = [
        key("a", subject="b"), key("ab"), key("a", filter="b"), key("a")._replace(start=1), key("a")._replace(end=1),
    ]  # fmt: skip
    figures = {one: Figures(Decimal(number)) for number, one in enumerate(keys)}
    await view.view.publish("t", 1, NOW, [Publication("acme", 0, 1, figures, ())])
    assert [one and one.figures.used for one in await view.view.read("t", 1, keys, {})] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(("customers", "counters"), [(5000, 1), (1, 9000), (3, 3000)])
async def test_any_allowed_batch_is_answered(view: View, customers: int, counters: int) -> None:
    keys = [key(f"m{m}", f"c{c}") for c in range(customers) for m in range(counters)]
    publications = [
        Publication(f"c{c}", 0, 1, {key(f"m{m}", f"c{c}"): Figures(Decimal(m)) for m in range(counters)}, ())
        for c in range(customers)
    ]

    async def answered() -> bool:
        """On a busy machine a third of a second may be too short for this many, and the link is made anew."""
        if view.view.up:
            view.view.trust()
        try:
            await view.view.publish("t", 1, NOW, publications)
            return all(await view.view.read("t", 1, keys, {}))
        except ViewUnavailableError:
            return False

    await eventually(answered, 20)
    assert view.view.up


async def test_questions_that_come_together_are_answered_each_its_own(view: View) -> None:
    used: dict[str, Any] = {letter: number for number, letter in enumerate("abcdefgh")}
    await view.publish(news(1, **used))
    answers = await asyncio.gather(*(view.used(letter) for letter in "abcdefgh" * 50))
    assert answers == [{letter: number} for number, letter in enumerate("abcdefgh")] * 50


async def test_one_who_leaves_in_the_middle_spoils_no_answer(view: View) -> None:
    await view.publish(news(1, a=1, b=2))
    for _ in range(20):
        leaving = asyncio.create_task(view.used("a"))
        await asyncio.sleep(0)
        leaving.cancel()
        try:
            assert await view.used("b") == {"b": 2}
        except ViewUnavailableError:
            await eventually(lambda: view.view.up)


async def test_a_read_that_crosses_a_publication_leaves_nothing_old_behind(view: View, redis_url: str) -> None:
    """The answer and the word that it is old may arrive together."""
    other = View(redis_url)
    await other.view.start()
    other.view.trust()
    try:
        await other.publish(news(1, a=1))
        for seq in range(2, 200):
            await asyncio.gather(view.used("a"), other.publish(news(seq, a=seq)), view.used("a"))
            await eventually(lambda seq=seq: is_used(view, seq), seconds=0.5)  # type: ignore[misc]
    finally:
        await other.view.stop()


async def is_used(view: View, number: int) -> bool:
    return await view.used("a") == {"a": number}


# --- what processes do to it --------------------------------------------------------------------------------------


async def test_p4_what_a_crashed_process_could_not_publish_is_swept(one: Process, start: Start, tmp_path: Path) -> None:
    """A process without Redis commits as one does that dies between its commit and its publication."""
    mute = await start(redis=f"unix://{tmp_path}/nobody?db=0")
    await one.add(event("1"), event("b", subject="beta"))
    assert await one.used("calls") == [1]
    assert await one.used("calls", "beta") == [1]
    await mute.add(event("2"))
    assert await one.used("calls") == [1]  # until the sweep: this is what it is for
    await one.sweep.sweep()
    decision = await one.check("calls")
    assert (decision.states[0].figures.used, decision.answered_by) == (2, AnsweredBy.LEDGER)
    decision = await one.check("calls", subject="beta")
    assert (decision.states[0].figures.used, decision.answered_by) == (1, AnsweredBy.VIEW)
    await mute.add(event("3"))
    await one.add(event("4"))
    await heard()
    assert await one.used("calls") == [4]


async def test_p5_a_write_token_makes_a_stale_view_ask_the_ledger(one: Process, start: Start, tmp_path: Path) -> None:
    mute = await start(redis=f"unix://{tmp_path}/nobody?db=0")
    await one.add(event("1"))
    assert await one.used("calls") == [1]
    seqs = (await mute.add(event("2"))).seqs
    decision = await one.check("calls", at_least=seqs)
    assert (decision.states[0].figures.used, decision.answered_by) == (2, AnsweredBy.LEDGER)
    decision = await one.check("calls", at_least={"*": 0})
    assert decision.answered_by is AnsweredBy.LEDGER


async def test_p4_a_limit_that_comes_back_does_not_bring_an_old_count_along(one: Process) -> None:
    yearly = Limit("calls/year", "calls", Decimal(10), Period.YEAR)
    both = replace(CATALOG, plans=(Plan("default", (MONTHLY, yearly)),))
    await one.add(event("1"))
    await one.apply(both)
    assert await one.used("calls") == [1, 1]
    await one.apply(CATALOG)
    await one.add(event("2"))
    await one.apply(both)
    assert await one.used("calls") == [2, 2]


async def test_p4_plans_changed_back_and_forth_keep_each_count(one: Process) -> None:
    hourly = Limit("calls/hour", "calls", Decimal(10), Period.HOUR)
    await one.apply(replace(CATALOG, plans=(Plan("default", (MONTHLY,)), Plan("pro", (hourly,)))))
    await one.add(event("1"))
    for turn in range(1, 6):
        assert await one.used("calls") == [turn]
        await one.assign("acme", "pro" if turn % 2 else "")
        assert await one.used("calls") == [turn]
        await one.add(event(f"turn-{turn}"))


async def test_p4_a_customers_plan_changed_while_another_process_still_knows_the_old_one(
    one: Process, start: Start
) -> None:
    yearly = Limit("calls/year", "calls", Decimal(10), Period.YEAR)
    await one.apply(replace(CATALOG, plans=(Plan("default", (MONTHLY,)), Plan("pro", (yearly,)))))
    late = await start()
    await one.add(event("1"))
    await one.assign("acme", "pro")
    assert await late.used("calls") == [1]
    late.directory.forget_all()
    assert await late.used("calls") == [1]
    await one.assign("acme", "")  # late still thinks of "pro", and publishes its counter
    await one.add(event("2"))
    await heard()
    assert await late.used("calls") == [2]
    await one.add(event("3"))
    await one.assign("acme", "pro")
    await settle([one, late])
    assert await one.used("calls") == [3]


async def test_p4_usage_that_waited_is_seen_by_the_view_once_its_subject_exists(start: Start) -> None:
    one = await start(dev=False)
    await one.apply(CATALOG)
    await one.customer("acme")
    await one.add(event("1"), event("2", subject="alice"))
    assert await one.used("calls") == [1]
    await one.subject("alice", "acme")
    assert await one.used("calls") == [2]


async def test_per_label_counters_are_each_their_own(one: Process) -> None:
    per_model = Limit("calls/model", "calls", Decimal(10), per_labels=("model",))
    await one.apply(replace(CATALOG, plans=(Plan("default", (per_model,)),)))

    async def used() -> list[list[Decimal]]:
        labels: list[Mapping[str, str]] = [{"model": "a"}, {"model": "b"}, {}]
        return [await one.used("calls", labels=one_) for one_ in labels]

    await one.customer("acme")
    assert await used() == [[0], [0], [0]]
    await one.add(event("1", labels={"model": "a"}), event("2", labels={"model": "b"}), event("3", amount=5))
    assert await used() == [[1], [1], [5]]
    await one.add(event("4", labels={"model": "a", "other": "x"}))
    assert await used() == [[2], [1], [5]]
    states = (await one.limits.list(PRINCIPAL, "acme", [])).states
    assert sorted(int(state.figures.used) for state in states) == [1, 2, 5]
