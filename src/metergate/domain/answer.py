"""Answers: what became of the works of a commit."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

from metergate.domain.admission import Demand
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
    decided.
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


Result = Receipt | Answer | Granted | MetergateError | None
