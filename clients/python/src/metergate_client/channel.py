"""How calls travel: retries, keepalive, TLS. The same for both clients."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from google.protobuf.descriptor import FileDescriptor, MethodDescriptor, ServiceDescriptor

from metergate_client.v1 import catalog_pb2, customer_pb2, quota_pb2, usage_pb2

_FILES: Sequence[FileDescriptor] = tuple(m.DESCRIPTOR for m in (catalog_pb2, customer_pb2, quota_pb2, usage_pb2))
# Usage and consumption are keyed by event ids, reservations and leases by request ids or by their own, with figures
# that only grow; changes of the catalog and of customers by request ids, which this client makes before the first try.
# Checks change nothing, and what was voided or released stays so. ApplyCatalog, which it does not call, is left out.
_REPEATABLE = (
    "RecordUsage",
    "BatchRecordUsage",
    "CheckQuota",
    "BatchCheckQuota",
    "CheckFeature",
    "ConsumeQuota",
    "BatchConsumeQuota",
    "ReserveQuota",
    "ExtendReservation",
    "CommitReservation",
    "ReleaseReservation",
    "AcquireLease",
    "SyncLeases",
    "ReturnLease",
    "ReleaseLease",
    "ExplainDecision",
    "SetLimit",
    "CreateCustomer",
    "UpdateCustomer",
    "AssignPlan",
    "AssignPool",
    "SetLimitOverride",
    "DeleteLimitOverride",
    "CreateSubject",
    "CreateGrant",
    "VoidGrant",
)
_RECEIVE_BYTES = 64 * 1024 * 1024


def services() -> list[ServiceDescriptor]:
    """Every service of the contract."""
    return [service for file in _FILES for service in file.services_by_name.values()]


def is_repeatable(method: MethodDescriptor) -> bool:
    """Whether a call of this method may be sent again when its answer did not come."""
    return method.name in _REPEATABLE or method.name.startswith(("Get", "List", "Watch"))


def service_config() -> dict[str, Any]:
    """gRPC's own retries (proposal A6).

    UNAVAILABLE alone is retried, and only where repeating is harmless: at most 5 attempts in all (gRPC's cap), with
    waits of 0.1, 0.2, 0.4 and 0.8 s, each varied at random, within the call's deadline. A server's pushback is obeyed.
    Each failure costs one of 10 tokens and each success gives back a tenth; at 5 or fewer nothing is retried, so that
    clients do not multiply the load of a server in trouble.
    """
    names = [{"service": s.full_name, "method": m.name} for s in services() for m in s.methods if is_repeatable(m)]
    policy = {
        "maxAttempts": 5,
        "initialBackoff": "0.1s",
        "maxBackoff": "1s",
        "backoffMultiplier": 2,
        "retryableStatusCodes": ["UNAVAILABLE"],
    }
    return {
        "methodConfig": [{"name": names, "retryPolicy": policy}],
        "retryThrottling": {"maxTokens": 10, "tokenRatio": 0.1},
    }


def options() -> list[tuple[str, Any]]:
    """The channel's options.

    A ping after 60 s of silence while calls are open, 20 s for its answer: what the server permits. Up to 64 MiB are
    taken in, since a page of events or a batch of decisions may pass gRPC's own 4 MiB.
    """
    return [
        ("grpc.enable_retries", 1),
        ("grpc.service_config", json.dumps(service_config())),
        ("grpc.keepalive_time_ms", 60_000),
        ("grpc.keepalive_timeout_ms", 20_000),
        ("grpc.max_receive_message_length", _RECEIVE_BYTES),
    ]
