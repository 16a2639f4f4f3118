"""The fast view of counters in Redis: `app.ports.View`.

One hash per customer, named by an epoch: a name that changes with anything that could make an old hash lie
(another ledger, a restored one, another Redis, one that restarted). Nothing is ever deleted for it; hashes of
an epoch that is over are not asked for again and expire.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from decimal import Decimal
from hashlib import blake2b
from importlib.resources import files

from metergate.adapters.redis.copies import Copies, Scope
from metergate.adapters.redis.link import RedisLink, Script
from metergate.app.coalesce import Coalescer
from metergate.app.ports import Publication, Seen, ViewUnavailableError
from metergate.domain.quantity import to_text
from metergate.domain.quota import CounterKey, Figures

log = logging.getLogger(__name__)

LIFE_MS = 24 * 3600 * 1000
_PUBLISH = Script(files(__package__).joinpath("publish.lua").read_text())
_KEYS_MOST = 2_000  # keys in one call of a script


class RedisView:
    """Reads and publications each go over a connection of their own, so that neither waits for the other.

    What was read is copied, until Redis says that it changed. Reads are pipelined: those that come together
    go out and come back together.
    """

    def __init__(self, url: str, ledger_identity: Callable[[], Awaitable[str]]) -> None:
        self._ledger_identity = ledger_identity
        self._epoch = ""
        self._refused = False
        self._copies = Copies()
        self._reading = RedisLink(url, self._found, self._copies.drop)
        self._publishing = RedisLink(url, self._found, lambda changed: None)
        self._publications: Coalescer[tuple[str, Publication, int], None] = Coalescer(self._publish_together)

    @property
    def up(self) -> bool:
        """Whether Redis can be reached."""
        return self._reading.up and self._publishing.up

    async def start(self) -> None:
        """Connects; a Redis that is away is no error."""
        await self._reading.start()
        await self._publishing.start()

    async def stop(self) -> None:
        """Closes the connections."""
        await self._reading.stop()
        await self._publishing.stop()

    async def reconsider(self) -> None:
        """The ledger may be another one now: the epoch is named anew before the view is used again."""
        await self._reading.reconnect()
        await self._publishing.reconnect()

    async def _found(self, redis_identity: str) -> None:
        """Both connections must have met the same Redis: they name the epoch by the one they met last."""
        identity = f"{await self._ledger_identity()}/{redis_identity}"
        self._epoch = blake2b(identity.encode(), digest_size=9).hexdigest()

    def _key(self, tenant: str, catalog_version: int, customer: str) -> str:
        # Lengths keep apart what a separator could not; the braces keep a customer in one slot of a cluster.
        return f"mg:{self._epoch}:{catalog_version}:{{{len(tenant)}:{tenant}:{customer}}}"

    async def read(
        self, tenant: str, catalog_version: int, keys: Sequence[CounterKey], at_least: Mapping[str, int]
    ) -> list[Seen | None]:
        """See `app.ports.View`."""
        if not self._reading.up or self._refused:
            raise ViewUnavailableError("not connected, or no commit can be made known")
        scope = (tenant, catalog_version)
        copies = self._copies.counters(scope)
        seen = [copies.get(key) for key in keys]
        if at_least:
            for place, key in enumerate(keys):
                if self._copies.seq(self._key(tenant, catalog_version, key.customer)) < at_least.get(key.customer, 0):
                    seen[place] = None
        if None in seen:
            await self._read(scope, keys, seen, at_least)
        return seen

    async def _read(
        self, scope: Scope, keys: Sequence[CounterKey], seen: list[Seen | None], at_least: Mapping[str, int]
    ) -> None:
        """Fills in what there are no copies of, in one round trip."""
        changes = self._copies.changes
        unknown = [place for place, one in enumerate(seen) if one is None]
        names = [self._key(*scope, keys[place].customer) for place in unknown]
        commands = [("HMGET", name, "seq", _field(keys[place])) for name, place in zip(names, unknown, strict=True)]
        answers = await self._reading.call(commands)
        for place, name, (seq, value) in zip(unknown, names, answers, strict=True):
            if value is None:
                continue
            key, one = keys[place], _seen(value)
            self._copies.put(name, int(seq), scope, key, one, changes)
            if int(seq) >= at_least.get(key.customer, 0):
                seen[place] = one

    async def publish(self, tenant: str, catalog_version: int, now: int, publications: Sequence[Publication]) -> None:
        """See `app.ports.View`."""
        if not self._publishing.up:
            return
        items = [(self._key(tenant, catalog_version, one.customer), one, now) for one in publications]
        try:
            await self._publications.submit_all(items)
            self._refused = False
        except ViewUnavailableError as error:
            self._refused = self._publishing.up  # Redis is there and takes nothing: its hashes stand still
            log.debug("a publication was lost and will be swept: %s", error)
        for name, _, _ in items:  # whoever wrote must not read his own copy from before
            self._copies.drop_one(name)

    async def _publish_together(self, items: Sequence[tuple[str, Publication, int]]) -> list[None]:
        for start in range(0, len(items), _KEYS_MOST):
            part = items[start : start + _KEYS_MOST]
            arguments: list[str | int] = [LIFE_MS]
            for _, publication, now in part:
                _add_arguments(arguments, publication, now)
            await self._publishing.run(_PUBLISH, [key for key, _, _ in part], arguments)
        return [None] * len(items)


def _add_arguments(arguments: list[str | int], publication: Publication, now: int) -> None:
    before = "" if publication.whole else _seq(publication.before)
    arguments += (before, _seq(publication.seq), len(publication.figures), len(publication.forget))
    for key, figures in publication.figures.items():
        arguments += (_field(key), _value(figures, now))
    arguments += [_field(key) for key in publication.forget]


def _seq(seq: int) -> str:
    return f"{seq:019d}"


def _field(key: CounterKey) -> str:
    # No part holds a control character, so that the separator keeps them apart.
    return f"{key.meter}\x1f{key.subject}\x1f{key.filter}\x1f{key.start}\x1f{key.end}"


def _value(figures: Figures, now: int) -> str:
    used, *held = figures
    if not any(held):
        return f"{now}|{to_text(used)}"
    return f"{now}|" + "|".join([to_text(figure) for figure in figures])


def _seen(value: bytes) -> Seen:
    as_of, *figures = value.decode("ascii").split("|")
    return Seen(Figures(*[Decimal(figure) for figure in figures]), int(as_of))
