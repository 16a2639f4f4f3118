"""NotificationService, budgets: decode, call one verb, encode."""

from __future__ import annotations

from dataclasses import dataclass

from metergate.app.billing.budget import Budgets
from metergate.domain import money
from metergate.domain.budget import Budget
from metergate.rpc.call import Call
from metergate.rpc.convert import to_pb_time
from metergate.v1 import notification_pb2 as pb


@dataclass(frozen=True, slots=True)
class BudgetService:
    """The servicer."""

    budgets: Budgets

    async def SetBudget(self, request: pb.SetBudgetRequest, call: Call) -> pb.SetBudgetResponse:
        """Sets a subscription's budget, or takes it away."""
        found = await self.budgets.set(call.caller, request.subscription, request.amount, request.thresholds)
        return pb.SetBudgetResponse(budget=_to_pb(found))

    async def GetBudget(self, request: pb.GetBudgetRequest, call: Call) -> pb.GetBudgetResponse:
        """A subscription's budget."""
        return pb.GetBudgetResponse(budget=_to_pb(await self.budgets.get(call.caller, request.subscription)))


def _to_pb(budget: Budget | None) -> pb.Budget | None:
    if budget is None:
        return None
    made = pb.Budget(
        subscription=budget.subscription,
        currency=budget.currency,
        amount=money.to_text(budget.amount, budget.currency),
        thresholds=budget.thresholds,
        spent="" if budget.spent is None else money.to_text(budget.spent, budget.currency),
        reached=budget.told,
    )
    if budget.period_end is not None:
        made.period_end_time.CopyFrom(to_pb_time(budget.period_end))
    return made
