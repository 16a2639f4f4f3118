"""CheckFeature: whether a customer's plans give something, and of what is metered, whether there is more of it."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from metergate.app.directory import Directory
from metergate.app.quota.check import Amount, CheckQuota, Question
from metergate.domain.access import Principal
from metergate.domain.decision import Decision
from metergate.domain.errors import MetergateError, Reason, subject_not_found
from metergate.domain.offer import FeatureKind, PlanFeature
from metergate.domain.plan import Plan
from metergate.domain.quantity import CONTEXT, ONE, ZERO, add

# A plan that gives it, how many times, and how.
_Given = tuple[Plan, Decimal, PlanFeature]


@dataclass(frozen=True, slots=True)
class FeatureAnswer:
    """What is said of a feature. `included` (None = unlimited) and `decision` are of a METERED one that is given."""

    allowed: bool
    kind: FeatureKind
    plan: str
    value: str = ""
    included: Decimal | None = None
    decision: Decision | None = None


class CheckFeature:
    """The verb."""

    def __init__(self, directory: Directory, check: CheckQuota) -> None:
        self._directory = directory
        self._check = check

    async def check(self, principal: Principal, subject: str, feature: str) -> FeatureAnswer:
        """Whether the subject's customer has the feature; nothing is taken of it.

        Raises:
            MetergateError: FEATURE_NOT_FOUND, SUBJECT_NOT_FOUND, LEDGER_UNAVAILABLE.
        """
        catalog = await self._directory.catalog(principal.tenant)
        owner = (await self._directory.owners(principal.tenant, [subject])).get(subject)
        customer = await self._directory.customer(principal.tenant, owner) if owner is not None else None
        if customer is None:
            raise subject_not_found(subject)
        governing = catalog.plans_under(customer.plan)
        given = [(plan, times, one) for plan, times in governing if (one := plan.feature(feature)) is not None]
        plan_name = catalog.plan_in_force(customer.plan)
        if not given:
            known = catalog.feature_of.get(feature)
            if known is None:
                message = f"no feature is called {feature!r}"
                raise MetergateError(Reason.FEATURE_NOT_FOUND, message, {"feature": feature})
            return FeatureAnswer(False, known.kind, plan_name)
        first, _, one = given[0]
        kind = first.kind_of(feature)
        if kind is not FeatureKind.METERED:
            return FeatureAnswer(True, kind, plan_name, one.value)
        decision = await self._decide(principal, subject, feature, given)
        return FeatureAnswer(decision.allowed, kind, plan_name, included=_included(given), decision=decision)

    async def _decide(self, principal: Principal, subject: str, feature: str, given: list[_Given]) -> Decision:
        """On one more unit, of each of the meters that versions of plans have counted it by."""
        meters = dict.fromkeys([dict(plan.meters)[feature] for plan, _, _ in given if feature in dict(plan.meters)])
        question = Question(subject, [Amount(meter, ONE, {}) for meter in meters])
        (answer,) = await self._check.check(principal, [question])
        if isinstance(answer, MetergateError):
            raise answer
        return answer


def _included(given: list[_Given]) -> Decimal | None:
    total = ZERO
    for _, times, one in given:
        if one.included is None:
            return None
        total = add(total, CONTEXT.multiply(one.included, times))
    return total
