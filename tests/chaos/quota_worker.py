"""A client process of the quota chaos: consumes, reserves or holds leases until it is told to end, or killed.

    python -m tests.chaos.quota_worker KIND NAME LOG KEY SEED SERVER...

It writes down what it is about to do before it does it, and what was acknowledged, each line at once, so that a
SIGKILL loses no more than what it had not begun.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message

from metergate.v1 import catalog_pb2, customer_pb2, quota_pb2, usage_event_pb2, usage_pb2
from tests.chaos.client import OPTIONS

METER = "calls"
SIZES = {"one": 1, "hundred": 100, "many": 100_000}
SECONDS = float(os.environ.get("METERGATE_CHAOS_SECONDS", "40"))
"""How long the chaos reigns."""
_AS_LONG = max(round(SECONDS / 40), 1)
CUSTOMERS = {"one": 20 * _AS_LONG, "hundred": 20 * _AS_LONG, "many": 5 * _AS_LONG}
"""How many customers there are on a limit of each size: so many that they are drained, and not long before the end."""
TRY_SECONDS = 3.0
RESERVED = 600  # seconds: longer than the chaos, so that no commit comes late
AT_ONCE = 4  # works of a consumer or a reserver
REST = 0.01  # seconds between two works, at most
AGAIN = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED}
METHODS: Mapping[str, tuple[str, type[Message]]] = {
    "consume": ("QuotaService/ConsumeQuota", quota_pb2.ConsumeQuotaResponse),
    "reserve": ("QuotaService/ReserveQuota", quota_pb2.ReserveQuotaResponse),
    "commit": ("QuotaService/CommitReservation", quota_pb2.CommitReservationResponse),
    "release": ("QuotaService/ReleaseReservation", quota_pb2.ReleaseReservationResponse),
    "acquire": ("QuotaService/AcquireLease", quota_pb2.AcquireLeaseResponse),
    "sync": ("QuotaService/SyncLeases", quota_pb2.SyncLeasesResponse),
    "record": ("UsageService/BatchRecordUsage", usage_pb2.BatchRecordUsageResponse),
    "apply": ("CatalogService/ApplyCatalog", catalog_pb2.ApplyCatalogResponse),
    "customer": ("CustomerService/CreateCustomer", customer_pb2.CreateCustomerResponse),
}


def customers() -> list[str]:
    """All of them."""
    return [f"{size}-{number}" for size, count in CUSTOMERS.items() for number in range(count)]


def size_of(customer: str) -> int:
    """The customer's limit."""
    return SIZES[customer.partition("-")[0]]


def event(id: str, customer: str, amount: int, settles: str = "") -> usage_event_pb2.UsageEvent:
    """Usage of the one meter."""
    return usage_event_pb2.UsageEvent(id=id, type=METER, subject=customer, amount=str(amount), settles=settles)


