"""Settings: from `METERGATE_…` in the environment, overridden by the command line."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict


def _listed(given: Any) -> Any:
    """A list as it stands in the environment: with commas."""
    return [one.strip() for one in given.split(",") if one.strip()] if isinstance(given, str) else given


Networks = Annotated[tuple[IPv4Network | IPv6Network, ...], NoDecode, BeforeValidator(_listed)]


class Settings(BaseSettings):
    """All that can be set. Durations are in the unit that their name ends with."""

    model_config = SettingsConfigDict(env_prefix="METERGATE_", extra="ignore")

    environment: Literal["dev", "production"] = "dev"
    """In dev, subjects become customers on first use, and gRPC reflection is on."""

    postgres_url: str = ""
    """postgresql://user:password@host:port/database, or with ?host=/socket/folder."""

    redis_url: str = ""
    """redis://host:port/0, rediss://… or unix:///path?db=0."""

    grpc: str = "127.0.0.1:7400"
    http: str = "127.0.0.1:7401"

    accept_days: int = Field(35, ge=1, le=366)
    """How old a new event may be. Ids are remembered for 7 days more."""

    accept_ahead_seconds: int = Field(300, ge=0, le=86_400)
    """How far ahead of the database's clock an event may lie."""

    calls_most: int = Field(2_000, ge=1)
    """Calls that are answered at a time; more are refused as overload."""

    calls_most_per_tenant: int = Field(1_500, ge=1)

    postgres_commit_connections: int = Field(8, ge=6)
    postgres_query_connections: int = Field(8, ge=2)

    webhook_allow_private: Networks = ()
    """Networks, with commas, that webhooks may go to though they are not public, and over http too."""

    webhook_retry_seconds: float = Field(5.0, gt=0)
    """The pause after the first try of a delivery that failed; each one is five times as long as the one before."""

    webhook_retry_most_seconds: float = Field(28_800.0, gt=0)
    """The longest of these pauses."""

    webhook_tries: int = Field(9, ge=1, le=100)
    """How often a delivery is tried before it is a dead letter; about a day, by default."""

    outbox_keep_days: int = Field(7, ge=1)
    """For how long news are kept to be sent again, and deliveries to be listed."""

    dead_letters_keep_days: int = Field(30, ge=1)

    events_keep_months: int | None = Field(None, ge=1)
    """For how many whole months before the current one events are kept, and longer while something needs them; then
    closing balances stand for them. None = for ever."""

    events_export_dir: str = ""
    """A folder that months of events are written to, as compressed CSV, before they are dropped; "" = they are not."""

    history_keep_months: int | None = Field(None, ge=1)
    """The same for the history of holds, limits and grants, of which only goes what nothing needs."""

    drain_seconds: float = Field(10.0, ge=0)
    """How long calls under way may take to finish when the server stops."""
