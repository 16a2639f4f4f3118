"""What the command does on the databases without a server."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from metergate.adapters.postgres.customers import PostgresCustomers
from metergate.adapters.postgres.definitions import PostgresCatalogs
from metergate.adapters.postgres.keys import PostgresKeys
from metergate.app.catalog.apply import ApplyCatalog
from metergate.app.directory import Directory
from metergate.app.retention import Plan
from metergate.app.stores import StoredKey
from metergate.domain import period
from metergate.domain.access import Principal, new_key, parse_key
from metergate.domain.catalog import Catalog
from metergate.settings import Settings
from metergate.wiring.common import an_engine, retention

DEV_TENANT = "dev"


async def bootstrap(settings: Settings, existing_key: str | None = None, catalog: Catalog | None = None) -> str:
    """Makes the dev tenant with a catalog where it has none, and returns a key for it: the existing one if it works."""
    async with an_engine(settings) as engine:
        keys, catalogs = PostgresKeys(engine), PostgresCatalogs(engine)
        key = parse_key(existing_key) if existing_key else None
        stored = await keys.get(key.id) if key else None
        works = key and stored and stored.tenant == DEV_TENANT and stored.revoked_at is None
        if not (works and key and stored and key.proves(stored.secret_hash)):
            key = new_key()
            await keys.add(DEV_TENANT, "dev", key)
        if catalog is not None and not (await catalogs.load(DEV_TENANT)).version:
            directory = Directory(catalogs, PostgresCustomers(engine), keys, make_on_first_use=False)
            principal = Principal(DEV_TENANT, "dev", "bootstrap")
            await ApplyCatalog(catalogs, directory).apply(principal, catalog, dry_run=False)
        return str(key)


@dataclass(frozen=True, slots=True)
class KeyInfo:
    """An API key without its secret; times in RFC 3339, "" = none."""

    id: str
    tenant: str
    service: str
    created: str
    expires: str
    revoked: str


async def create_key(settings: Settings, tenant: str, service: str) -> str:
    """A new key for a service of a tenant, which is made where there is none; shown this once."""
    key = new_key()
    async with an_engine(settings) as engine:
        await PostgresKeys(engine).add(tenant, service, key)
    return str(key)


async def list_keys(settings: Settings, tenant: str) -> list[KeyInfo]:
    """A tenant's keys, oldest first."""
    async with an_engine(settings) as engine:
        return [_info(stored) for stored in await PostgresKeys(engine).list(tenant)]


async def revoke_key(settings: Settings, key_id: str) -> bool:
    """Ends a key; servers hear of it at once. False when there is none of that id."""
    async with an_engine(settings) as engine:
        return await PostgresKeys(engine).revoke(key_id)


def _info(stored: StoredKey) -> KeyInfo:
    def shown(instant: int | None) -> str:
        return "" if instant is None else period.to_text(instant)

    return KeyInfo(
        stored.id, stored.tenant, stored.service, shown(stored.created_at), shown(stored.expires_at),
        shown(stored.revoked_at),
    )  # fmt: skip


async def retention_plan(settings: Settings) -> list[Plan] | None:
    """What `retention_run` would drop, and why the rest is kept; None while another process is at it."""
    async with an_engine(settings) as engine:
        return await retention(settings, engine).plan()


async def retention_run(settings: Settings) -> list[date] | None:
    """Drops what is due; the months that went, None while another process is at it."""
    async with an_engine(settings) as engine:
        return await retention(settings, engine).run()
