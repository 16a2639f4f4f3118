"""Two server processes on one database and one Redis: what one changes, the other knows, and no count is lost."""

from __future__ import annotations

import asyncio
import itertools
import secrets
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from metergate import wiring
from metergate.settings import Settings
from metergate.v1.quota_pb2 import CheckQuotaRequest
from metergate.v1.usage_event_pb2 import OUTCOME_ACCEPTED, OUTCOME_DUPLICATE
from tests.databases import Databases
from tests.e2e.calls import Caller, caller, eventually, total, used
from tests.server import ServerProcess

Pair = tuple[Caller, Caller]


@pytest.fixture(scope="module")
def servers(
    databases: Databases, redis_server: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[ServerProcess, ServerProcess, str, str]]:
    """Two production servers over one database."""
    url = databases.create()
    both = [ServerProcess(url, redis_server, tmp_path_factory.mktemp("pair"), "production") for _ in range(2)]
    for one in both:
        one.start()
    yield both[0], both[1], url, redis_server
    for one in both:
        one.end()
    databases.drop(url)


@pytest.fixture
async def pair(servers: tuple[ServerProcess, ServerProcess, str, str]) -> AsyncIterator[Pair]:
    """A caller of each server, for one tenant of the test's own."""
    first, second, postgres_url, redis_url = servers
    settings = Settings(postgres_url=postgres_url, redis_url=redis_url)
    key = await wiring.create_key(settings, f"t-{secrets.token_hex(6)}", "test")
    async with caller(first.grpc_url, key) as a, caller(second.grpc_url, key) as b:
        yield a, b


def _limit(name: str, period: str, **fields: Any) -> dict[str, Any]:
    return {"name": name, "meter": "calls", "max": "1000000", "period": period, **fields}


class _Recording:
    """Clients that record through both servers until they are told to stop."""

    def __init__(self, pair: Pair) -> None:
        self.sent = 0
        self._stop = False
        self._numbers = itertools.count()
        self._tasks = [asyncio.create_task(self._send(api, kind)) for api in pair for kind in (1, 1, 1, 25)]

    async def _send(self, api: Caller, batch: int) -> None:
        while not self._stop:
            events = [
                {
                    "id": f"e{next(self._numbers)}", "type": "calls", "subject": "acme", "amount": "3",
                    "labels": {"region": ("eu", "us")[number % 2]},
                }
                for number in range(batch)
            ]  # fmt: skip
            receipts = (await api("BatchRecordUsage", events=events)).receipts
            assert {one.outcome for one in receipts} == {OUTCOME_ACCEPTED}
            self.sent += batch

    async def end(self) -> None:
        self._stop = True
        await asyncio.gather(*self._tasks)


async def _check_all(api: Caller, stop: asyncio.Event) -> None:
    """Keeps asking; figures never fall, whoever changes the catalog meanwhile."""
    last = 0
    while not stop.is_set():
        answer = await api.answer("CheckQuota", _ask("eu"))
        if answer.response is not None:
            figures = {one.name: int(one.used) for one in answer.response.decision.limits}
            if "month" in figures:
                assert figures["month"] >= last, figures
                last = figures["month"]
        await asyncio.sleep(0.005)


def _ask(region: str) -> bytes:
    amounts = [{"meter": "calls", "labels": {"region": region}}]
    return CheckQuotaRequest(subject="acme", amounts=amounts).SerializeToString()


