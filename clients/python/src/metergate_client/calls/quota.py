"""Calls of QuotaService."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from metergate_client.calls.call import Call
from metergate_client.decode import from_pb_check_result, from_pb_decision, from_pb_limits
from metergate_client.exact import Amount, amount_text
from metergate_client.quota import Check, CheckResult, Decision, Limits
from metergate_client.v1 import quota_pb2

_SERVICE = "/metergate.v1.QuotaService/"


def check(
    meter: str,
    amount: Amount = 1,
    *,
    subject: str,
    labels: Mapping[str, str] | None = None,
    token: str = "",
) -> Call[quota_pb2.CheckQuotaResponse, Decision]:
    """Ask whether ``amount`` of ``meter`` would fit now. This is advice: it promises nothing and changes nothing.

    ``labels`` are those that the usage would have. ``token``, from a receipt: the answer knows that write. For several
    meters that must fit together, see ``check_batch``.

    Raises:
        NotFound: No such meter or subject.
    """
    request = _request(Check(subject, {meter: amount}, labels or {}), token)
    return Call(f"{_SERVICE}CheckQuota", request, quota_pb2.CheckQuotaResponse, lambda r: from_pb_decision(r.decision))


def check_batch(checks: Iterable[Check]) -> Call[quota_pb2.BatchCheckQuotaResponse, tuple[CheckResult, ...]]:
    """Ask up to 5,000 questions in one call, each on its own: one that cannot be answered does not raise.

    All amounts of one question must fit together. Returns an answer for each question, in order.
    """
    request = quota_pb2.BatchCheckQuotaRequest(checks=(_request(question) for question in checks))

    def read(reply: quota_pb2.BatchCheckQuotaResponse) -> tuple[CheckResult, ...]:
        return tuple(from_pb_check_result(result) for result in reply.results)

    return Call(f"{_SERVICE}BatchCheckQuota", request, quota_pb2.BatchCheckQuotaResponse, read)


def limits(*meters: str, subject: str) -> Call[quota_pb2.ListLimitsResponse, Limits]:
    """The state of each limit of a subject (or of a customer, by its own id), from the ledger; only of these meters,
    where any are named.

    Raises:
        NotFound: No such subject.
    """
    request = quota_pb2.ListLimitsRequest(subject=subject, meters=meters)
    return Call(f"{_SERVICE}ListLimits", request, quota_pb2.ListLimitsResponse, from_pb_limits)


def _request(question: Check, token: str = "") -> quota_pb2.CheckQuotaRequest:
    amounts = [
        quota_pb2.QuotaAmount(meter=meter, amount=amount_text(amount), labels=question.labels)
        for meter, amount in question.amounts.items()
    ]
    return quota_pb2.CheckQuotaRequest(subject=question.subject, amounts=amounts, token=token)