class Worker:
    """What the three kinds share."""

    def __init__(self, name: str, log: str, key: str, seed: str, servers: Sequence[str]) -> None:
        self.name = name
        self.rng = random.Random(f"{seed}/{name}")
        self.over = asyncio.Event()
        self._log = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self._metadata = (("authorization", f"Bearer {key}"),)
        self._channels = [grpc.aio.insecure_channel(server, options=OPTIONS) for server in servers]
        self._numbers = 0

    def write(self, what: str, **fields: Any) -> None:
        """A line of the log; it is the kernel's before this returns."""
        os.write(self._log, json.dumps({"what": what, **fields}).encode() + b"\n")

    def id(self) -> str:
        """A new one."""
        self._numbers += 1
        return f"{self.name}-{self._numbers}"

    def customer(self) -> str:
        """One of a few whose turn it is: others are drained by then, or come later."""
        size = self.rng.choice(["one", "hundred", "hundred", "many", "many"])
        turn = int(time.time() * CUSTOMERS[size] / SECONDS) + self.rng.randrange(3)
        return f"{size}-{turn % CUSTOMERS[size]}"

    async def call(self, method: str, request: Message, give_up: bool = False) -> Any:
        """The answer of whichever server gives one; with `give_up` it is asked for once, and None where there is none.
        Raises grpc.aio.AioRpcError for what is no matter of time."""
        path, kind = METHODS[method]
        while True:
            channel = self.rng.choice(self._channels)
            ask = channel.unary_unary(f"/metergate.v1.{path}", type(request).SerializeToString, kind.FromString)
            try:
                return await ask(request, timeout=TRY_SECONDS, metadata=self._metadata)
            except grpc.aio.AioRpcError as error:
                if error.code() not in AGAIN:
                    raise
            if give_up:
                return None
            await asyncio.sleep(self.rng.uniform(0, 0.1))

    async def record(self, customer: str, amount: int, lease: str) -> None:
        """Usage that settles a lease."""
        id_ = self.id()
        self.write("try", id=id_, customer=customer, amount=amount)
        answer = await self.call(
            "record", usage_pb2.BatchRecordUsageRequest(events=[event(id_, customer, amount, lease)])
        )
        (receipt,) = answer.receipts
        assert receipt.outcome in (usage_event_pb2.OUTCOME_ACCEPTED, usage_event_pb2.OUTCOME_DUPLICATE), receipt
        self.write("ok", id=id_)

    async def consume(self) -> None:
        """One event or two, once or twice."""
        customer = self.customer()
        most = {1: 1, 100: 7, 100_000: 300}[size_of(customer)]
        events = [event(self.id(), customer, self.rng.randint(1, most)) for _ in range(self.rng.choice([1, 1, 2]))]
        for one in events:
            self.write("try", id=one.id, customer=customer, amount=int(one.amount))
        request = quota_pb2.ConsumeQuotaRequest(events=events)
        answer = await self.call("consume", request, give_up=self.rng.random() < 0.5)
        if answer is None:
            return
        for one in events if answer.decision.allowed else ():
            self.write("ok", id=one.id)
        if answer.decision.allowed and self.rng.random() < 0.1:
            again = await self.call("consume", request)
            outcomes = {receipt.outcome for receipt in again.receipts}
            assert again.decision.allowed, "a repeat of what was admitted"
            assert outcomes == {usage_event_pb2.OUTCOME_DUPLICATE}, outcomes

    async def reserve(self) -> None:
        """Reserves, works for a while, and commits no more than was reserved, or gives it back."""
        customer = self.customer()
        most = {1: 1, 100: 12, 100_000: 600}[size_of(customer)]
        request = quota_pb2.ReserveQuotaRequest(
            subject=customer, amounts=[quota_pb2.QuotaAmount(meter=METER, amount=str(self.rng.randint(1, most)))],
            ttl=Duration(seconds=RESERVED), partial_ok=self.rng.random() < 0.5, request_id=self.id(),
        )  # fmt: skip
        answer = await self.call("reserve", request)
        if not answer.decision.allowed:
            return
        held = answer.reservation
        granted = int(held.amounts[0].amount)
        await asyncio.sleep(self.rng.uniform(0, 0.2))
        if self.rng.random() < 0.3:
            await self.call("release", quota_pb2.ReleaseReservationRequest(reservation_id=held.id))
            return
        events, left = [], granted
        while left and len(events) < 3 and self.rng.random() < 0.8:
            events.append(event(self.id(), customer, self.rng.randint(1, left), held.id))
            left -= int(events[-1].amount)
        for one in events:
            self.write("try", id=one.id, customer=customer, amount=int(one.amount))
        done = await self.call("commit", quota_pb2.CommitReservationRequest(reservation_id=held.id, events=events))
        for one in events:
            self.write("ok", id=one.id)
        assert not done.late, "a commit that came in time"

    async def run(self, work: Callable[[], Awaitable[None]]) -> None:
        """Works until it is over."""
        while not self.over.is_set():
            await work()
            await asyncio.sleep(self.rng.uniform(0, REST))


@dataclass
class Slice:
    """A lease as its holder knows it. `sent` is what events were made of."""

    id: str
    customer: str
    until: float
    granted: int
    returned: int = 0
    spent: int = 0
    sent: int = 0

    @property
    def left(self) -> int:
        """What may be spent yet."""
        return self.granted - self.returned - self.spent if time.monotonic() < self.until else 0


