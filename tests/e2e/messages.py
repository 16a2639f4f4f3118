"""Requests that make sense, one for each method, and strategies that spoil them in every way that bytes can be."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from hypothesis import strategies as st

from tests.e2e.calls import request_type, stamp

_EVENT = {
    "id": "e-1", "source": "api", "type": "calls", "subject": "acme-a", "amount": "1.5", "settles": "lease-1",
    "values": {"tokens": "12"}, "labels": {"region": "eu", "route": "/"},
}  # fmt: skip
_USE = {**{name: value for name, value in _EVENT.items() if name != "settles"}, "amount": "0.1"}
_AMOUNTS = [{"meter": "calls", "amount": "2", "labels": {"region": "eu"}}, {"meter": "tokens"}]
_LIMITS = [
    {"name": "calls/month", "meter": "calls", "max": "1000", "per_labels": ["region"]},
    {"meter": "calls", "max": "5", "period": "PERIOD_DAY", "scope": "SCOPE_SUBJECT", "labels": {"region": "eu"}},
    {"meter": "tokens", "max": "unlimited", "policy": "POLICY_SOFT"},
]
_PRICES = [
    {"name": "base", "currency": "USD", "unit_amount": "10", "display_name": "Sold"},
    {
        "name": "calls", "model": "PRICE_MODEL_GRADUATED", "currency": "USD", "meter": "calls",
        "per_labels": ["region"],
        "tiers": [{"up_to": "100", "unit_amount": "0.10"}, {"unit_amount": "0.0000025", "flat_amount": "1"}],
        "minimum": "1", "maximum": "500",
    },
]  # fmt: skip
CATALOG: dict[str, Any] = {
    "meters": [
        {"name": "calls", "event_type": "calls", "dimensions": ["region", "route"], "unit": "call", "description": "x"},
        {"name": "tokens", "event_type": "calls", "aggregation": "AGGREGATION_SUM", "value": "tokens"},
    ],
    "plans": [
        {"name": "default", "limits": _LIMITS, "display_name": "Default"}, {"name": "pro"},
        {
            "name": "sold", "prices": _PRICES,
            "features": [
                {"feature": "tokens", "included": "1000", "overage": {"USD": "0.001"}},
                {"feature": "support", "value": "24h"},
            ],
        },
    ],
    "default_plan": "default",
    "features": [
        {"name": "tokens", "kind": "FEATURE_KIND_METERED", "meter": "tokens"},
        {"name": "support", "kind": "FEATURE_KIND_STATIC", "display_name": "Support"},
    ],
    "coupons": [{"name": "WELCOME", "percent": "10"}],
    "tax_rates": [{"name": "de", "percent": "19", "country": "DE", "display_name": "USt"}],
    "seller": {"name": "Example Ltd", "address": ["1 High Street"], "tax_ids": ["VAT 1"], "due_days": 7},
}  # fmt: skip
_ITEMS = [{"plan": "sold", "version": 1, "quantity": "2"}]
_DETAILS = {
    "name": "Payer GmbH", "address": ["Weg 1", "12345 Ort"], "country": "DE", "email": "a@example.com",
    "tax_ids": ["DE1"], "tax_rates": ["de"], "notes": "x",
}  # fmt: skip

NOBODY_LISTENS = "http://127.0.0.1:9/"


@dataclass(frozen=True)
class Ids:
    """What requests name that the server made: three reservations, leases to go on with and to return, one that is
    forfeited, a decision, a grant, webhook endpoints to go on with and to take away, and backfills: one to go on with,
    one to throw away, one to commit and one that is committed; subscriptions to go on with, in a trial, in a pause,
    with a change to come and to cancel, a draft, and open invoices to pay, to void, to write off and to credit."""

    extended: str = "r_1"
    committed: str = "r_2"
    released: str = "r_3"
    synced: str = "l_1"
    returned: str = "l_2"
    forfeited: str = "l_3"
    decision: str = "d_1"
    grant: str = "g_1"
    endpoint: str = "we_1"
    removed: str = "we_2"
    backfill: str = "b_1"
    discarded: str = "b_2"
    applied: str = "b_3"
    reverted: str = "b_4"
    subscription: str = "sub_1"
    trialing: str = "sub_2"
    paused: str = "sub_3"
    changing: str = "sub_4"
    canceled: str = "sub_5"
    draft: str = "inv_1"
    paid: str = "inv_2"
    voided: str = "inv_3"
    lost: str = "inv_4"
    credited: str = "inv_5"


def good_requests(ids: Ids = Ids()) -> dict[str, Message]:
    """A request for each method that a tenant with this catalog and customer `acme` would be answered."""
    span = {"start_time": stamp(-7_200), "end_time": stamp(60)}
    fields: dict[str, dict[str, Any]] = {
        "RecordUsage": {"event": {**_EVENT, "time": stamp(-5)}, "include_limits": True},
        "BatchRecordUsage": {"events": [_EVENT, {**_EVENT, "id": "e-2"}], "backfill": True},
        "AmendUsage": {
            "event": {**_EVENT, "amount": "2"}, "reason": "x", "backfill": True, "request_id": "amend-1",
        },
        "VoidUsage": {"id": "e-2", "source": "api", "reason": "x", "expected_version": 1, "request_id": "void-1"},
        "GetUsageHistory": {"id": "e-1", "source": "api", "page_size": 1},
        "OpenBackfill": {
            "reason": "x", "replace": {"customers": ["acme"], "types": ["calls"], **span}, "request_id": "open-1",
        },
        "LoadBackfill": {"id": ids.backfill, "events": [{**_USE, "id": "b-1", "time": stamp(-9e6)}]},
        "PreviewBackfill": {"id": ids.backfill, "page_size": 1},
        "CommitBackfill": {"id": ids.applied},
        "DiscardBackfill": {"id": ids.discarded},
        "RevertBackfill": {"id": ids.reverted},
        "GetBackfill": {"id": ids.backfill},
        "ListBackfills": {"state": "BACKFILL_STATE_OPEN", "page_size": 1},
        "ListBackfillProblems": {"id": ids.backfill, "page_size": 1},
        "ReconcileUsage": {"customer": "acme", "repair_view": True},
        "GetUsageSummary": {
            "customer": "acme", "meters": ["calls"], "granularity": "GRANULARITY_HOUR", "time_zone": "Asia/Kathmandu",
            "group_by": ["region", "subject", "other"], "filters": {"region": "eu"},
            "filters_any": {"other": {"values": ["", "a"]}}, "top": 5, "compare": True,
            "projection": "PROJECTION_METHOD_LINEAR", **span,
        },
        "WatchUsage": {"customer": "acme", "after_seq": 0, "types": ["calls"], "meters": ["calls"]},
        "ListUsageEvents": {"customer": "acme", "subject": "acme-a", "type": "calls", "page_size": 5, **span},
        "CheckQuota": {"subject": "acme-a", "amounts": _AMOUNTS},
        "BatchCheckQuota": {"checks": [{"subject": "acme-a", "amounts": _AMOUNTS}] * 2},
        "ListLimits": {"subject": "acme-a", "meters": ["calls"]},
        "ConsumeQuota": {"events": [{**_USE, "id": "c-1", "time": stamp(-5)}, {**_USE, "id": "c-2"}]},
        "BatchConsumeQuota": {
            "consumes": [
                {"events": [{**_USE, "id": "c-3"}]},
                {"events": [{**_USE, "id": "c-4"}], "refuse_as_status": True},
            ],
            "details": True,
        },
        "ReserveQuota": {
            "subject": "acme-a", "amounts": _AMOUNTS, "ttl": {"seconds": 60}, "partial_ok": True, "request_id": "r-1",
        },
        "ExtendReservation": {"reservation_id": ids.extended, "ttl": {"seconds": 600, "nanos": 5_000}},
        "CommitReservation": {"reservation_id": ids.committed, "events": [{**_USE, "id": "c-5"}]},
        "ReleaseReservation": {"reservation_id": ids.released},
        "AcquireLease": {
            "subject": "acme-a", "meter": "tokens", "labels": {"region": "eu"}, "holder": "h", "amount": "5",
            "request_id": "l-1",
        },
        "SyncLeases": {"marks": [
            {"lease_id": ids.synced, "spent": "1", "returned": "2", "wanted": "9"},
            {"lease_id": "l_none", "spent": "1.5", "close": True},
        ]},
        "ReturnLease": {"lease_id": ids.returned, "spent": "1"},
        "ReleaseLease": {"lease_id": ids.forfeited},
        "ExplainDecision": {"decision_id": ids.decision, "events": 5},
        "ApplyCatalog": {"catalog": CATALOG, "request_id": "apply-1"},
        "GetCatalog": {},
        "ListPrices": {"currency": "USD", "interval": "PRICE_INTERVAL_MONTH", "plans": ["sold"]},
        "SetLimit": {"plan": "pro", "limit": _LIMITS[1], "request_id": "set-1"},
        "CreateCustomer": {
            "customer": {
                "id": "acme", "name": "Acme", "plan": "pro", "time_zone": "Asia/Kathmandu", "anchor_time": stamp(-9e6),
            },
            "request_id": "create-1",
        },
        "UpdateCustomer": {
            "customer": {"id": "acme", "name": "Acme", "time_zone": "Europe/Paris", "anchor_time": stamp(-9e6)},
            "update_mask": {"paths": ["name", "time_zone", "anchor_time"]}, "request_id": "update-1",
        },
        "SetLimitOverride": {
            "customer": "acme", "limit": "calls/month", "max": "2000", "start_time": stamp(-60),
            "end_time": stamp(86_400), "request_id": "override-1",
        },
        "DeleteLimitOverride": {
            "customer": "acme", "limit": "calls/month", "start_time": stamp(-9e6), "request_id": "override-2",
        },
        "ListLimitEvents": {"customer": "acme", "page_size": 1},
        "GetCustomer": {"id": "acme"},
        "ListCustomers": {"page_size": 1},
        "AssignPool": {"customer": "group", "pool": "acme", "request_id": "pool-1"},
        "MoveSubject": {"subject": "spare-s", "customer": "spare-b", "request_id": "move-1"},
        "MergeCustomers": {"customer": "spare-c", "into": "spare-b", "request_id": "merge-1"},
        "ListSubjectMoves": {"customer": "acme", "subject": "acme-a", "page_size": 1},
        "ExportCustomer": {"customer": "acme", "page_size": 1},
        "EraseCustomer": {
            "customer": "spare-d", "erase_dimensions": True, "erase_event_ids": True, "new_id": "spare-e",
            "request_id": "erase-1",
        },
        "ListErasures": {"customer": "acme", "page_size": 1},
        "AssignPlan": {"customer": "acme", "plan": "pro", "request_id": "assign-1"},
        "CreateSubject": {"subject": {"id": "acme-a", "customer": "acme"}, "request_id": "subject-1"},
        "ListSubjects": {"customer": "acme", "page_size": 1},
        "CheckFeature": {"subject": "acme-a", "feature": "tokens"},
        "CreateGrant": {
            "customer": "acme", "meter": "calls", "amount": "10.5", "priority": 1, "start_time": stamp(-60),
            "end_time": stamp(86_400), "recurs": "PERIOD_DAY", "rollover_min": "1", "rollover_max": "2",
            "request_id": "grant-1",
        },
        "VoidGrant": {"grant_id": ids.grant},
        "ListGrants": {"customer": "acme", "meter": "calls", "include_ended": True, "page_size": 1},
        "ListGrantMoves": {"customer": "acme", "meter": "calls", "grant_id": ids.grant, "page_size": 1},
        "CreateEndpoint": {
            "endpoint": {"url": NOBODY_LISTENS, "types": ["usage.recorded"], "description": "x"},
            "request_id": "hook-1",
        },
        "UpdateEndpoint": {
            "endpoint": {"id": ids.endpoint, "url": NOBODY_LISTENS, "types": ["limit.exceeded"], "description": "x"},
            "update_mask": {"paths": ["url", "types", "description"]}, "request_id": "hook-2",
        },
        "DeleteEndpoint": {"id": ids.removed, "request_id": "hook-3"},
        "ListEndpoints": {},
        "RotateEndpointSecret": {"id": ids.endpoint, "request_id": "hook-4"},
        "SendTestEvent": {"id": ids.endpoint},
        "ListDeliveries": {"endpoint": ids.endpoint, "customer": "acme", "state": "STATE_DEAD", "page_size": 1},
        "SetBudget": {"subscription": ids.subscription, "amount": "100.50", "thresholds": [50, 100]},
        "GetBudget": {"subscription": ids.subscription},
        "ReplayDeliveries": {"endpoint": ids.endpoint, "customer": "acme", **span},
        "CreateSubscription": {
            "customer": "payer", "items": _ITEMS, "currency": "USD", "interval": "PRICE_INTERVAL_MONTH",
            "start_time": stamp(-60), "trial_end_time": stamp(86_400), "trial_days": 1, "cancel_after_trial": True,
            "anchor_day": 31, "coupons": ["WELCOME"],
            "custom_prices": [{**_PRICES[0], "unit_amount": "9"}], "request_id": "sub-1",
        },
        "ChangeSubscription": {
            "id": ids.subscription, "items": _ITEMS, "custom_prices": _PRICES[:1], "at_period_end": True,
            "request_id": "sub-2",
        },
        "ActivateSubscription": {"id": ids.trialing, "request_id": "sub-3"},
        "PauseSubscription": {"id": ids.trialing, "request_id": "sub-4"},
        "ResumeSubscription": {"id": ids.paused, "request_id": "sub-5"},
        "CancelSubscription": {"id": ids.canceled, "at_period_end": True, "request_id": "sub-6"},
        "UndoSubscription": {"id": ids.changing, "request_id": "sub-7"},
        "ApplyCoupon": {"id": ids.subscription, "coupon": "WELCOME", "request_id": "sub-8"},
        "GetSubscription": {"id": ids.subscription},
        "ListSubscriptions": {"customer": "payer", "page_size": 1},
        "SetBillingDetails": {"customer": "payer", "details": _DETAILS, "request_id": "details-1"},
        "GetBillingDetails": {"customer": "payer"},
        "PreviewInvoice": {"subscription": ids.subscription, "projected": True},
        "ClosePeriods": {"subscriptions": [ids.subscription]},
        "ListInvoices": {
            "customer": "payer", "subscription": ids.subscription, "state": "STATE_OPEN", "page_size": 1,
        },
        "GetInvoice": {"id": ids.credited},
        "FinalizeInvoice": {"id": ids.draft, "notes": "x", "metadata": {"crm": "42"}, "request_id": "inv-1"},
        "PayInvoice": {
            "id": ids.paid, "amount": {"currency": "USD", "minor_units": 1_000, "text": "10.00"}, "method": "transfer",
            "reference": "x", "request_id": "inv-2",
        },
        "VoidInvoice": {"id": ids.voided, "request_id": "inv-3"},
        "MarkInvoiceUncollectible": {"id": ids.lost, "request_id": "inv-4"},
        "CreateCreditNote": {
            "invoice": ids.credited, "reason": "x", "request_id": "inv-5",
            "lines": [
                {"line": 1, "amount": {"currency": "USD", "text": "1.00"}, "description": "x", "quantity": "0.1"},
            ],
        },
        "ListCreditNotes": {"invoice": ids.credited},
        "ListPayments": {"invoice": ids.paid},
        "GetInvoicePdf": {"id": ids.credited},
        "ExplainInvoiceLine": {"invoice": ids.credited, "line": 1, "page_size": 1},
    }  # fmt: skip
    return {method: request_type(method)(**one) for method, one in fields.items()}


_TEXTS = st.one_of(
    st.sampled_from([
        "", "acme", "acme-a", "calls", "tokens", "default", "pro", "region", "eu", "nobody", "subject", "unlimited",
        "NaN", "sNaN", "-Infinity", "1e400", "-1", "0", "-0", "1.", ".5", "1" * 19, "0." + "0" * 13, "١٢", "0x10",
        "999999999999999999.999999999999", "UTC", "Europe", "../../etc/passwd", "Europe/Paris\x00", "/etc/localtime",
        "\x00", "a\x00b", "a\x1fb", "\x7f", "\x85", "\u2028", "\ufeff", "\ud7ff", "\U0010ffff", "'; DROP TABLE x; --",
        "{}", "\\", '"', "\\u0000", "%00", "x" * 65, "x" * 129, "x" * 257, "é" * 128, "x" * 10_000,
    ]),
    st.text(max_size=20),
)  # fmt: skip
_INT32 = st.sampled_from([0, 1, -1, 2, 5, 99, 1_000, 1_001, 2**31 - 1, -(2**31)])
_INT64 = st.sampled_from([0, 1, -1, 10**9, 7_258_118_400, 253_402_300_800, 2**53, 2**63 - 1, -(2**63)])
_SCALARS: dict[int, st.SearchStrategy[Any]] = {
    FieldDescriptor.TYPE_STRING: _TEXTS,
    FieldDescriptor.TYPE_BOOL: st.booleans(),
    FieldDescriptor.TYPE_INT32: _INT32,
    FieldDescriptor.TYPE_ENUM: _INT32,
    FieldDescriptor.TYPE_INT64: _INT64,
    FieldDescriptor.TYPE_BYTES: st.sampled_from([b"", b"\x00", b"\x89PNG\r\n\x1a\n", b"<svg", b"x" * 300_000]),
}

# Sets one field of one message to a value that is drawn.
Spoil = Callable[[Any], None]


def _places(message: Message) -> Iterator[tuple[Message, FieldDescriptor]]:
    """Every field of the message and of the messages in it."""
    for field in message.DESCRIPTOR.fields:
        yield message, field
        if field.message_type is None or _is_map(field):
            continue
        inner = getattr(message, field.name)
        for one in inner if field.is_repeated else [inner] if message.HasField(field.name) else []:
            yield from _places(one)


def _is_map(field: FieldDescriptor) -> bool:
    return field.message_type is not None and field.message_type.GetOptions().map_entry


def _put(message: Message, field: FieldDescriptor, key: str, text: str) -> None:
    """A text in a map; where its values are messages, in the list of texts that these are."""
    assert field.message_type is not None
    entries, value = getattr(message, field.name), field.message_type.fields_by_name["value"].message_type
    if value is None:
        entries[key] = text
    else:
        getattr(entries[key], value.fields[0].name).append(text)


def _spoil(draw: Any, message: Message, field: FieldDescriptor) -> None:
    if _is_map(field):
        count = draw(st.sampled_from([1, 1, 1, 17, 400]))
        for number in range(count):
            _put(message, field, draw(_TEXTS) if count == 1 else f"k{number}", draw(_TEXTS))
    elif field.message_type is not None and field.is_repeated:
        values = getattr(message, field.name)
        if not values or draw(st.booleans()):
            values.add()
        else:
            values.extend([values[0]] * draw(st.sampled_from([1, 20, 120])))
    elif field.message_type is not None:
        if message.HasField(field.name) and draw(st.booleans()):
            message.ClearField(field.name)
        else:
            getattr(message, field.name).SetInParent()
    elif field.is_repeated:
        values = getattr(message, field.name)
        values.extend([draw(_SCALARS[field.type])] * draw(st.sampled_from([1, 1, 1, 25])))
    else:
        setattr(message, field.name, draw(_SCALARS[field.type]))


@st.composite
def spoilt(draw: Any, good: Message) -> Message:
    """The request, or an empty one, with a few fields set to something else, and perhaps with fields of the future."""
    message = type(good)()
    if draw(st.integers(0, 9)):
        message.CopyFrom(good)
    for _ in range(draw(st.integers(1, 3))):
        places = list(_places(message))
        if places:
            _spoil(draw, *draw(st.sampled_from(places)))
    if not draw(st.integers(0, 4)):
        message.MergeFromString(b"\xfa\x7f\x03abc\xf0\x7f\x2a")  # fields 2047 and 2046
    return message


# Each kind of text that some store, screen or header does not take.
NASTY = ("a\x00b", "a\x1fb", "\x7f", "\ufffe\U0010ffff", "'\\\"{},", "x" * 300, "x" * 20_000)
_NUMBERS = (-1, 2**31 - 1, -(2**31))


def with_each_text(good: Message, text: str) -> Iterator[Message]:
    """The request with each of its texts in turn replaced by this one: keys and values of maps as well."""
    for place in range(len(list(_places(good)))):
        message, inner, field = _copied(good, place)
        values = getattr(inner, field.name)
        if _is_map(field):
            for key in (*values, None):
                message, inner, field = _copied(good, place)
                _put(inner, field, text if key is None else key, "1" if key is None else text)
                yield message
        elif field.type == FieldDescriptor.TYPE_STRING:
            if field.is_repeated:
                values.append(text)
            else:
                setattr(inner, field.name, text)
            yield message


def with_each_number(good: Message) -> Iterator[Message]:
    """The request with each of its numbers in turn at the bounds of its type."""
    for place in range(len(list(_places(good)))):
        for number in _NUMBERS:
            message, inner, field = _copied(good, place)
            if field.type in (FieldDescriptor.TYPE_INT32, FieldDescriptor.TYPE_ENUM) and not field.is_repeated:
                setattr(inner, field.name, number)
                yield message
            elif field.type == FieldDescriptor.TYPE_INT64:
                setattr(inner, field.name, number << 32)
                yield message


def with_bad_utf8(good: Message) -> Iterator[bytes]:
    """The request's bytes, with each text in turn made invalid UTF-8."""
    mark, bad = "\x01\x02\x03\x04", b"\xff\xc0\x80\xfe"
    for message in with_each_text(good, mark):
        yield message.SerializeToString().replace(mark.encode(), bad)


def _copied(good: Message, place: int) -> tuple[Any, Any, FieldDescriptor]:
    """A copy of the request, and the message and field at that place of it."""
    message = type(good)()
    message.CopyFrom(good)
    inner, field = list(_places(message))[place]
    return message, inner, field


@st.composite
def broken(draw: Any, good: Message) -> bytes:
    """Bytes of any kind: random ones, and the request's own cut off, repeated or with some of them changed."""
    encoded = good.SerializeToString()
    if not encoded or draw(st.booleans()):
        return draw(st.binary(max_size=200))
    place = draw(st.integers(0, len(encoded) - 1))
    kinds = {
        "cut": encoded[:place],
        "changed": encoded[:place] + bytes([draw(st.integers(0, 255))]) + encoded[place + 1 :],
        "filled": encoded[:place] + draw(st.binary(max_size=20)) + encoded[place:],
        "twice": encoded + encoded[place:],
        "nested": b"\x0b" * draw(st.sampled_from([1, 99, 5_000])),
    }
    return kinds[draw(st.sampled_from(sorted(kinds)))]
