"""The lease holder of both clients over real gRPC, against a server whose answers get lost."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import grpc
import grpc.aio
import pytest
from clients.python.tests.fakes import FakeServer, fake_server
from clients.python.tests.lease_book import LeaseBook, halves

from metergate_client import AsyncMetergate, EventForm, LeasePace, Metergate, MetergateConfigError
from metergate_client.leases.model import SECOND
from metergate_client.leases.units import ONE

PATIENT = 20.0  # seconds: a busy machine's worst, not what it takes

HOLDER = """
import sys, time
from metergate_client import Metergate
url, journal, amount = sys.argv[1:]
leases = Metergate(url, "mg_test").lease_holder("worker-1", patience=20, journal=journal)
print(sum(leases.allow("api_calls", subject="acme") for _ in range(int(amount))), flush=True)
time.sleep(60)
"""


@pytest.fixture
def fake() -> Iterator[FakeServer]:
    with fake_server() as running:
        yield running


@pytest.fixture
def mg(fake: FakeServer) -> Iterator[Metergate]:
    with Metergate(fake.url, "mg_test") as client:
        yield client


def _used(fake: FakeServer) -> int:
    assert not fake.quota.book.conflicts
    return fake.quota.book.used // ONE


def test_p2_every_unit_of_a_limit_is_allowed_and_not_one_more(fake: FakeServer, mg: Metergate) -> None:
    fake.quota.book = LeaseBook(100 * ONE, slice_of=halves)
    with mg.lease_holder("worker-1", patience=PATIENT) as leases:
        allowed = [leases.allow("api_calls", subject="acme") for _ in range(130)]
    assert allowed == [True] * 100 + [False] * 30
    assert (_used(fake), fake.quota.book.free) == (100, 0)


def test_p2_threads_share_a_holder_and_pass_nothing(fake: FakeServer, mg: Metergate) -> None:
    fake.quota.book = LeaseBook(5_000 * ONE, slice_of=halves)
    counts: list[int] = []
    with mg.lease_holder("worker-1", patience=PATIENT) as leases:

        def spend() -> None:
            counts.append(sum(leases.allow("api_calls", subject="acme") for _ in range(1_500)))

        threads = [threading.Thread(target=spend) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sum(counts) == 5_000
    assert _used(fake) == 5_000


async def test_p2_every_unit_of_a_limit_is_allowed_and_not_one_more_in_asyncio(
    fake: FakeServer, tmp_path: Path
) -> None:
    fake.quota.book = LeaseBook(100 * ONE, slice_of=halves)
    async with AsyncMetergate(fake.url, "mg_test") as mg:
        async with mg.lease_holder("worker-1", patience=PATIENT, journal=tmp_path / "journal") as leases:
            allowed = await asyncio.gather(*(leases.allow("api_calls", subject="acme") for _ in range(130)))
        assert sum(allowed) == 100
    assert (_used(fake), fake.quota.book.free) == (100, 0)


def test_a_thousand_decisions_take_a_handful_of_calls(fake: FakeServer, mg: Metergate) -> None:
    fake.quota.book = LeaseBook(10**9 * ONE)
    with mg.lease_holder("worker-1", patience=PATIENT) as leases:
        assert all(leases.allow("api_calls", subject="acme") for _ in range(20_000))
        assert leases.requests <= 10
    assert _used(fake) == 20_000


def test_closing_settles_and_gives_back_what_was_not_spent(fake: FakeServer, mg: Metergate, tmp_path: Path) -> None:
    leases = mg.lease_holder("worker-1", patience=PATIENT, journal=tmp_path / "journal")
    assert leases.allow("api_calls", 3, subject="acme", labels={"region": "eu"})
    assert leases.left > 0
    assert leases.close()
    assert not leases.allow("api_calls", subject="acme", labels={"region": "eu"})
    assert (_used(fake), fake.quota.book.free) == (3, 97 * ONE)
    (event,) = fake.ledger.values()
    assert (event.type, event.amount, event.subject, dict(event.labels)) == ("api_calls", "3", "acme", {"region": "eu"})
    assert (event.settles, event.id) == ("l-1", "l-1/1")
    assert leases.close(), "may be repeated"


def test_p1_lost_answers_change_nothing(fake: FakeServer, mg: Metergate) -> None:
    fake.quota.book = LeaseBook(1_000 * ONE, slice_of=lambda free: 50 * ONE)
    fake.lost = 3
    with mg.lease_holder("worker-1", patience=PATIENT) as leases:
        assert sum(leases.allow("api_calls", subject="acme") for _ in range(400)) == 400
        fake.lost = 3
    assert (_used(fake), fake.quota.book.free) == (400, 600 * ONE)


def test_nothing_left_is_false_or_asks_the_server(fake: FakeServer, mg: Metergate) -> None:
    fake.quota.book = LeaseBook(100 * ONE, slice_of=lambda free: 0)  # nothing can be leased
    with mg.lease_holder("worker-1", patience=PATIENT) as leases:
        assert not leases.allow("api_calls", subject="acme")
        assert leases.allow("api_calls", 60, subject="acme", fallback=True)
        assert not leases.allow("api_calls", 60, subject="acme", fallback=True)
    assert [event.amount for event in fake.quota.admitted.values()] == ["60"]


def test_without_a_server_it_says_no_and_goes_on_with_what_it_has(fake: FakeServer, mg: Metergate) -> None:
    with mg.lease_holder("worker-1", patience=PATIENT) as leases:
        assert leases.allow("api_calls", subject="acme")
        fake.lost = 10**9
        assert sum(leases.allow("api_calls", subject="acme") for _ in range(99)) == 99, "a slice needs no server"
        assert not leases.allow("api_calls", subject="acme")
        fake.lost = 0
    assert _used(fake) == 100


def test_what_others_give_back_becomes_usable(fake: FakeServer, mg: Metergate) -> None:
    pace = LeasePace(again=0.01)
    with mg.lease_holder("worker-1", patience=PATIENT) as first:
        assert first.allow("api_calls", subject="acme")
        with mg.lease_holder("worker-2", patience=PATIENT, pace=pace) as second:
            assert not second.allow("api_calls", subject="acme")
            first.close()
            while not second.allow("api_calls", subject="acme"):
                pass
    assert _used(fake) == 2


def test_a_recall_is_obeyed_within_one_sync(fake: FakeServer, mg: Metergate) -> None:
    pace = LeasePace(sync=0.1, brisk=0.1)
    with mg.lease_holder("worker-1", patience=PATIENT, pace=pace) as leases:
        assert leases.allow("api_calls", subject="acme")
        fake.quota.book.recalls = True
        wait = threading.Event()
        for _ in range(200):
            if fake.quota.book.free >= 40 * ONE:
                break
            wait.wait(0.1)
        assert fake.quota.book.free >= 40 * ONE
    assert _used(fake) == 1


def test_p2_a_run_that_was_killed_is_closed_by_the_next_of_its_name(
    fake: FakeServer, mg: Metergate, tmp_path: Path
) -> None:
    fake.quota.book = LeaseBook(100_000 * ONE, slice_of=lambda free: 10_000 * ONE)
    path = tmp_path / "journal"
    spent = 30
    command = [sys.executable, "-c", HOLDER, fake.url, str(path), str(spent)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": ":".join(sys.path)}) as run:
        assert run.stdout is not None
        assert run.stdout.readline().strip() == b"30"
        run.kill()
    (lease,) = fake.quota.book.leases.values()
    assert lease.state == "open"
    claimed = json.loads(path.read_text().splitlines()[-1])
    assert int(claimed["mark"]) >= spent
    with mg.lease_holder("worker-1", patience=PATIENT, journal=path) as leases:
        assert leases.allow("api_calls", subject="acme")
    assert lease.state == "returned"
    assert spent <= lease.spent // ONE <= int(claimed["mark"]) < 10_000
    assert lease.settled // ONE <= spent, "no usage is invented"
    assert fake.quota.book.limit - fake.quota.book.free <= (lease.spent + ONE)


def test_p2_the_child_of_a_fork_spends_nothing_of_its_parents(fake: FakeServer, mg: Metergate, tmp_path: Path) -> None:
    with mg.lease_holder("worker-1", patience=PATIENT, journal=tmp_path / "journal") as leases:
        assert leases.allow("api_calls", subject="acme")
        if (child := os.fork()) == 0:
            os._exit(1 if leases.allow("api_calls", subject="acme") else 0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert leases.allow("api_calls", subject="acme")
    assert (_used(fake), fake.quota.book.free) == (2, 98 * ONE)


def test_p2_nothing_is_spent_past_the_end(fake: FakeServer, mg: Metergate) -> None:
    fake.quota.book = LeaseBook(100 * ONE, ttl=SECOND, renews=False)
    with mg.lease_holder("worker-1", patience=PATIENT) as leases:
        assert leases.allow("api_calls", subject="acme")
        wait = threading.Event()
        while len(fake.quota.book.leases) == 1:  # the next one is asked for only once this one has ended
            leases.allow("api_calls", subject="acme")
            wait.wait(0.05)
    assert {lease.state for lease in fake.quota.book.leases.values()} == {"returned"}


def test_usage_of_a_meter_may_be_another_type_of_event(fake: FakeServer, mg: Metergate) -> None:
    forms = {"input_tokens": EventForm("llm.request", "input")}
    with mg.lease_holder("worker-1", patience=PATIENT, forms=forms) as leases:
        assert leases.allow("input_tokens", 48, subject="acme")
        assert leases.allow("input_tokens", "0.5", subject="acme")
    (event,) = fake.ledger.values()
    assert (event.type, event.amount, dict(event.values)) == ("llm.request", "", {"input": "48.5"})


def test_a_journal_is_used_by_one_holder_at_a_time(mg: Metergate, tmp_path: Path) -> None:
    path = tmp_path / "journal"
    in_use = pytest.raises(MetergateConfigError, match="another holder uses this journal")
    with mg.lease_holder("worker-1", journal=path), in_use:
        mg.lease_holder("worker-1", journal=path)
    with pytest.raises(MetergateConfigError, match="the journal of holder 'worker-1', not of 'worker-2'"):
        mg.lease_holder("worker-2", journal=path)
    path.write_text("{}\n")
    with pytest.raises(MetergateConfigError, match="damaged"):
        mg.lease_holder("worker-1", journal=path)


@pytest.mark.parametrize(
    ("amount", "error"), [(0, ValueError), (-1, ValueError), (0.5, TypeError), ("1e-13", ValueError)]
)
def test_p12_an_amount_is_an_exact_number_above_zero(mg: Metergate, amount: object, error: type[Exception]) -> None:
    with mg.lease_holder("worker-1", patience=0) as leases, pytest.raises(error):
        leases.allow("api_calls", amount, subject="acme")  # type: ignore[arg-type]


def test_a_process_that_ends_in_order_gives_back_what_it_holds(fake: FakeServer, tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLDER.replace("time.sleep(60)", ""), fake.url, str(tmp_path / "journal"), "30"]
    subprocess.run(command, check=True, timeout=60, env={**os.environ, "PYTHONPATH": ":".join(sys.path)})
    assert (_used(fake), fake.quota.book.free) == (30, 70 * ONE)


def test_closing_the_client_closes_its_holders(fake: FakeServer) -> None:
    with Metergate(fake.url, "mg_test") as mg:
        leases = mg.lease_holder("worker-1", patience=PATIENT)
        assert leases.allow("api_calls", subject="acme")
    assert (_used(fake), fake.quota.book.free) == (1, 99 * ONE)


async def test_closing_the_client_closes_its_holders_in_asyncio(fake: FakeServer) -> None:
    async with AsyncMetergate(fake.url, "mg_test") as mg:
        leases = mg.lease_holder("worker-1", patience=PATIENT)
        assert await leases.allow("api_calls", subject="acme")
    assert (_used(fake), fake.quota.book.free) == (1, 99 * ONE)


def test_a_channel_that_was_closed_under_a_holder_is_no_server(fake: FakeServer, tmp_path: Path) -> None:
    with grpc.insecure_channel(fake.url) as channel:
        leases = Metergate(key="mg_test", channel=channel).lease_holder("worker-1", patience=PATIENT)
        assert leases.allow("api_calls", subject="acme")
    assert leases.allow("api_calls", subject="acme"), "a slice needs no server"
    assert not leases.close(timeout=0.5)


async def test_a_channel_that_was_closed_under_a_holder_is_no_server_in_asyncio(fake: FakeServer) -> None:
    async with grpc.aio.insecure_channel(fake.url) as channel:
        leases = AsyncMetergate(key="mg_test", channel=channel).lease_holder("worker-1", patience=PATIENT)
        assert await leases.allow("api_calls", subject="acme")
    assert await leases.allow("api_calls", subject="acme"), "a slice needs no server"
    assert not await leases.close(timeout=0.5)
