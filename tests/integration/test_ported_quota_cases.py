"""What other quota services test, asked of ours in words of our own.

A peer's case, and the test that answers it; those without a file are in this one, and those of races in
test_ported_races. `-` says why there is none.

gubernator, functional_test.go
    TestOverTheLimit                        test_consume: test_p2_a_limit_is_used_to_the_unit_and_never_passed
    TestMultipleAsync                       test_units_of_one_call_are_each_on_their_own
    TestTokenBucket                         test_buckets[a bucket of fixed length]
    TestTokenBucketGregorian                test_buckets[a bucket of a calendar hour]
    TestTokenBucketNegativeHits             test_consume: test_p12_what_cannot_be_consumed; a refund is a reservation's
                                            release: test_relay_what_is_given_back_can_be_used_again
    TestDrainOverLimit                      test_buckets[facts drain the bucket]
    TestTokenBucketRequestMoreThanAvailable test_buckets[more than available]
    TestLeakyBucket                         test_buckets[a leaky bucket]
    TestLeakyBucketWithBurst                test_buckets[a leaky bucket with a burst]
    TestLeakyBucketRequestMoreThanAvailable test_buckets[more than is available of a leaky bucket]
    TestLeakyBucketDivBug                   test_buckets[a leaky bucket of many units]
    TestLeakyBucketGregorian                - rates have a length and no calendar
    TestChangeLimit                         test_a_change_of_the_limit_keeps_what_was_used
    TestResetRemaining                      - the ledger forgets nothing; a raise makes room, as TestChangeLimit shows
    TestMissingFields                       e2e/test_bad_input_quota: test_p12_a_request_of_the_wrong_shape
    TestGRPCGateway                         e2e/test_http_quota
    TestGlobalRateLimits and peers          test_consume: test_p2_two_processes_never_pass_a_limit_together

limitador, integration_tests.rs and its gRPC services
    rate_limited                            test_limitador_checks_and_reports[one by one]
    rate_limited_with_delta_higher_than_one test_limitador_checks_and_reports[five at a time]
    rate_limited_with_delta_higher_than_max test_limitador_checks_and_reports[more than the limit at once]
    multiple_limits_rate_limited            test_limitador_limits_by_what_they_match
    takes_into_account_only_vars_of_the_limits  test_limitador_labels_of_no_limit_make_no_difference
    is_rate_limited_returns_false_when_no_limits_in_namespace, .._when_no_matching_limits,
    is_rate_limited_applies_limit_if_its_unconditional    test_limitador_limits_by_what_they_match
    check_rate_limited_and_update(_load_counters)         test_limitador_check_and_update_counts_down
    delete_limit, delete_limit_also_deletes_associated_counters   test_limitador_a_deleted_limit_has_no_effect
    configure_with_keeps_the_given_limits_and_counters_if_they_exist, .._deletes_all_except_the_limits_given
                                            test_limitador_what_is_configured_again_keeps_its_counters
    get_counters, .._returns_empty_when_no_counters_in_namespace, .._does_not_return_expired_ones
                                            test_limitador_counters_are_listed_until_their_window_ends
    distributed_rate_limited                test_consume: test_p2_two_processes_never_pass_a_limit_together
    hits_addend of 6 and 6 of 10            test_buckets[six and six of ten]
    no hits_addend is one                   test_limitador_check_and_update_counts_down
    Kuadrant: a check charges nothing, a report over the limit is taken    test_limitador_checks_and_reports

relay, is_rate_limited.lua and redis.rs
    zero size quotas                        test_relay[nothing at all, and all of it]
    unlimited mix                           test_relay[one, and all of it]
    simple quota, quantity                  test_relay[a hundred at a time]
    all or nothing over several quotas      test_relay[three that end at different times]
    quantity 0 checks                       e2e/test_bad_input_quota:
                                            test_p12_nothing_can_be_consumed_and_reserved_and_not_leased
    refunds                                 test_relay_what_is_given_back_can_be_used_again
    over_accept_once                        - a hard limit is never passed

Autumn, locks
    double expiry                           test_reserve: test_double_expiry_gives_back_once
    confirm then expire                     test_reserve: test_commit_before_its_expiry_is_seen_takes_from_what_is_held
    expire then confirm                     test_reserve: test_commit_after_expiry_is_recorded_and_late
    confirm twice                           test_reserve: test_p1_commit_twice
    release against confirm                 test_reserve: test_release_after_commit_and_the_other_ends
    each of these with each, at once        test_ported_races: test_locks_race
    receipt evicted                         - reservations are rows; what is gone: RESERVATION_NOT_FOUND
    more than 24 h refused                  e2e/test_bad_input_quota: ..._of_the_wrong_shape[more than a day]
    plan change during a hold               test_reserve: test_a_plan_change_meanwhile_keeps_what_is_held

Service Control, quota_aggregator_impl_test.cc, of the server's side
    first request, second request           test_buckets
    aggregate while one is in flight, refresh
                                            test_ported_races: test_aggregated_marks_count_once_however_they_arrive
    nothing aggregated: dropped, not flushed    test_leases: test_one_that_was_spent_and_settled_ends_without_a_trace;
                                            test_ported_races: test_a_report_of_nothing_new_moves_nothing
    NORMAL: all metrics or none             test_relay[three that end at different times]; test_consume:
                                            test_p3_several_events_are_one_unit
    BEST_EFFORT: what is left               test_reserve: test_partial_holds_what_is_left_of_each
    CHECK_ONLY                              test_limitador_checks_and_reports
    one operation id counts once            test_consume: test_p1_a_repeat_is_the_first_decision_and_counts_once
    exceeded, then cached as such           test_view_lost and unit/app: remembered refusals
    no false denial after a reset (ESPv2 issue 499)   test_no_refusal_outlives_its_window
    other service, no operation             e2e/test_bad_input_keys: test_p9_a_foreign_key_sees_nothing
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from typing import NamedTuple

import pytest

from metergate.domain.answer import Answer
from metergate.domain.catalog import Catalog, Plan
from metergate.domain.decision import Decision
from metergate.domain.meter import Meter
from metergate.domain.period import HOUR, MINUTE, Period
from metergate.domain.quota import Kind, Limit, Policy
from metergate.domain.work import Want
from tests.integration.conftest import Start
from tests.integration.processes import PRINCIPAL, Process, event
from tests.integration.quota_clock import StepClock

CALLS = Meter("calls", "calls", dimensions=("region", "app"))
TOKENS = Meter("tokens", "llm", value="tokens")
MONTH = Limit("month", "calls", Decimal(10))
_ids = itertools.count(1)


async def apply(one: Process, *limits: Limit) -> None:
    await one.apply(Catalog((CALLS, TOKENS), (Plan("default", limits),)))


async def begin(one: Process, *limits: Limit) -> None:
    await apply(one, *limits)
    await one.customer("acme")


async def use(one: Process, amount: str = "", **labels: str) -> Decision:
    """Consumes; the decision."""
    answer = await one.consume(event(f"e{next(_ids)}", amount=amount, labels=labels))
    assert answer.decision is not None
    return answer.decision


def left(decision: Decision, name: str = "") -> int | None:
    """What is left of the limit of that name, or of the first one, in whole units."""
    state = next(one for one in decision.states if not name or one.limit.name == name)
    return None if state.remaining is None else int(state.remaining)


@pytest.fixture
async def clock(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> StepClock:
    """The clock of the test's database and processes."""
    made = StepClock(postgres_url, monkeypatch)
    await made.install()
    return made


