"""Databases for tests: each a copy of one migrated template, which takes some 30 ms instead of a migration."""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar
from urllib.parse import urlsplit, urlunsplit

import asyncpg

T = TypeVar("T")


def elsewhere(work: Callable[[], T]) -> T:
    """Do `work` in a thread without an event loop: fixtures serve tests that have one and tests that have none."""
    with ThreadPoolExecutor(max_workers=1) as thread:
        return thread.submit(work).result()


class Databases:
    """Makes databases on one server; names carry our process, so that runs on a shared server never meet."""

    def __init__(self, server_url: str) -> None:
        self._server_url = server_url
        self._prefix = f"metergate_test_{os.getpid()}"
        self._template = f"{self._prefix}_template"
        self._numbers = itertools.count(1)
        self._made: set[str] = set()

    def create_template(self) -> str:
        """Make the empty template and return its URL, for the migration."""
        self._run(f'CREATE DATABASE "{self._template}"')
        self._made.add(self._template)
        return self._url(self._template)

    def create(self) -> str:
        """Copy the template; returns the copy's URL."""
        name = f"{self._prefix}_{next(self._numbers)}"
        self._run(f'CREATE DATABASE "{name}" TEMPLATE "{self._template}"')
        self._made.add(name)
        return self._url(name)

    def drop(self, url: str) -> None:
        """Drop what create() made, whoever is still connected."""
        name = urlsplit(url).path.removeprefix("/")
        self._run(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        self._made.discard(name)

    def drop_all(self) -> None:
        """Drop the template and what tests left."""
        for name in sorted(self._made):
            self._run(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def _url(self, name: str) -> str:
        return urlunsplit(urlsplit(self._server_url)._replace(path=f"/{name}"))

    def _run(self, statement: str) -> None:
        async def once() -> None:
            connection = await asyncpg.connect(self._server_url)
            try:
                await connection.execute(statement)
            finally:
                await connection.close()

        elsewhere(lambda: asyncio.run(once()))
