"""The one place that builds everything and joins the rooms."""

from metergate.wiring.close import billing_failures, close_periods
from metergate.wiring.diagnose import Finding, diagnose
from metergate.wiring.operate import (
    DEV_TENANT,
    KeyInfo,
    bootstrap,
    create_key,
    list_keys,
    retention_plan,
    retention_run,
    revoke_key,
)
from metergate.wiring.server import Running, server

__all__ = [
    "DEV_TENANT",
    "Finding",
    "KeyInfo",
    "Running",
    "billing_failures",
    "bootstrap",
    "close_periods",
    "create_key",
    "diagnose",
    "list_keys",
    "retention_plan",
    "retention_run",
    "revoke_key",
    "server",
]
