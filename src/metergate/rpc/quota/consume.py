"""QuotaService, the part that admits and records at once: decode, call one verb, encode."""

from __future__ import annotations

from dataclasses import dataclass

from metergate.app.quota.consume import ConsumeQuota, Unit
from metergate.app.tokens import Sealer
from metergate.domain.answer import Answer
from metergate.domain.errors import MetergateError
from metergate.domain.usage import Outcome
from metergate.rpc.call import Call
from metergate.rpc.convert import from_pb_event, to_pb_duration, to_pb_receipt
from metergate.rpc.quota.verdict import decision_of, refusal, to_pb_verdict
from metergate.v1 import decision_pb2, quota_pb2, usage_event_pb2


@dataclass(frozen=True, slots=True)
class ConsumeService:
    """The servicer."""

    consume: ConsumeQuota
    sealer: Sealer

    async def ConsumeQuota(self, request: quota_pb2.ConsumeQuotaRequest, call: Call) -> quota_pb2.ConsumeQuotaResponse:
        """One unit."""
        unit = _unit(request, call.caller.service)
        consumed = await self.consume.consume(call.caller, [unit])
        answer = consumed.answers[0]
        if isinstance(answer, MetergateError):
            raise answer
        if request.refuse_as_status and not answer.allowed:
            raise refusal(decision_of(answer), request.events[0].subject)
        response = quota_pb2.ConsumeQuotaResponse(
            receipts=[to_pb_receipt(receipt) for receipt in answer.receipts],
            token=self.sealer.write(call.caller.tenant, consumed.seqs),
        )
        to_pb_verdict(self.sealer, call.caller.tenant, answer, response.decision)
        for receipt in response.receipts:
            if receipt.outcome == usage_event_pb2.OUTCOME_DUPLICATE:
                receipt.decision.CopyFrom(response.decision)
        return response

    async def BatchConsumeQuota(
        self, request: quota_pb2.BatchConsumeQuotaRequest, call: Call
    ) -> quota_pb2.BatchConsumeQuotaResponse:
        """Many units, each on its own."""
        tenant, service = call.caller.tenant, call.caller.service
        units: list[Unit | MetergateError] = []
        for one in request.consumes:
            try:
                units.append(_unit(one, service))
            except MetergateError as error:
                units.append(error)
        consumed = await self.consume.consume(call.caller, units, request.details)
        response = quota_pb2.BatchConsumeQuotaResponse(token=self.sealer.write(tenant, consumed.seqs))
        response.results.extend([_to_pb_result(answer) for answer in consumed.answers])
        verdicts: dict[int, decision_pb2.Decision] = {}  # works that ask the same share one decision
        for answer, result in zip(consumed.answers, response.results, strict=True) if request.details else ():
            if isinstance(answer, Answer):
                message = result.decision
                if (same := verdicts.get(id(answer.decision))) is not None:
                    message.CopyFrom(same)
                else:
                    to_pb_verdict(self.sealer, tenant, answer, message)
                    verdicts[id(answer.decision)] = message
        return response


def _unit(request: quota_pb2.ConsumeQuotaRequest, service: str) -> Unit:
    return tuple([from_pb_event(event, service) for event in request.events])


def _to_pb_result(answer: Answer | MetergateError) -> quota_pb2.ConsumeResult:
    if isinstance(answer, MetergateError):
        return quota_pb2.ConsumeResult(error_reason=answer.reason.value, error_message=answer.message)
    if answer.allowed:
        return _ADMITTED if answer.receipts[0].outcome is Outcome.ACCEPTED else _KNOWN
    decision = decision_of(answer)
    result = quota_pb2.ConsumeResult(allowed=False)
    if decision.binding is not None:
        result.binding_limit = decision.binding.limit.name
    if decision.retry_after is not None:
        result.retry_after.CopyFrom(to_pb_duration(decision.retry_after))
    return result


_ADMITTED = quota_pb2.ConsumeResult(allowed=True, outcome=usage_event_pb2.OUTCOME_ACCEPTED)
_KNOWN = quota_pb2.ConsumeResult(allowed=True, outcome=usage_event_pb2.OUTCOME_DUPLICATE)