@pytest.fixture
async def one(clock: StepClock, start: Start) -> Process:
    """A process at a minute after the beginning of a stretch of ten hours, so that no window ends by itself."""
    process = await start()
    await clock.step(10 * HOUR - await process.now() % (10 * HOUR) + MINUTE)
    return process


# --- buckets ------------------------------------------------------------------------------------------------------


class Hit(NamedTuple):
    """One step: so much is consumed (0 = only asked), whether that is allowed, what is left, and how long until the
    next step. A `fact` is recorded and asks nobody."""

    amount: int
    allowed: bool
    left: int
    wait: float = 0  # hours
    fact: bool = False


FIXED = Limit("bucket", "calls", Decimal(2), kind=Kind.FIXED, length=10 * HOUR)
HOURLY = Limit("bucket", "calls", Decimal(60), Period.HOUR)
LEAKY = Limit("bucket", "calls", Decimal(10), kind=Kind.RATE, length=30 * HOUR)  # one unit in three hours
LARGE = Limit("bucket", "calls", Decimal(2000), kind=Kind.RATE, length=1000 * HOUR)

BUCKETS: dict[str, tuple[Limit, list[Hit]]] = {
    "a bucket of fixed length": (FIXED, [
        Hit(1, True, 1), Hit(1, True, 0), Hit(1, False, 0, 10), Hit(1, True, 1),
    ]),
    "a bucket of a calendar hour": (HOURLY, [
        Hit(1, True, 59), Hit(1, True, 58), Hit(58, True, 0), Hit(1, False, 0, 1), Hit(0, True, 60),
    ]),
    "facts drain the bucket": (MONTH, [
        Hit(0, True, 10), Hit(1, True, 9), Hit(100, True, 0, fact=True), Hit(0, True, 0), Hit(1, False, 0),
    ]),
    "more than available": (replace(MONTH, max=Decimal(2000)), [
        Hit(1000, True, 1000), Hit(1500, False, 1000), Hit(500, True, 500), Hit(400, True, 100), Hit(100, True, 0),
        Hit(1, False, 0),
    ]),
    "six and six of ten": (MONTH, [Hit(6, True, 4), Hit(6, False, 4), Hit(4, True, 0)]),
    "a leaky bucket": (LEAKY, [
        Hit(1, True, 9, 1), Hit(1, True, 8, 1), Hit(1, True, 7, 1.5), Hit(0, True, 8, 3), Hit(0, True, 9),
        Hit(9, True, 0), Hit(1, False, 0, 3), Hit(0, True, 1, 60), Hit(0, True, 10, 60), Hit(10, True, 0, 29),
        Hit(9, True, 0, 3), Hit(1, True, 0),
    ]),
    "a leaky bucket with a burst": (replace(LEAKY, burst=Decimal(20)), [
        Hit(1, True, 19, 1), Hit(1, True, 18, 1), Hit(1, True, 17, 1.5), Hit(0, True, 18, 3), Hit(0, True, 19),
        Hit(19, True, 0), Hit(1, False, 0, 3), Hit(0, True, 1, 60), Hit(0, True, 20),
    ]),
    "more than is available of a leaky bucket": (LARGE, [
        Hit(1000, True, 1000), Hit(1500, False, 1000), Hit(500, True, 500), Hit(400, True, 100), Hit(100, True, 0),
        Hit(1, False, 0),
    ]),
    "a leaky bucket of many units": (LARGE, [Hit(1, True, 1999), Hit(100, True, 1899)]),
}  # fmt: skip


