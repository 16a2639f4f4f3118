"""First decisions: what was answered to something that is asked again is worked out from the ledger as it was then."""

from __future__ import annotations

from metergate.app.directory import Directory
from metergate.app.ports import Ledger, LedgerUnavailableError
from metergate.domain.admission import conclude
from metergate.domain.batch import Answer
from metergate.domain.errors import MetergateError, Reason


class FirstDecisions:
    """Fills in the decisions of answers that repeat an earlier one."""

    def __init__(self, directory: Directory, ledger: Ledger) -> None:
        self._directory = directory
        self._ledger = ledger

    async def fill(self, tenant: str, answer: Answer) -> Answer:
        """The answer with its decision: the figures of then, under the limits in force now.

        Raises:
            MetergateError: LEDGER_UNAVAILABLE.
        """
        if answer.decision is not None:
            return answer
        demand = answer.demand
        keys = sorted({key for touch in demand.touches for key in touch.keys})
        catalog = await self._directory.catalog(tenant)
        customer = await self._directory.customer(tenant, demand.customer)
        try:
            figures = (
                await self._ledger.figures_at(tenant, demand.customer, answer.seq, answer.at, keys) if keys else {}
            )
        except LedgerUnavailableError:
            raise MetergateError(Reason.LEDGER_UNAVAILABLE, "the database cannot be reached") from None
        plan = catalog.plan_in_force(customer.plan if customer else "")
        answer.decision = conclude(demand, answer.allowed, figures, plan, answer.at)
        return answer
