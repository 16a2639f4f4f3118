"""Decisions that commits make, as messages: with an id that says all of it again."""

from __future__ import annotations

from decimal import Decimal

from metergate.app.quota.explain import OVERRIDDEN, UNKNOWN, WOULD_REFUSE
from metergate.app.tokens import Sealer
from metergate.domain.answer import Answer
from metergate.domain.decision import Decision, LimitState
from metergate.domain.errors import MetergateError, Reason
from metergate.domain.quantity import to_text
from metergate.domain.quota import Figures, Kind
from metergate.rpc.convert import build_decision
from metergate.v1 import decision_pb2


def to_pb_verdict(sealer: Sealer, tenant: str, answer: Answer, message: decision_pb2.Decision) -> None:
    """Writes the answer's decision into an empty message, with its id."""
    decision = decision_of(answer)
    build_decision(decision, message)
    message.decision_id = sealer.decision(tenant, _content(answer, decision))


def decision_of(answer: Answer) -> Decision:
    """The decision that an answer has by now."""
    assert answer.decision is not None, "first decisions are filled in before"
    return answer.decision


def _content(answer: Answer, decision: Decision) -> list[object]:
    """What `ExplainDecision` needs to work it out again: see `app.quota.explain`."""
    demand = answer.demand
    limits: list[object] = [
        [
            touch.limit.name,
            touch.keys[-1][0 if state.pool else 1 : 4],
            [[key.start, key.end] for key in touch.keys],
            "" if state.limit.max is None else to_text(state.limit.max),
            to_text(demand.amounts[touch.keys[-1]]),
            [to_text(figure) for figure in _figures(touch.limit.kind, state.figures)],
            *([flags] if (flags := _flags(state)) else []),
        ]
        for touch, state in zip(demand.touches, decision.states, strict=True)
    ]
    return [demand.customer, answer.seq, answer.at, decision.allowed, decision.plan, limits]


def _flags(state: LimitState) -> int:
    overridden = OVERRIDDEN if state.limit.overridden else 0
    return overridden | (WOULD_REFUSE if state.would_refuse else 0) | (UNKNOWN if state.unknown else 0)


def _figures(kind: Kind, figures: Figures) -> tuple[Decimal, ...]:
    """What was answered of a counter. A rate's state is nowhere else, as the ledger does not tell it afterwards; and
    where what is granted stands there, the limit is one of grants."""
    if kind is Kind.GRANTS:
        return figures[:6]
    return figures[:5] if figures.tat else figures[:4]


def refusal(decision: Decision, subject: str) -> MetergateError:
    """The refusal as an error, for callers who ask for one."""
    binding = decision.binding
    assert binding is not None, "a refusal has a limit that refuses"
    metadata = {"subject": subject, "limit": binding.limit.name, "meter": binding.limit.meter, "plan": decision.plan}
    return MetergateError(Reason.LIMIT_REACHED, decision.reason, metadata)