@pytest.mark.parametrize("what", BUCKETS)
async def test_buckets(one: Process, clock: StepClock, what: str) -> None:
    limit, hits = BUCKETS[what]
    await begin(one, limit)
    for number, hit in enumerate(hits):
        if hit.fact:
            await one.add(event(f"e{next(_ids)}", amount=hit.amount))
        decision = await one.check("calls", "0") if hit.fact or not hit.amount else await use(one, str(hit.amount))
        assert (decision.allowed, left(decision)) == (hit.allowed, hit.left), f"step {number}"
        if hit.wait:
            await clock.step(int(hit.wait * HOUR))
    assert await one.differences() == []


async def test_units_of_one_call_are_each_on_their_own(one: Process) -> None:
    await begin(one, replace(MONTH, max=Decimal(2)), Limit("tokens", "tokens", Decimal(10)))
    units = [[event("1")], [event("2", "llm", values={"tokens": 5})], [event("3", amount=2)], [event("4")]]
    done = await one.consumes.consume(PRINCIPAL, [tuple(unit) for unit in units])
    assert [isinstance(answer, Answer) and answer.allowed for answer in done.answers] == [True, True, False, True]
    assert (await one.used("calls"), await one.used("tokens")) == ([2], [5])


async def test_a_change_of_the_limit_keeps_what_was_used(one: Process) -> None:
    await begin(one, replace(MONTH, max=Decimal(100)))
    for most, expected in ((100, [99, 98]), (10, [7, 6, 5]), (200, [194]), (6, [0]), (7, [0, 0])):
        await apply(one, replace(MONTH, max=Decimal(most)))
        assert [left(await use(one)) for _ in expected] == expected
    assert await one.used("calls") == [7]


