"""CustomerService, the part that says what a customer's plan gives: decode, call one verb, encode."""

from __future__ import annotations

from dataclasses import dataclass

from metergate.app.customer.features import CheckFeature
from metergate.domain.quota import text_of_max
from metergate.rpc.call import Call
from metergate.rpc.convert import to_pb_decision
from metergate.rpc.convert_offer import FEATURE_KINDS
from metergate.v1 import customer_pb2 as pb


@dataclass(frozen=True, slots=True)
class FeatureService:
    """The servicer."""

    features: CheckFeature

    async def CheckFeature(self, request: pb.CheckFeatureRequest, call: Call) -> pb.CheckFeatureResponse:
        """Whether a subject's customer has a feature."""
        answer = await self.features.check(call.caller, request.subject, request.feature)
        response = pb.CheckFeatureResponse(
            allowed=answer.allowed, kind=FEATURE_KINDS[answer.kind], value=answer.value, plan=answer.plan
        )
        if answer.decision is not None:
            response.included = text_of_max(answer.included)
            to_pb_decision(answer.decision, response.decision)
        return response