async def test_p1_p4_a_meter_and_limits_added_while_clients_record(pair: Pair) -> None:
    a, b = pair
    await a("CreateCustomer", customer={"id": "acme"})
    recording = _Recording(pair)
    stop = asyncio.Event()
    checks = [asyncio.create_task(_check_all(api, stop)) for api in pair]
    month, year = _limit("month", "PERIOD_MONTH"), _limit("year", "PERIOD_YEAR")
    regional = _limit("regional", "PERIOD_YEAR", per_labels=["region"])
    own = _limit("own", "PERIOD_YEAR", scope="SCOPE_SUBJECT")
    bare, full = {"name": "calls"}, {"name": "calls", "dimensions": ["region"]}
    await asyncio.sleep(0.3)
    for api, meter, limits in (
        (b, bare, []),  # the meter comes
        (a, bare, [month]),  # a limit comes
        (b, full, [month, regional]),  # a dimension, and limits per value of it: all is rolled up anew
        (a, full, [month, year, regional, own]),
    ):
        catalog = {"meters": [meter], "plans": [{"name": "default", "limits": limits}]}
        await api("ApplyCatalog", catalog=catalog)
        await asyncio.sleep(0.25)
    await recording.end()
    stop.set()
    await asyncio.gather(*checks)

    expected = str(3 * recording.sent)
    assert recording.sent > 100
    for api in pair:
        assert await total(api, "calls") == expected
        by_region = await api("GetUsageSummary", customer="acme", meters=["calls"], group_by=["region"])
        assert sum(int(one.total) for one in by_region.series) == 3 * recording.sent
        assert sum(one.event_count for one in by_region.series) == recording.sent
        of_region = {one.group["region"]: one.total for one in by_region.series}
        for region in ("eu", "us"):
            decision = (await api.answer("CheckQuota", _ask(region))).response.decision
            figures = {one.name: one.used for one in decision.limits}
            assert figures == {"month": expected, "year": expected, "own": expected, "regional": of_region[region]}
        listed = (await api("ListLimits", subject="acme")).limits
        assert {one.used for one in listed if one.name != "regional"} == {expected}


async def test_a_plan_takes_effect_in_the_other_process_within_a_second(pair: Pair) -> None:
    a, b = pair
    plans = [
        {"name": name, "limits": [{"name": "calls", "meter": "calls", "max": most}]}
        for name, most in (("default", "10"), ("pro", "50"))
    ]
    await a("ApplyCatalog", catalog={"meters": [{"name": "calls"}], "plans": plans})
    await a("CreateCustomer", customer={"id": "acme"})
    await a("RecordUsage", event={"id": "e", "type": "calls", "subject": "acme", "amount": "8"})
    ask = {"subject": "acme", "amounts": [{"meter": "calls", "amount": "5"}]}

    async def state(api: Caller) -> tuple[str, bool, str, str]:
        decision = (await api("CheckQuota", **ask)).decision
        return decision.plan, decision.allowed, decision.limits[0].max, decision.limits[0].used

    assert [await state(api) for api in pair] == [("default", False, "10", "8")] * 2
    for plan, expected in (("pro", ("pro", True, "50", "8")), ("", ("default", False, "10", "8"))):
        await a("AssignPlan", customer="acme", plan=plan)
        assert await state(a) == expected  # at the next check

        async def known(expected: tuple[str, bool, str, str] = expected) -> bool:
            return await state(b) == expected

        await eventually(known, within=1)


async def test_a_limit_takes_effect_in_the_other_process_within_a_second(pair: Pair) -> None:
    a, b = pair
    await a("SetLimit", limit={"meter": "calls", "max": "10"})
    await a("CreateCustomer", customer={"id": "acme"})
    await b("RecordUsage", event={"id": "e", "type": "calls", "subject": "acme", "amount": "8"})
    for most in ("7", "100"):
        await a("SetLimit", limit={"meter": "calls", "max": most})

        async def known(most: str = most) -> bool:
            [limit] = (await b("CheckQuota", subject="acme", amounts=[{"meter": "calls"}])).decision.limits
            return (limit.max, limit.used) == (most, "8")

        await eventually(known, within=1)


async def test_p5_a_write_through_one_is_seen_by_a_check_through_the_other(pair: Pair) -> None:
    a, b = pair
    await a("SetLimit", limit={"meter": "calls", "max": "1000"})
    await a("CreateCustomer", customer={"id": "acme"})
    for number in range(1, 41):
        writer, reader = (a, b) if number % 2 else (b, a)
        token = (await writer("RecordUsage", event={"id": f"e{number}", "type": "calls", "subject": "acme"})).token
        assert await used(reader, "calls", token=token) == str(number)