async def test_no_refusal_outlives_its_window(one: Process, clock: StepClock) -> None:
    for limit in (FIXED, HOURLY, replace(LEAKY, max=Decimal(1), length=HOUR)):
        await apply(one, limit)
        await one.customer(customer := f"c{next(_ids)}")
        most = str(limit.max)
        assert (await one.consume(event(f"e{next(_ids)}", subject=customer, amount=most))).allowed
        for _ in range(3):
            assert not (await one.consume(event(f"e{next(_ids)}", subject=customer, amount=most))).allowed
        await clock.step(limit.length or HOUR)
        assert (await one.consume(event(f"e{next(_ids)}", subject=customer, amount=most))).allowed


# --- limitador ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("most", "amount", "fitting"), [
    pytest.param(3, 1, 3, id="one by one"),
    pytest.param(10, 5, 2, id="five at a time"),
    pytest.param(10, 11, 0, id="more than the limit at once"),
])  # fmt: skip
async def test_limitador_checks_and_reports(one: Process, most: int, amount: int, fitting: int) -> None:
    await begin(one, replace(MONTH, max=Decimal(most)))
    for number in range(fitting):
        for _ in range(3):  # asking changes nothing
            assert (await one.check("calls", str(amount))).allowed
        await one.add(event(str(number), amount=amount))
    assert not (await one.check("calls", str(amount))).allowed
    await one.add(event("over", amount=amount))  # what happened, happened
    assert await one.used("calls") == [amount * (fitting + 1)]


async def test_limitador_limits_by_what_they_match(one: Process) -> None:
    await begin(one)
    assert (await use(one, "1000")).states == []
    eu = Limit("eu", "calls", Decimal(2), labels=(("region", "eu"),), per_labels=("app",))
    us = Limit("us", "calls", Decimal(3), labels=(("region", "us"),), per_labels=("app",))
    await apply(one, eu, us)
    for region, fitting in (("eu", 2), ("us", 3)):
        for app in ("a", "b"):
            assert [(await use(one, region=region, app=app)).allowed for _ in range(4)] == [
                number < fitting for number in range(4)
            ]
    assert (await use(one, region="asia")).states == []
    await apply(one, eu, us, Limit("all", "calls", Decimal(1012)))
    assert [(await use(one, region="asia")).allowed for _ in range(2)] == [True, False]


async def test_limitador_labels_of_no_limit_make_no_difference(one: Process) -> None:
    await begin(one, replace(MONTH, per_labels=("app",)))
    for number in range(10):
        assert (await use(one, app="1", region=f"r{number}", anything=str(number))).allowed
    assert not (await use(one, app="1")).allowed
    assert (await use(one, app="2")).allowed
    assert (await use(one)).allowed  # no value is a value too


async def test_limitador_check_and_update_counts_down(one: Process) -> None:
    await begin(one, replace(MONTH, max=Decimal(3)))
    decisions = [await use(one) for _ in range(5)]
    assert [(decision.allowed, left(decision)) for decision in decisions] == [
        (True, 2), (True, 1), (True, 0), (False, 0), (False, 0),
    ]  # fmt: skip


