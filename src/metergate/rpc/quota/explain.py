"""QuotaService, the part that explains: decode, call one verb, encode."""

from __future__ import annotations

from dataclasses import dataclass

from metergate.app.ports.readers import Behind
from metergate.app.quota.explain import ExplainDecision
from metergate.app.tokens import Sealer
from metergate.domain.decision import LimitState
from metergate.domain.quantity import to_text
from metergate.domain.quota import Kind
from metergate.rpc.call import Call
from metergate.rpc.convert import build_decision, to_pb_limit_state
from metergate.v1 import quota_pb2

_EVENTS, _EVENTS_MOST = 100, 1_000


@dataclass(frozen=True, slots=True)
class ExplainService:
    """The servicer."""

    explain: ExplainDecision
    sealer: Sealer

    async def ExplainDecision(
        self, request: quota_pb2.ExplainDecisionRequest, call: Call
    ) -> quota_pb2.ExplainDecisionResponse:
        """What was decided, and from what."""
        content = self.sealer.open_decision(call.caller.tenant, request.decision_id)
        most = min(request.events or _EVENTS, _EVENTS_MOST)
        explained = await self.explain.explain(call.caller, content, most)
        response = quota_pb2.ExplainDecisionResponse(
            confirmed=explained.confirmed,
            customer=explained.customer,
            seq=explained.seq,
            limits=[
                _to_pb_explained(state, behind)
                for state, behind in zip(explained.decision.states, explained.behind, strict=True)
            ],
        )
        build_decision(explained.decision, response.decision)
        response.decision.decision_id = request.decision_id
        return response


def _to_pb_explained(state: LimitState, behind: Behind) -> quota_pb2.ExplainedLimit:
    return quota_pb2.ExplainedLimit(
        state=to_pb_limit_state(state),
        events=[
            quota_pb2.RecordedId(id=one.id, source=one.source, seq=one.seq, value=to_text(one.value))
            for one in behind.events
        ],
        event_count=behind.count,
        holds=[
            quota_pb2.HeldCapacity(
                id=one.id,
                reserved=to_text(one.figures.reserved),
                leased=to_text(one.figures.leased),
                forfeited=to_text(one.figures.forfeited),
            )
            for one in behind.holds
        ],
        grants=[
            quota_pb2.BurnedGrant(
                id=one.id, brought=to_text(one.brought), burned=to_text(one.burned), lost=to_text(one.lost)
            )
            for one in behind.grants
            if state.limit.kind is Kind.GRANTS
        ],
    )
