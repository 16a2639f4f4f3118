"""Calls of CatalogService."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from metergate_client.calls.call import Call, to_pb_most, to_pb_span, to_pb_word
from metergate_client.decode import from_pb_limit
from metergate_client.exact import Amount, Span, amount_text
from metergate_client.ids import new_id
from metergate_client.limit import Kind, Limit, Period, Policy, Scope, Weekday, WhenViewGone
from metergate_client.v1 import catalog_pb2


def set_limit(
    meter: str,
    maximum: Amount | None,
    *,
    period: Period | None = None,
    policy: Policy = "hard",
    scope: Scope = "customer",
    plan: str = "",
    name: str = "",
    labels: Mapping[str, str] | None = None,
    per_labels: Sequence[str] = (),
    kind: Kind = "calendar",
    length: Span | None = None,
    sub_windows: int = 0,
    week_start: Weekday | None = None,
    burst: Amount | None = None,
    grace: Amount | None = None,
    shadow: bool = False,
    thresholds: Sequence[int] = (),
    when_view_gone: WhenViewGone = "ledger",
) -> Call[catalog_pb2.SetLimitResponse, Limit]:
    """Make or change one limit of a plan (the default one): at most ``maximum`` of ``meter`` per ``period`` (a month).

    None as ``maximum`` is unlimited. A plan or meter that does not exist is made with defaults. The limit is found by
    ``name`` (``<meter>/<period>``). Only usage with these ``labels`` counts; each value of ``per_labels`` has a window
    of its own.

    ``kind`` says what it holds down: "calendar" and "anchored" (to the customer's ``anchor``) windows of ``period``;
    "fixed" and "rolling" windows of ``length``; "lifetime"; a "rate" of ``maximum`` per ``length``, with ``burst`` at
    once; "concurrency", what is reserved at once; "grants", what the customer's grants hold (``maximum`` is None).

    ``policy`` "soft" allows any overrun, "grace" one of up to ``grace``; a ``shadow`` limit decides and never refuses.
    Each of ``thresholds``, in percent, fires once per window: see ``limit_events``.

    Raises:
        InvalidArgument: The catalog would contradict itself.
    """
    limit = catalog_pb2.Limit(
        name=name,
        meter=meter,
        max="" if kind == "grants" and maximum is None else to_pb_most(maximum),
        period=None if period is None else to_pb_word(catalog_pb2.Period, "PERIOD_", period),
        policy=to_pb_word(catalog_pb2.Policy, "POLICY_", policy),
        scope=to_pb_word(catalog_pb2.Scope, "SCOPE_", scope),
        labels=labels,
        per_labels=per_labels,
        kind=to_pb_word(catalog_pb2.LimitKind, "LIMIT_KIND_", kind),
        length=to_pb_span(length),
        sub_windows=sub_windows,
        week_start=None if week_start is None else to_pb_word(catalog_pb2.Weekday, "WEEKDAY_", week_start),
        burst=None if burst is None else amount_text(burst),
        grace=None if grace is None else amount_text(grace),
        shadow=shadow,
        thresholds=thresholds,
        when_view_gone=to_pb_word(catalog_pb2.WhenViewGone, "WHEN_VIEW_GONE_", when_view_gone),
    )
    request = catalog_pb2.SetLimitRequest(plan=plan, limit=limit, request_id=new_id())
    return Call("/metergate.v1.CatalogService/SetLimit", request, catalog_pb2.SetLimitResponse, from_pb_limit)