async def test_limitador_a_deleted_limit_has_no_effect(one: Process) -> None:
    tokens = Limit("tokens", "tokens", Decimal(10))
    await begin(one, replace(MONTH, max=Decimal(1)), tokens)
    await use(one)
    assert not (await use(one)).allowed
    await apply(one, tokens)
    assert (await use(one)).states == []
    assert [state.limit.name for state in (await one.limits.list(PRINCIPAL, "acme", [])).states] == ["tokens"]
    assert not (await one.consume(event("t", "llm", values={"tokens": 11}))).allowed
    # Back again, it counts what happened meanwhile: counters are sums of the ledger.
    await apply(one, replace(MONTH, max=Decimal(3)), tokens)
    assert [(await use(one)).allowed for _ in range(2)] == [True, False]
    assert await one.differences() == []


async def test_limitador_what_is_configured_again_keeps_its_counters(one: Process) -> None:
    gone, kept = replace(MONTH, name="gone", period=Period.YEAR), replace(MONTH, name="kept")
    await begin(one, gone, kept)
    await use(one, "4")
    new = replace(MONTH, name="new", period=Period.DAY, max=Decimal(7))
    await apply(one, kept, new)
    decision = await use(one, "1")
    assert {state.limit.name: left(decision, state.limit.name) for state in decision.states} == {"kept": 5, "new": 2}


async def test_limitador_counters_are_listed_until_their_window_ends(one: Process, clock: StepClock) -> None:
    await begin(one, replace(HOURLY, per_labels=("app",)))

    async def listed() -> dict[str, int | None]:
        states = (await one.limits.list(PRINCIPAL, "acme", [])).states
        return {state.filter: None if state.remaining is None else int(state.remaining) for state in states}

    assert await listed() == {}
    await use(one, "1", app="1")
    await use(one, "2", app="2")
    assert await listed() == {'{"app":"1"}': 59, '{"app":"2"}': 58}
    await clock.step(HOUR)
    assert await listed() == {}
    await use(one, "60", app="2")
    assert await listed() == {'{"app":"2"}': 0}


# --- relay --------------------------------------------------------------------------------------------------------


ALL = Limit("all", "calls", None, Period.HOUR)
RELAY: dict[str, tuple[Sequence[Limit], int, list[str]]] = {
    # The limits, the amount of each of ten units, and which limit refuses each ("" = it is admitted).
    "nothing at all, and all of it": ((replace(MONTH, max=Decimal(0)), ALL), 1, ["month"] * 10),
    "one, and all of it": ((ALL, replace(MONTH, max=Decimal(1))), 1, ["", *["month"] * 9]),
    "a hundred at a time": ((replace(MONTH, max=Decimal(500)),), 100, [*[""] * 5, *["month"] * 5]),
    "three that end at different times": (
        (
            replace(MONTH, name="day", period=Period.DAY, max=Decimal(12)),
            replace(MONTH, name="soft", policy=Policy.SOFT, max=Decimal(1)),
            replace(MONTH, name="hour", period=Period.HOUR, max=Decimal(7)),
        ),
        2, [*[""] * 3, *["hour"] * 7],
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", RELAY)
async def test_relay(one: Process, what: str) -> None:
    limits, amount, expected = RELAY[what]
    await begin(one, *limits)
    decisions = [await use(one, str(amount)) for _ in range(10)]
    assert [one.binding.limit.name if one.binding else "" for one in decisions] == expected
    used = amount * expected.count("")
    for decision in (decisions[-1], await one.check("calls", "0")):
        assert {state.figures.used for state in decision.states} == {used}  # in each limit, or in none
    assert await one.fetch("SELECT count(*) FROM usage_event") == [(expected.count(""),)]
    assert await one.differences() == []


async def test_relay_what_is_given_back_can_be_used_again(one: Process) -> None:
    await begin(one, MONTH, replace(MONTH, name="day", period=Period.DAY))
    held = (await one.reserve(Want("calls", Decimal(10), {}))).hold
    assert held is not None
    assert not (await use(one)).allowed
    await one.reservations.commit(PRINCIPAL, held.id, [event("less", amount=4, settles=held.id)])
    other = (await one.reserve(Want("calls", Decimal(6), {}))).hold
    assert other is not None
    await one.reservations.release(PRINCIPAL, other.id)
    assert (await use(one, "6")).allowed
    assert not (await use(one)).allowed
    assert await one.differences() == []
