"""`lease`: decisions that are made at their client from a slice of capacity, without a call."""

from __future__ import annotations

import asyncio
import itertools
import statistics
import tempfile
import threading
import time
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from benchmarks import load_lease
from benchmarks.proofs import prove
from benchmarks.report import ROUNDS, BrokenPromise, Result, at_least
from benchmarks.stage import Outcome, Product, in_a_process, in_processes, serving
from metergate.domain.catalog import Catalog, Plan
from metergate.domain.meter import Meter
from metergate.domain.quantity import parse
from metergate.domain.quota import Limit
from metergate_client import Metergate

HOLDERS = 4
METER, MOST = "tokens", 500_000
PLENTY, PLENTY_MOST = "plenty", 1_000_000_000
PER_SECOND = 10_000
"""Decisions a second of each holder."""
AT_LEAST = 300_000
"""Decisions a second that one process is to make."""
PER_DECISION = ("AcquireLease", "SyncLeases", "ReturnLease", "BatchRecordUsage", "RecordUsage", "ConsumeQuota")
"""The calls that holders make."""
CATALOG = Catalog(
    meters=(Meter(METER, METER), Meter(PLENTY, PLENTY)),
    plans=(
        Plan(
            "default",
            (
                Limit(f"{METER}/month", METER, parse(str(MOST), "max")),
                Limit(f"{PLENTY}/month", PLENTY, parse(str(PLENTY_MOST), "max")),
            ),
        ),
    ),
)


def lease() -> Result:
    """Four processes spend one limit at a steady pace until nothing is left of it, then close: how many calls that
    takes, and what lies idle at holders. Then one process as fast as it can."""
    with serving(CATALOG) as server, tempfile.TemporaryDirectory() as journals:
        rounds = [_share_a_limit(server, journals, f"customer-{number}") for number in range(ROUNDS)]
        rates = [_alone(server, journals, number) for number in range(ROUNDS)]
        asyncio.run(prove(server.postgres_url, (METER, PLENTY)))
    ratio = statistics.median(one.calls / one.decisions for one in rounds)
    detail = {
        "ratio_min": min(one.calls / one.decisions for one in rounds),
        "ratio_max": max(one.calls / one.decisions for one in rounds),
        "decisions_per_second": HOLDERS * PER_SECOND,
        "rounds": [one.told() for one in rounds],
    }
    result = Result("lease", ratio, ratio * 1_000, 1_000, "calls per 1,000", "≤ 0.001", ratio <= 0.001, detail)
    found = {
        "ratio": statistics.median(rates) / AT_LEAST,
        "ratio_min": min(rates) / AT_LEAST,
        "ratio_max": max(rates) / AT_LEAST,
        "product": statistics.median(rates),
        "floor": float(AT_LEAST),
    }
    result.parts.append(at_least("lease, decisions in one process", found, "decisions/s", 1.0, found))
    result.parts.append(_stranded(rounds))
    return result


class _Seen(NamedTuple):
    """The limit as the ledger had it at a moment, and how many calls there had been."""

    time: float
    used: int
    held: int
    calls: int


@dataclass(slots=True)
class _Round:
    """What holders did with one limit. `calls` and `decisions` end when nine tenths are spent: what comes then is the
    hunt for the last units, of which `all_calls` tell."""

    decisions: int
    calls: int
    admitted: int
    all_calls: int
    seconds: float
    stranded: list[tuple[float, float]] = field(default_factory=list)

    def told(self) -> dict[str, Any]:
        """For the detail: shares of the limit over seconds."""
        shares = [share for _, share in self.stranded]
        return {
            "calls": self.calls,
            "decisions": self.decisions,
            "all_calls": self.all_calls,
            "admitted": self.admitted,
            "seconds_to_full_use": round(self.seconds, 2),
            "stranded_most": max(shares, default=0.0),
            "stranded_mean": statistics.fmean(shares) if shares else 0.0,
            "stranded_share": [(round(at, 2), round(share, 4)) for at, share in self.stranded],
        }


def _share_a_limit(server: Product, journals: str, customer: str) -> _Round:
    before = _calls(server)
    each = [
        (server.address, server.key, f"{customer}-{number}", journals, METER, customer, PER_SECOND, HOLDERS)
        for number in range(HOLDERS)
    ]
    with _watching(server, customer) as seen:
        done = in_processes(load_lease.spend_all, each)
    admitted = sum(one.units for one in done)
    if admitted > MOST:
        raise BrokenPromise(f"{admitted} were admitted under a limit of {MOST}")
    with Metergate(server.address, server.key) as client:
        limit = client.limits(METER, subject=customer)[f"{METER}/month"]
    if limit.used != admitted or limit.leased or limit.forfeited:
        raise BrokenPromise(f"{admitted} were admitted, and after all have closed the ledger says {limit.figures}")
    spent = _Spent(done)
    begin = spent.first
    most = next((one for one in seen if spent.at(one.time) >= MOST * 0.9), seen[-1])
    asking = [one for one in seen if begin <= one.time <= spent.last]
    stranded = [(one.time - begin, (one.used + one.held - spent.at(one.time)) / MOST) for one in asking]
    return _Round(
        decisions=spent.at(most.time),
        calls=most.calls - before,
        admitted=admitted,
        all_calls=_calls(server) - before,
        seconds=spent.last - begin,
        stranded=stranded,
    )


class _Spent:
    """How much all holders had spent by a moment."""

    def __init__(self, done: Sequence[Outcome]) -> None:
        self._each = [one.notes["samples"] for one in done]
        self.first: float = min(one.notes["samples"][0][0] for one in done)
        self.last: float = max(one.notes["last"] for one in done)

    def at(self, moment: float) -> int:
        """The sum over the holders; each sample holds from its time on."""
        found = 0
        for samples in self._each:
            place = bisect_right(samples, moment, key=lambda sample: sample[0])
            found += samples[place - 1][1] if place else 0
        return found


@contextmanager
def _watching(server: Product, customer: str) -> Iterator[list[_Seen]]:
    """Makes the customer, and looks at the limit four times a second."""
    seen: list[_Seen] = []
    over = threading.Event()

    def watch(client: Metergate) -> None:
        while not over.wait(0.25):
            limit = client.limits(METER, subject=customer)[f"{METER}/month"]
            seen.append(_Seen(time.time(), int(limit.used), int(limit.leased + limit.forfeited), _calls(server)))

    with Metergate(server.address, server.key) as client, ThreadPoolExecutor(1) as pool:
        client.create_customer(customer)
        watching = pool.submit(watch, client)
        try:
            yield seen
        finally:
            over.set()
        watching.result()


def _alone(server: Product, journals: str, number: int) -> float:
    arguments = (f"alone-{number}", journals, PLENTY, f"alone-{number}", 3.0)
    done = in_a_process(load_lease.spend_fast, server.address, server.key, *arguments)
    if done.notes["refused"]:
        raise BrokenPromise(f"{done.notes['refused']} were refused under a limit that holds far more")
    return done.units / done.seconds


def _stranded(rounds: Sequence[_Round]) -> Result:
    """What nobody could use, although all were asking for it until the end."""
    unused = max(MOST - one.admitted for one in rounds)
    times = list(itertools.chain.from_iterable(one.stranded for one in rounds))
    detail = {"mean_share_while_spending": statistics.fmean(share for _, share in times) if times else 0.0}
    return Result("lease, unused at the end", unused / MOST, unused, MOST, "units", "= 0", unused == 0, detail)


def _calls(server: Product) -> int:
    calls = server.calls()
    return sum(calls[name] for name in PER_DECISION)