class Holder(Worker):
    """Holds leases: spends by itself, reports, and settles by events; sometimes in another order, or again."""

    leases: dict[str, Slice]

    async def hold(self) -> None:
        """A round of one lease's life."""
        if len(self.leases) < 3 and not self.over.is_set():
            await self.acquire()
        for lease in list(self.leases.values()):
            for _ in range(self.rng.randrange(4)):
                self.spend(lease)
            if self.rng.random() < 0.3 and lease.sent < lease.spent:
                amount, lease.sent = lease.spent - lease.sent, lease.spent
                await self.record(lease.customer, amount, lease.id)
            if self.rng.random() < 0.5:
                await self.sync(lease, close=self.rng.random() < 0.1 or not lease.left)
        await asyncio.sleep(self.rng.uniform(0, 5 * REST))

    async def acquire(self) -> None:
        customer = self.customer()
        request = quota_pb2.AcquireLeaseRequest(
            subject=customer, meter=METER, holder=self.name, amount=str(self.rng.choice([1, 5, 50, 2000])),
            request_id=self.id(),
        )  # fmt: skip
        sent = time.monotonic()
        try:
            answer = await self.call("acquire", request)
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.FAILED_PRECONDITION:  # too much of it is forfeited
                raise
            return
        if answer.decision.allowed and answer.lease.id not in self.leases:
            lease = answer.lease
            # A repeat of the first try may be answered later than that: what counts is when the lease ends.
            self.leases[lease.id] = Slice(
                lease.id, customer, sent + lease.ttl.ToMilliseconds() / 1000, int(lease.granted)
            )

    def spend(self, lease: Slice) -> None:
        """Without a call."""
        if lease.left:
            amount = self.rng.randint(1, max(lease.left // 4, 1))
            self.write("spend", lease=lease.id, customer=lease.customer, amount=amount)
            lease.spent += amount

    async def sync(self, lease: Slice, close: bool) -> None:
        """One mark, sometimes twice, or an old one with it."""
        if close:
            lease.returned = lease.granted - lease.spent
        elif lease.left > 4 and self.rng.random() < 0.1:
            lease.returned += lease.left // 4
        wanted = lease.granted + 100 if lease.left < 10 else 0
        mark = self.mark(lease.id, lease.spent, lease.returned, wanted, close)
        if self.rng.random() < 0.2:
            old = self.mark(lease.id, lease.spent // 2, lease.returned // 2, 0, False)
            await self.call("sync", quota_pb2.SyncLeasesRequest(marks=[self.rng.choice([mark, old])]))
        sent = time.monotonic()
        answer = await self.call("sync", quota_pb2.SyncLeasesRequest(marks=[mark]))
        for result in answer.results:
            assert not result.error_reason, (result, lease)
            told = result.lease
            lease.granted = max(lease.granted, int(told.granted))
            if told.state == quota_pb2.Lease.STATE_OPEN:
                lease.until = max(lease.until, sent + told.ttl.ToMilliseconds() / 1000)
            if int(told.recall) > lease.returned:  # obeyed at once, and told with the next mark
                lease.returned = max(lease.returned, min(int(told.recall), lease.granted - lease.spent))
        if close:
            while lease.sent < lease.spent:
                amount, lease.sent = lease.spent - lease.sent, lease.spent
                await self.record(lease.customer, amount, lease.id)
            del self.leases[lease.id]

    def mark(self, id: str, spent: int, returned: int, wanted: int, close: bool) -> quota_pb2.LeaseMark:
        """As it goes over the wire."""
        more = str(wanted) if wanted else ""
        return quota_pb2.LeaseMark(lease_id=id, spent=str(spent), returned=str(returned), wanted=more, close=close)

    async def close(self) -> None:
        """Gives everything back and settles the rest."""
        for lease in list(self.leases.values()):
            await self.sync(lease, close=True)


async def main(kind: str, name: str, log: str, key: str, seed: str, *servers: str) -> None:
    """Until SIGTERM, and then to an orderly end."""
    worker = (Holder if kind == "hold" else Worker)(name, log, key, seed, servers)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, worker.over.set)
    try:
        if isinstance(worker, Holder):
            worker.leases = {}
            await worker.run(worker.hold)
            await worker.close()
        else:
            work = worker.consume if kind == "consume" else worker.reserve
            await asyncio.gather(*(worker.run(work) for _ in range(AT_ONCE)))
    except Exception as error:
        worker.write("wrong", error=repr(error)[:2000])
        raise
    worker.write("done")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
