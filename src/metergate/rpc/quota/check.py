"""QuotaService, the part that advises: decode, call one verb, encode."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from metergate.app.directory import Memory
from metergate.app.quota.check import Amount, CheckQuota, Question
from metergate.app.quota.list_limits import ListLimits
from metergate.app.tokens import Sealer
from metergate.domain.decision import Decision
from metergate.domain.errors import MetergateError
from metergate.domain.usage import check_labels
from metergate.rpc.call import Call
from metergate.rpc.convert import build_decision, from_pb_amount, to_pb_decision, to_pb_limit_state, to_pb_time
from metergate.rpc.interceptors.validate import QUESTION_RULES
from metergate.rpc.interceptors.validate import check as check_rules
from metergate.rpc.quota.verdict import refusal
from metergate.v1 import quota_pb2

_NO_LABELS: Mapping[str, str] = {}
_QUESTION_BYTES_MOST = 512
_QUESTIONS_MOST = 50_000  # that are remembered; about 50 MB


@dataclass(slots=True)
class _Asked:
    """A question, the last answer to it, and that answer as it is sent."""

    question: Question
    answer: Decision | None = None
    response: quota_pb2.CheckQuotaResponse | None = None

    def respond(self, answer: Decision) -> quota_pb2.CheckQuotaResponse:
        """The response. One that is given again is not built again."""
        if self.response is None or self.answer is not answer:
            self.answer, self.response = answer, quota_pb2.CheckQuotaResponse()
            build_decision(answer, self.response.decision)
        return self.response


@dataclass(frozen=True, slots=True)
class CheckService:
    """The servicer."""

    check: CheckQuota
    list_limits: ListLimits
    sealer: Sealer
    asked: Memory[tuple[str, bytes], _Asked] = field(default_factory=lambda: Memory(_QUESTIONS_MOST))

    async def CheckQuota(self, request: quota_pb2.CheckQuotaRequest, call: Call) -> quota_pb2.CheckQuotaResponse:
        """Advice on one question."""
        asked = self._asked(request, call.raw or request.SerializeToString(), call)
        question = asked.question
        answer = self.check.again(call.caller, question) or (await self.check.check(call.caller, [question]))[0]
        if isinstance(answer, MetergateError):
            raise answer
        if request.refuse_as_status and not answer.allowed:
            raise refusal(answer, request.subject)
        return asked.respond(answer)

    async def BatchCheckQuota(
        self, request: quota_pb2.BatchCheckQuotaRequest, call: Call
    ) -> quota_pb2.BatchCheckQuotaResponse:
        """Advice on many questions; one that cannot be answered does not stop the others."""
        questions: list[Question | MetergateError] = []
        for one in request.checks:
            try:
                questions.append(self._asked(one, one.SerializeToString(), call).question)
            except MetergateError as error:
                questions.append(error)
        good = [question for question in questions if isinstance(question, Question)]
        answers = iter(await self.check.check(call.caller, good))
        response = quota_pb2.BatchCheckQuotaResponse()
        for question in questions:
            answer = next(answers) if isinstance(question, Question) else question
            _to_pb_result(answer, response.results.add())
        return response

    async def ListLimits(self, request: quota_pb2.ListLimitsRequest, call: Call) -> quota_pb2.ListLimitsResponse:
        """The state of a subject's limits."""
        limits = await self.list_limits.list(call.caller, request.subject, list(request.meters))
        return quota_pb2.ListLimitsResponse(
            customer=limits.customer,
            plan=limits.plan,
            limits=[to_pb_limit_state(state) for state in limits.states],
            as_of=to_pb_time(limits.as_of),
        )

    def _asked(self, request: quota_pb2.CheckQuotaRequest, raw: bytes, call: Call) -> _Asked:
        """The question. One that was asked before, to the letter, is the same object with what it remembers."""
        known = self.asked.get((call.caller.tenant, raw))
        return known if known is not None else self._read(request, raw, call)

    def _read(self, request: quota_pb2.CheckQuotaRequest, raw: bytes, call: Call) -> _Asked:
        check_rules(QUESTION_RULES, request)
        amounts = [
            Amount(one.meter, from_pb_amount(one.amount, index), _labels(one) if one.labels else _NO_LABELS)
            for index, one in enumerate(request.amounts)
        ]
        # One with a token was made for one write and will hardly come again; a long one is no question that many ask.
        if request.token or len(raw) > _QUESTION_BYTES_MOST:
            at_least = self.sealer.open_write(call.caller.tenant, request.token)
            return _Asked(Question(request.subject, amounts, at_least))
        return self.asked.keep((call.caller.tenant, raw), _Asked(Question(request.subject, amounts)))


def _labels(amount: quota_pb2.QuotaAmount) -> Mapping[str, str]:
    labels = {name: amount.labels[name] for name in sorted(amount.labels)}
    check_labels(labels)
    return labels


def _to_pb_result(answer: Decision | MetergateError, result: quota_pb2.CheckResult) -> None:
    if isinstance(answer, MetergateError):
        result.error_reason = answer.reason.value
        result.error_message = answer.message
    else:
        to_pb_decision(answer, result.decision)
