"""Calls that admit and record in one commit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import TypeAlias

from metergate_client.admission import Admission, ConsumeResult, ConsumeResults
from metergate_client.calls.call import Call
from metergate_client.calls.usage import to_pb_event
from metergate_client.decode import from_pb_decision, from_pb_receipt, from_pb_span, from_pb_word
from metergate_client.events import Event
from metergate_client.exact import Amount
from metergate_client.ids import new_id
from metergate_client.v1 import quota_pb2, usage_event_pb2

_SERVICE = "/metergate.v1.QuotaService/"

Unit: TypeAlias = Event | Sequence[Event]
"""One piece of work: an event, or several that are admitted together or not at all."""


def consume(
    event_type: str,
    amount: Amount | None = None,
    *,
    subject: str,
    values: Mapping[str, Amount] | None = None,
    labels: Mapping[str, str] | None = None,
    event_id: str | None = None,
    source: str = "",
) -> Call[quota_pb2.ConsumeQuotaResponse, Admission]:
    """Admit and record in one commit that ``subject`` uses ``amount`` (1) of ``event_type``; else change nothing.

    A refusal is an answer, which is false. The id is fixed before the first try, so that every retry is the same unit
    and is charged once. It counts in the windows of the commit.

    Raises:
        Conflict: The id is known with other content.
        NotFound: No meter selects this type, or no such subject.
        InvalidArgument: It breaks a rule.
        Unavailable: No answer came. Give the error's ``events`` to ``consume_unit`` later: they are charged once.
    """
    made = new_id() if event_id is None else event_id
    # No time: the server's clock says when it was admitted, and no clock of ours can have it refused.
    return consume_unit([Event(event_type, subject, amount, values or {}, labels or {}, made, None, source)])


def consume_unit(events: Iterable[Event]) -> Call[quota_pb2.ConsumeQuotaResponse, Admission]:
    """Admit and record up to 100 events of one customer in one commit, all of them or none.

    Raises:
        Conflict: An id is known with other content, or some of the ids are known and others are not.
        NotFound: An unknown meter or subject.
        InvalidArgument: An event breaks a rule.
        Unavailable: No answer came. Repeat the call with the same events (the error's ``events``).
    """
    fixed = tuple(events)

    def read(reply: quota_pb2.ConsumeQuotaResponse) -> Admission:
        decision = from_pb_decision(reply.decision)
        receipts = tuple(from_pb_receipt(receipt) for receipt in reply.receipts)
        figures = {name: getattr(decision, name) for name in decision.__dataclass_fields__}
        return Admission(**figures, receipts=receipts, token=reply.token)

    return Call(f"{_SERVICE}ConsumeQuota", _request(fixed), quota_pb2.ConsumeQuotaResponse, read, fixed)


def consume_batch(
    units: Iterable[Unit], *, details: bool = False
) -> Call[quota_pb2.BatchConsumeQuotaResponse, ConsumeResults]:
    """Decide on up to 5,000 units in one call, each on its own and in their order: one that fails does not raise.

    A unit is an ``Event``, or a sequence of events that are admitted together or not at all. Returns a result for each
    unit, in order; ``details`` asks for their whole decisions.

    Raises:
        Unavailable: No answer came. Repeat the call with the same units: they are charged once.
    """
    fixed = [(unit,) if isinstance(unit, Event) else tuple(unit) for unit in units]
    request = quota_pb2.BatchConsumeQuotaRequest(consumes=map(_request, fixed), details=details)

    def read(reply: quota_pb2.BatchConsumeQuotaResponse) -> ConsumeResults:
        return ConsumeResults(tuple(map(_result, reply.results)), reply.token)

    events = tuple(chain.from_iterable(fixed))
    return Call(f"{_SERVICE}BatchConsumeQuota", request, quota_pb2.BatchConsumeQuotaResponse, read, events)


def _request(events: tuple[Event, ...]) -> quota_pb2.ConsumeQuotaRequest:
    return quota_pb2.ConsumeQuotaRequest(events=map(to_pb_event, events))


def _result(result: quota_pb2.ConsumeResult) -> ConsumeResult:
    return ConsumeResult(
        allowed=result.allowed,
        outcome=from_pb_word(usage_event_pb2.Outcome, "OUTCOME_", result.outcome),
        binding_limit=result.binding_limit,
        retry_after=from_pb_span(result, "retry_after"),
        decision=from_pb_decision(result.decision) if result.HasField("decision") else None,
        error_reason=result.error_reason,
        error_message=result.error_message,
    )