async def test_checks_settle_on_the_truth_when_writes_end(pair: Pair) -> None:
    """Reads race with writes in both processes; afterwards a check without a token is right in both."""
    a, _ = pair
    await a("SetLimit", limit={"meter": "calls", "max": "1000"})
    for name in ("acme", "beta"):
        await a("CreateCustomer", customer={"id": name})

    async def write(api: Caller, who: str, count: int) -> None:
        for number in range(count):
            await api("RecordUsage", event={"id": f"{id(api)}-{who}-{number}", "type": "calls", "subject": who})

    writing = [asyncio.create_task(write(api, who, 60)) for api in pair for who in ("acme", "beta")]
    while not all(task.done() for task in writing):
        await asyncio.gather(*(used(api, "calls", who) for api in pair for who in ("acme", "beta") for _ in range(3)))
    await asyncio.gather(*writing)

    async def right() -> bool:
        return {await used(api, "calls", who) for api in pair for who in ("acme", "beta")} == {"120"}

    await eventually(right, within=0.5)


async def test_p1_what_waited_is_counted_once_when_several_processes_adopt_it(pair: Pair) -> None:
    """Both record events of an unknown subject and an unknown type, and both make the subject and the meter."""
    a, b = pair
    catalog = {"meters": [{"name": "calls"}], "plans": [{"name": "default", "limits": [_limit("y", "PERIOD_YEAR")]}]}
    sent = 0

    async def send(api: Caller, name: str) -> None:
        nonlocal sent
        for number in range(25):
            events = [{"id": f"{name}-{number}-{n}", "type": "calls", "subject": "acme"} for n in range(4)]
            again = events if number % 5 else events * 2
            receipts = (await api("BatchRecordUsage", events=again)).receipts
            assert [one.outcome for one in receipts[:4]] == [OUTCOME_ACCEPTED] * 4
            assert {one.outcome for one in receipts[4:]} <= {OUTCOME_DUPLICATE}
            sent += 4

    async def make(api: Caller, method: str, after: float, **request: Any) -> Any:
        await asyncio.sleep(after)
        return await api(method, **request)

    customer = {"id": "acme"}
    results = await asyncio.gather(
        *(send(api, f"{which}-{n}") for n in range(2) for which, api in (("a", a), ("b", b))),
        *(make(api, "CreateCustomer", 0.05, customer=customer) for api in pair),
        *(make(api, "ApplyCatalog", 0.1, catalog=catalog) for api in pair),
        *(make(api, "CreateCustomer", 0.12, customer=customer) for api in pair),
    )
    assert sum(one.adopted_events for one in results if hasattr(one, "adopted_events")) <= sent
    for api in pair:
        assert await total(api, "calls") == str(sent)
        assert await used(api, "calls") == str(sent)
        assert not (await api("ListUsageEvents", unmatched_only=True)).events
        listed = (await api("ListUsageEvents", customer="acme", page_size=1_000)).events
        assert len({one.event.id for one in listed}) == len(listed) == sent


async def test_subjects_named_in_both_processes_at_once_are_one(pair: Pair) -> None:
    a, b = pair
    subject = {"id": "key", "customer": "acme"}
    await a("CreateCustomer", customer={"id": "acme"})
    made = await asyncio.gather(*(api("CreateSubject", subject=subject) for _ in range(4) for api in pair))
    assert {one.subject.customer for one in made} == {"acme"}
    listed = (await b("ListSubjects", customer="acme")).subjects
    assert [one.id for one in listed] == ["acme", "key"]


async def test_summaries_are_the_same_from_both(pair: Pair) -> None:
    a, b = pair
    await a("ApplyCatalog", catalog={"meters": [{"name": "calls"}]})
    await a("CreateCustomer", customer={"id": "acme"})
    await b("RecordUsage", event={"id": "e", "type": "calls", "subject": "acme"})
    assert [await total(api, "calls") for api in pair] == ["1", "1"]
