"""P6: the numbers of invoices and credit notes have no gap and no double, whoever gives them, and whatever is rolled
back or killed."""

from __future__ import annotations

import asyncio
import random
import signal
import sys
from asyncio.subprocess import PIPE
from asyncio.subprocess import Process as Subprocess
from contextlib import suppress

from metergate.app.billing.invoices import Crediting
from metergate.domain.errors import MetergateError, Reason
from metergate.domain.invoice import CreditLine
from tests.integration.books import Books, draft
from tests.integration.conftest import Start
from tests.integration.processes import PRINCIPAL, TENANT, Process

CUSTOMERS = ("acme", "beta", "gamma", "delta")
COUNT = 60


async def full(one: Process, series: str = "INV", table: str = "invoice") -> int:
    """How many numbers of the series were given, which are all up to the last."""
    rows = await one.fetch(f"SELECT number FROM {table} WHERE number LIKE '{series}-%' ORDER BY number")
    assert [row[0] for row in rows] == [f"{series}-{place:06d}" for place in range(1, len(rows) + 1)]
    assert await one.fetch("SELECT last FROM invoice_series WHERE series = $1", series) == [(len(rows),)]
    return len(rows)


async def drafts(books: Books) -> None:
    await books.begin()
    for customer in CUSTOMERS[1:]:
        await books.one.customer(customer)
    await books.drafts(*[draft(f"inv_{n:02d}", 100, customer=CUSTOMERS[n % len(CUSTOMERS)]) for n in range(COUNT)])


async def test_p6_numbers_are_gapless_among_many_processes_rollbacks_and_cancelled_calls(
    start: Start, rng: random.Random
) -> None:
    all_books = [Books(await start()) for _ in range(3)]
    await drafts(all_books[0])
    ended: list[str] = []
    reasons: set[Reason] = set()

    async def finalize(number: int) -> None:
        books = all_books[number % 3]
        with suppress(TimeoutError):
            async with asyncio.timeout(rng.choice([0.002, 0.01, 0.03, 5])):
                try:
                    closed = await books.invoices.finalize(PRINCIPAL, f"inv_{number % COUNT:02d}")
                    ended.append(closed.id)
                except MetergateError as error:
                    reasons.add(error.reason)

    async def roll_back(number: int) -> None:
        with suppress(ZeroDivisionError):
            async with all_books[number % 3].store.change(TENANT) as change:
                await change.lock(f"inv_{number:02d}")
                await change.take_numbers("INV", 1 + number % 3)
                raise ZeroDivisionError

    works = [finalize(number) for number in range(2 * COUNT)] + [roll_back(number) for number in range(0, COUNT, 4)]
    rng.shuffle(works)
    await asyncio.gather(*works)
    assert reasons == {Reason.INVOICE_STATE}  # those that another call was faster with
    one = all_books[0].one
    done = await full(one)
    assert {row[0] for row in await one.fetch("SELECT id FROM invoice WHERE number <> ''")} >= set(ended)
    await asyncio.gather(*(books.due.work() for books in all_books))
    await all_books[0].due.work()  # those whose customers' heads were held
    assert 0 < done <= await full(one) == COUNT

    crediting = Crediting([CreditLine(1, 40)], "")
    noted = await asyncio.gather(
        *(all_books[n % 3].invoices.credit(PRINCIPAL, f"inv_{n % 20:02d}", crediting) for n in range(60)),
        return_exceptions=True,
    )
    refused = [note for note in noted if isinstance(note, BaseException)]
    assert [getattr(error, "reason", error) for error in refused] == [Reason.CREDIT_TOO_LARGE] * 20
    assert await full(one, "CN", "credit_note") == 40


async def test_p6_numbers_are_gapless_though_who_gives_them_is_killed(one: Process, postgres_url: str) -> None:
    books = Books(one)
    await drafts(books)
    command = [sys.executable, "-m", "tests.integration.finalizer", postgres_url]
    killed, other = [await asyncio.create_subprocess_exec(*command, stdout=PIPE) for _ in range(2)]
    acknowledged: dict[str, str] = {}

    async def listen(process: Subprocess, until: int) -> None:
        assert process.stdout is not None
        while line := (await process.stdout.readline()).decode():
            id_, number = line.split()
            acknowledged[id_] = number
            if len(acknowledged) >= until:
                killed.kill()

    await asyncio.gather(listen(killed, 5), listen(other, COUNT + 1), killed.wait(), other.wait())
    assert (killed.returncode, other.returncode) == (-signal.SIGKILL, 0)
    assert await full(one) == COUNT
    stands = dict(await one.fetch("SELECT id, number FROM invoice"))
    assert acknowledged.items() <= stands.items()
