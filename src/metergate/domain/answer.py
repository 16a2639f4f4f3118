"""Answers: what became of the works of a commit."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

from metergate.domain.admission import Demand, Passed
from metergate.domain.correction import Corrected, Elsewhere
from metergate.domain.decision import Decision
from metergate.domain.errors import MetergateError
from metergate.domain.granting import Granted
from metergate.domain.hold import Hold
from metergate.domain.quantity import ZERO
from metergate.domain.usage import Receipt


@dataclass(slots=True)
class Answer:
    """What became of a work on capacity, by the ledger at `seq`.

    `decision` is None where it was taken before (`repeated`), at `seq`, in the windows of `at`: it is worked out again
    from the ledger as it was; and where what was admitted wants no details. `recall` is what a lease's holder shall
    have given back in all. `now` is the ledger's clock at the commit, `catalog_version` that under which it was
    decided. `passed` are the demand's touches of shadow limits that would have refused it.
    """

    demand: Demand
    allowed: bool
    seq: int
    at: int
    decision: Decision | None = None
    receipts: list[Receipt] = field(default_factory=list)
    hold: Hold | None = None
    late: bool = False
    repeated: bool = False
    recall: Decimal = ZERO
    now: int = 0
    catalog_version: int = 0
    passed: Passed = frozenset()


Result = Receipt | Answer | Granted | Corrected | Elsewhere | MetergateError | None
