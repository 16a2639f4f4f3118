"""Calls of CatalogService."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from metergate_client.calls.call import Call, to_pb_word
from metergate_client.decode import from_pb_limit
from metergate_client.exact import Amount, amount_text
from metergate_client.quota import Limit, Period, Policy, Scope
from metergate_client.v1 import catalog_pb2


def set_limit(
    meter: str,
    maximum: Amount | None,
    *,
    period: Period = "month",
    policy: Policy = "hard",
    scope: Scope = "customer",
    plan: str = "",
    name: str = "",
    labels: Mapping[str, str] | None = None,
    per_labels: Sequence[str] = (),
) -> Call[catalog_pb2.SetLimitResponse, Limit]:
    """Make or change one limit of a plan (the default one): at most ``maximum`` of ``meter`` per ``period``.

    None as ``maximum`` is unlimited. A plan or meter that does not exist is made with defaults. The limit is found by
    ``name`` (``<meter>/<period>``). Only usage with these ``labels`` counts; each value of ``per_labels`` has a window
    of its own.

    Raises:
        InvalidArgument: The catalog would contradict itself.
    """
    limit = catalog_pb2.Limit(
        name=name,
        meter=meter,
        max="unlimited" if maximum is None else amount_text(maximum),
        period=to_pb_word(catalog_pb2.Period, "PERIOD_", period),
        policy=to_pb_word(catalog_pb2.Policy, "POLICY_", policy),
        scope=to_pb_word(catalog_pb2.Scope, "SCOPE_", scope),
        labels=labels,
        per_labels=per_labels,
    )
    request = catalog_pb2.SetLimitRequest(plan=plan, limit=limit)
    return Call("/metergate.v1.CatalogService/SetLimit", request, catalog_pb2.SetLimitResponse, from_pb_limit)
