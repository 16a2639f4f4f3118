"""Limits of what grants hold, and grants themselves, in figures that can be followed by hand."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from metergate.domain import period
from metergate.domain.catalog import Catalog, Plan
from metergate.domain.decision import AnsweredBy, Ask, blind, decide, look_at
from metergate.domain.errors import MetergateError
from metergate.domain.grant import Account, Grant, Move, MoveKind, State, advance, settle, void
from metergate.domain.granting import touched, with_granted
from metergate.domain.meter import Meter
from metergate.domain.override import Override, overridden
from metergate.domain.period import DAY, LIFETIME, Period
from metergate.domain.posting import Head
from metergate.domain.quota import CounterKey, Figures, Kind, Limit, Policy, Scope, WhenViewGone, fits
from metergate.domain.work import DueGrants, Reserve, Want

NOW = 20_000 * DAY
HARD = Limit("m/grants", "m", None, kind=Kind.GRANTS)
SOFT = replace(HARD, policy=Policy.SOFT)


def figures(used: str, granted: str, **more: str) -> Figures:
    return Figures(Decimal(used), granted=Decimal(granted), **{name: Decimal(value) for name, value in more.items()})


def ask(limit: Limit, amount: str, found: Figures) -> Ask:
    return Ask(limit, LIFETIME, "", Decimal(amount), found)


def test_what_grants_hold_is_the_most() -> None:
    assert HARD.windows("UTC", NOW) == (LIFETIME,)
    assert (HARD.window_name, HARD.rule) == ("grants", "what its grants hold")
    held = figures("4", "10", reserved="2")
    assert fits(HARD, held, Decimal(4), NOW)
    assert not fits(HARD, held, Decimal("4.1"), NOW)
    assert fits(SOFT, held, Decimal(5), NOW)
    assert not fits(HARD, Figures(), Decimal(1), NOW)
    state = look_at(ask(HARD, "5", held), NOW)
    assert (state.fits, state.remaining, state.would_fit, state.overrun) == (False, 4, 4, 0)
    assert (state.resets_at, state.frees_at) == (None, None)
    assert look_at(ask(SOFT, "5", figures("12", "10")), NOW).overrun == 2


def test_grants_bind_before_what_frees_by_itself() -> None:
    day = Limit("m/day", "m", Decimal(1), Period.DAY)
    asks = [Ask(day, period.window_at(Period.DAY, "UTC", NOW), "", Decimal(2), Figures()), ask(HARD, "2", Figures())]
    decision = decide(asks, "default", NOW, NOW, AnsweredBy.LEDGER)
    assert decision.binding is not None
    assert (decision.binding.limit, decision.retry_after) == (HARD, None)


def test_without_the_view_grants_refuse_as_their_limit_says() -> None:
    for limit, allows in (
        (replace(HARD, when_view_gone=WhenViewGone.DENY), False),
        (replace(HARD, when_view_gone=WhenViewGone.ALLOW), True),
        (replace(SOFT, when_view_gone=WhenViewGone.DENY), True),
    ):
        assert blind(ask(limit, "1", Figures())).fits is allows


def test_an_override_is_no_grant() -> None:
    override = Override(HARD.name, Decimal(5), 0)
    assert overridden([HARD], [override], NOW) == (HARD,)


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"max": Decimal(1)}, "max"),
        ({"scope": Scope.SUBJECT}, "scope"),
        ({"labels": (("region", "eu"),)}, "scope"),
        ({"per_labels": ("region",)}, "scope"),
        ({"policy": Policy.GRACE, "grace": Decimal(1)}, "policy"),
        ({"thresholds": (80,)}, "thresholds"),
        ({"length": DAY}, "length"),
        ({"meter": "shrinks", "policy": Policy.SOFT}, "kind"),
    ],
)
def test_p12_what_a_limit_of_grants_cannot_be(changed: dict[str, Any], field: str) -> None:
    meters = (Meter("m", "m", dimensions=("region",)), Meter("shrinks", "s", allow_negative=True))
    Catalog(meters, (Plan("default", (HARD, replace(SOFT, name="soft"))),)).check()
    with pytest.raises(MetergateError) as error:
        Catalog(meters, (Plan("default", (replace(HARD, **changed),)),)).check()
    assert [one.field for one in error.value.violations] == [f"plans[0].limits[0].{field}"]


def grant(id: str, amount: str, **fields: Any) -> Grant:
    return Grant(id, "c", "m", Decimal(amount), fields.pop("start", NOW), fields.pop("end", None), **fields)


def test_a_life_by_hand() -> None:
    first = grant("a", "10", end=NOW + DAY, recurs=Period.DAY, anchor=NOW, rollover_max=Decimal(3))
    account, moves = advance(Account(None, (first,)), Decimal(7), "UTC", NOW, 1)
    assert moves == [Move(MoveKind.BASE, "", Decimal(7)), Move(MoveKind.START, "a", Decimal(10))]
    assert (account.granted, account.left) == (17, 10)
    account, moves = settle(account, Decimal(12))
    assert moves == [Move(MoveKind.BURN, "a", Decimal(5))]
    assert settle(account, Decimal(12)) == (account, [])
    account, moves = advance(account, Decimal(12), "UTC", NOW + DAY, 2)
    assert moves == [
        Move(MoveKind.EXPIRE, "a", Decimal(5)),
        Move(MoveKind.START, "a.2", Decimal(10)),
        Move(MoveKind.ROLL, "a.2", Decimal(3)),
    ]
    assert (account.granted, account.left) == (25, 13)
    old, new = account.grants
    assert (old.state, old.left, new.state, new.end, new.seq) == (State.ENDED, 0, State.ACTIVE, NOW + 2 * DAY, 2)
    account, moves = void(account, new)
    assert moves == [Move(MoveKind.VOID, "a.2", Decimal(13))]
    assert (account.granted, account.left) == (12, 0)
    assert advance(account, Decimal(12), "UTC", NOW + 9 * DAY, 3) == (account, [])


def test_ends_are_seen_before_starts_at_one_instant_and_debts_are_paid_between() -> None:
    ends = grant("a", "5", end=NOW + DAY, state=State.ACTIVE)
    begins = grant("b", "5", start=NOW + DAY)
    account, moves = advance(Account(Decimal(5), (ends, begins)), Decimal(7), "UTC", NOW + DAY, 1)
    assert [(move.kind, move.grant, move.amount) for move in moves] == [
        ("burn", "a", 5), ("start", "b", 5), ("burn", "b", 2),
    ]  # fmt: skip
    assert account.left == 3


def test_a_month_has_its_days_in_the_customers_zone() -> None:
    start = period.from_datetime(period.EPOCH.replace(year=2026, month=1, day=31))
    one = grant("a", "1", start=start, end=start + 28 * DAY, recurs=Period.MONTH, anchor=start)
    account, _ = advance(Account(None, (one,)), Decimal(0), "UTC", start + 40 * DAY, 1)
    assert [period.to_text(held.end or 0)[:10] for held in account.grants] == ["2026-02-28", "2026-03-31"]


def test_only_commits_that_grants_concern_ask_for_them() -> None:
    work = Reserve("r", "c", "c", (Want("m", Decimal(1), {}), Want("n", Decimal(1), {})), 1, False, b"")
    plain = Catalog((Meter("m", "m"), Meter("n", "n")), (Plan("default", (Limit("m", "m", None),)),))
    heads = {"c": Head("c", 0, "", "UTC", 0, pool="p"), "d": Head("d", 0, "", "UTC", 0)}
    assert touched([work], heads, {}, plain) == (set(), set(), set())
    granted = replace(plain, plans=(Plan("default"), Plan("other", (HARD,))))
    pairs, named, ids = touched([work, DueGrants("d", "n")], heads, {}, granted)
    assert (pairs, named, ids) == ({("c", "m"), ("p", "m"), ("d", "n")}, {("d", "n")}, set())


def test_granted_stands_in_the_one_counter_of_all_time() -> None:
    key = CounterKey("c", "m", "", "", LIFETIME.start, LIFETIME.end)
    others = [key._replace(subject="s"), key._replace(filter='{"a":"b"}'), key._replace(start=1)]
    counters = with_granted({("c", "m"): Account(Decimal(9))}, dict.fromkeys([key, *others], Figures(Decimal(1))))
    assert counters.pop(key) == figures("1", "9")
    assert set(counters.values()) == {Figures(Decimal(1))}
