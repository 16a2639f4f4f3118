"""Webhook endpoints: making, changing, trying and listing them, and what was delivered to them."""

from __future__ import annotations

import secrets
from base64 import b32encode
from collections.abc import Sequence
from dataclasses import dataclass, replace

import orjson

from metergate.app import clock
from metergate.app.directory import Directory
from metergate.app.notify.ports import (
    Deliveries,
    Delivery,
    DeliveryQuery,
    Endpoint,
    EndpointChange,
    Endpoints,
    Outcome,
    Replay,
    Sender,
)
from metergate.app.stores import Once
from metergate.domain.access import Principal
from metergate.domain.address import Network, refused, target_of
from metergate.domain.errors import MetergateError, Reason, invalid
from metergate.domain.outbox import trial
from metergate.domain.period import DAY, SECOND
from metergate.domain.signature import headers, new_secret

ENDPOINTS_MOST = 20
REPLAYED_MOST = 100_000
_OVERLAP = DAY  # for which the secret before signs too
_URL = "endpoint.url"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What of an endpoint is to be changed; None = nothing."""

    url: str | None = None
    kinds: tuple[str, ...] | None = None
    description: str | None = None
    enabled: bool | None = None


@dataclass(frozen=True, slots=True)
class Made:
    """An endpoint, with its secret where that is new."""

    endpoint: Endpoint
    secret: str = ""


class ManageEndpoints:
    """The verbs. Each raises LEDGER_UNAVAILABLE too."""

    def __init__(
        self,
        endpoints: Endpoints,
        deliveries: Deliveries,
        directory: Directory,
        sender: Sender,
        allowed: Sequence[Network],
    ) -> None:
        self._endpoints = endpoints
        self._deliveries = deliveries
        self._directory = directory
        self._sender = sender
        self._allowed = allowed

    async def create(
        self, principal: Principal, url: str, kinds: tuple[str, ...], description: str, once: Once | None = None
    ) -> Made:
        """Makes an endpoint.

        Raises:
            MetergateError: FIELD_INVALID, ADDRESS_REFUSED, TOO_MANY_ENDPOINTS, REQUEST_ID_REUSED.
        """
        await self._check(url)
        secret = new_secret()
        made = Made(Endpoint(_new_id(), url, kinds, description), secret)
        async with self._endpoints.change(principal.tenant) as change:
            if await change.repeated(once):
                return made
            if len(await change.all()) >= ENDPOINTS_MOST:
                message = f"there are {ENDPOINTS_MOST} webhook endpoints; delete one first"
                raise MetergateError(Reason.TOO_MANY_ENDPOINTS, message, {"maximum": str(ENDPOINTS_MOST)})
            made = Made(await change.add(made.endpoint, secret), secret)
            await change.remember(once, made)
        self._changed(principal.tenant)
        return made

    async def update(self, principal: Principal, id: str, wanted: Wanted, once: Once | None = None) -> Made:
        """Changes an endpoint.

        Raises:
            MetergateError: FIELD_INVALID, ADDRESS_REFUSED, ENDPOINT_NOT_FOUND, REQUEST_ID_REUSED.
        """
        if wanted.url is not None:
            await self._check(wanted.url)
        async with self._endpoints.change(principal.tenant) as change:
            if await change.repeated(once):
                return Made(Endpoint(id, "", (), ""))
            before = await _found(change, id)
            new = replace(
                before,
                url=before.url if wanted.url is None else wanted.url,
                kinds=before.kinds if wanted.kinds is None else wanted.kinds,
                description=before.description if wanted.description is None else wanted.description,
                enabled=before.enabled if wanted.enabled is None else wanted.enabled,
            )
            if new.enabled:
                new = replace(new, disabled_reason="")
            made = Made(await change.replace(new))
            await change.remember(once, made)
        self._changed(principal.tenant)
        return made

    async def turn_off(self, tenant: str, id: str, reason: str) -> None:
        """Turns off an endpoint that wants nothing any more, if it is there."""
        async with self._endpoints.change(tenant) as change:
            found = [one for one in await change.all() if one.id == id and one.enabled]
            for one in found:
                await change.replace(replace(one, enabled=False, disabled_reason=reason))
        self._changed(tenant)

    async def delete(self, principal: Principal, id: str, once: Once | None = None) -> None:
        """Takes an endpoint away with its deliveries.

        Raises:
            MetergateError: ENDPOINT_NOT_FOUND, REQUEST_ID_REUSED.
        """
        async with self._endpoints.change(principal.tenant) as change:
            if await change.repeated(once):
                return
            await _found(change, id)
            await change.delete(id)
            await change.remember(once, None)
        self._changed(principal.tenant)

    async def rotate(self, principal: Principal, id: str, once: Once | None = None) -> Made:
        """Gives an endpoint a new secret; for a day both sign.

        Raises:
            MetergateError: ENDPOINT_NOT_FOUND, REQUEST_ID_REUSED.
        """
        async with self._endpoints.change(principal.tenant) as change:
            if await change.repeated(once):
                return Made(Endpoint(id, "", (), ""))
            await _found(change, id)
            secret = new_secret()
            made = Made(await change.rotate(id, secret, _OVERLAP), secret)
            await change.remember(once, made)
        return made

    async def list(self, principal: Principal) -> list[Endpoint]:
        """All endpoints, oldest first."""
        return await self._endpoints.list(principal.tenant)

    async def test(self, principal: Principal, id: str) -> Outcome:
        """Sends an event that tells nothing, at once; also to one that is turned off.

        Raises:
            MetergateError: ENDPOINT_NOT_FOUND.
        """
        endpoint = await self._get(principal, id)
        signing, now = await self._endpoints.secrets(principal.tenant, id), clock.now()
        body = orjson.dumps(trial(now))
        message_id = "msg_test_" + secrets.token_hex(8)
        return await self._sender.send(endpoint.url, headers(message_id, now // SECOND, body, signing), body)

    async def deliveries(self, principal: Principal, query: DeliveryQuery) -> Sequence[Delivery]:
        """A page of deliveries, newest first.

        Raises:
            MetergateError: ENDPOINT_NOT_FOUND.
        """
        if query.endpoint is not None:
            await self._get(principal, query.endpoint)
        return await self._deliveries.list(principal.tenant, query)

    async def replay(self, principal: Principal, asked: Replay) -> int:
        """Sends again what is asked for; how many that are.

        Raises:
            MetergateError: ENDPOINT_NOT_FOUND, ENDPOINT_DISABLED, FIELD_INVALID where it is too much at once.
        """
        endpoint = await self._get(principal, asked.endpoint)
        if not endpoint.enabled:
            message = f"endpoint {endpoint.id!r} is turned off; turn it on first"
            raise MetergateError(Reason.ENDPOINT_DISABLED, message, {"endpoint": endpoint.id})
        count = await self._deliveries.replay(principal.tenant, asked, REPLAYED_MOST)
        if count > REPLAYED_MOST:
            field = "customer" if asked.start is None else "end_time"
            raise invalid(
                field, f"these are {count} deliveries, and {REPLAYED_MOST} are replayed at once: ask for less"
            )
        return count

    async def _get(self, principal: Principal, id: str) -> Endpoint:
        found = [one for one in await self._endpoints.list(principal.tenant) if one.id == id]
        if not found:
            raise _not_found(id)
        return found[0]

    async def _check(self, url: str) -> None:
        """What a name leads to may change: it is looked at again with each delivery."""
        address = await self._sender.refused(target_of(url, _URL, self._allowed))
        if address is not None:
            raise refused(_URL, address)

    def _changed(self, tenant: str) -> None:
        self._directory.forget("catalog", tenant, "")


async def _found(change: EndpointChange, id: str) -> Endpoint:
    found = [one for one in await change.all() if one.id == id]
    if not found:
        raise _not_found(id)
    return found[0]


def _not_found(id: str) -> MetergateError:
    shown = id[:80]
    return MetergateError(Reason.ENDPOINT_NOT_FOUND, f"no webhook endpoint is called {shown!r}", {"endpoint": shown})


def _new_id() -> str:
    return "we_" + b32encode(secrets.token_bytes(15)).decode().lower()
