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

from metergate.adapters.redis.link import RedisLink, Script
from metergate.app.coalesce import Coalescer
from metergate.app.ports import Publication, Seen, ViewUnavailableError
from metergate.domain.quantity import to_text
from metergate.domain.quota import CounterKey, Figures

log = logging.getLogger(__name__)

LIFE_MS = 24 * 3600 * 1000
_READ = Script(files(__package__).joinpath("read.lua").read_text())
_PUBLISH = Script(files(__package__).joinpath("publish.lua").read_text())
_KEYS_MOST = 2_000  # keys in one call of a script


class _Question:
    """The fields wanted of one customer's hash."""

    __slots__ = ("fields", "key")

    def __init__(self, key: str, fields: Sequence[str]) -> None:
        self.key = key
        self.fields = fields


class RedisView:
    """Reads and publications each go over a connection of their own; what comes together shares a round trip."""

    def __init__(self, url: str, ledger_identity: Callable[[], Awaitable[str]]) -> None:
        self._ledger_identity = ledger_identity
        self._epoch = ""
        self._reading = RedisLink(url, [_READ], self._found)
        self._publishing = RedisLink(url, [_PUBLISH], self._found)
        self._reads: Coalescer[_Question, list[bytes | None]] = Coalescer(self._read_together)
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

    def _key(self, tenant: str, metering_version: int, customer: str) -> str:
        # Lengths keep apart what a separator could not; the braces keep a customer in one slot of a cluster.
        return f"mg:{self._epoch}:{metering_version}:{{{len(tenant)}:{tenant}:{customer}}}"

    async def read(
        self, tenant: str, metering_version: int, keys: Sequence[CounterKey], at_least: Mapping[str, int]
    ) -> list[Seen | None]:
        """See `app.ports.View`."""
        by_customer: dict[str, list[int]] = {}
        for place, key in enumerate(keys):
            by_customer.setdefault(key.customer, []).append(place)
        questions = [
            _Question(self._key(tenant, metering_version, customer), [_field(keys[place]) for place in places])
            for customer, places in by_customer.items()
        ]
        answers = await self._reads.submit_all(questions)
        seen: list[Seen | None] = [None] * len(keys)
        for (customer, places), (seq, *values) in zip(by_customer.items(), answers, strict=True):
            if seq is None or int(seq) < at_least.get(customer, 0):
                continue
            for place, value in zip(places, values, strict=True):
                if value is not None:
                    seen[place] = _seen(value)
        return seen

    async def _read_together(self, questions: Sequence[_Question]) -> list[list[bytes | None]]:
        answers: list[list[bytes | None]] = []
        for start in range(0, len(questions), _KEYS_MOST):
            part = questions[start : start + _KEYS_MOST]
            arguments: list[str | int] = []
            for question in part:
                arguments.append(len(question.fields))
                arguments.extend(question.fields)
            flat = await self._reading.run(_READ, [question.key for question in part], arguments)
            at = 0
            for question in part:
                size = 1 + len(question.fields)
                answers.append(flat[at : at + size])
                at += size
        return answers

    async def publish(self, tenant: str, metering_version: int, now: int, publications: Sequence[Publication]) -> None:
        """See `app.ports.View`."""
        if not self._publishing.up:
            return
        try:
            await self._publications.submit_all(
                [(self._key(tenant, metering_version, one.customer), one, now) for one in publications]
            )
        except ViewUnavailableError as error:
            log.debug("a publication was lost and will be swept: %s", error)

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
