"""First decisions: what was answered to something that is asked again is worked out from the ledger as it was then."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from metergate.app.directory import Directory
from metergate.app.ports.ledger import Ledger, LedgerUnavailableError, Moment
from metergate.app.quota.grace import complete, was_known
from metergate.domain.admission import conclude
from metergate.domain.answer import Answer
from metergate.domain.decision import without_figures
from metergate.domain.errors import MetergateError, Reason
from metergate.domain.quota import Kind


class FirstDecisions:
    """Fills in the decisions of answers that repeat an earlier one. What was left of rates then is told by nothing."""

    def __init__(self, directory: Directory, ledger: Ledger) -> None:
        self._directory = directory
        self._ledger = ledger

    async def fill(self, tenant: str, answers: Sequence[Answer]) -> None:
        """Fills in the decisions that are missing: the figures of then, under the limits in force now.

        Raises:
            MetergateError: LEDGER_UNAVAILABLE.
        """
        missing = [answer for answer in answers if answer.decision is None]
        if not missing:
            return
        moments = [
            Moment(
                one.demand.customer,
                one.seq,
                one.at,
                sorted({key for touch in one.demand.touches for key in touch.keys}),
            )
            for one in missing
        ]
        catalog = await self._directory.catalog(tenant)
        read = partial(self._ledger.reached, tenant)
        try:
            figures = await self._ledger.figures_at(tenant, moments)
            for moment, then in zip(moments, figures, strict=True):
                await complete(catalog, then, read, partial(was_known, moment.customer, moment.seq, moment.at))
        except LedgerUnavailableError:
            raise MetergateError(Reason.LEDGER_UNAVAILABLE, "the database cannot be reached") from None
        for answer, then in zip(missing, figures, strict=True):
            customer = await self._directory.customer(tenant, answer.demand.customer)
            plan = catalog.plan_in_force(customer.plan if customer else "")
            decision = conclude(answer.demand, answer.allowed, then, plan, answer.at)
            decision.states = [
                without_figures(state) if state.limit.kind is Kind.RATE else state for state in decision.states
            ]
            answer.decision = decision
