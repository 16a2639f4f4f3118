"""Exporting all that is kept of one customer, as JSON lines in order, a page at a time: memory stays bounded.

The first line says what follows and up to where (`seq`, `as_of`); each other line is a row, and `record` says of what;
the last one is the manifest, with how many there were of each. Facts end at that `seq`, so that usage which comes
meanwhile changes nothing; what is changed in place (the customer, its holds, grants and rollups) is as it stands when
its page is read.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from metergate.app.customer.data import Cut, Exports
from metergate.app.customer.move import not_found
from metergate.app.ports.ledger import LedgerUnavailableError
from metergate.domain import period
from metergate.domain.access import Principal
from metergate.domain.errors import MetergateError, Reason

FORMAT = 1


@dataclass(slots=True)
class Position:
    """Where a page begins: the part, the place of the last row in it, where the export ends, and what there was."""

    cut: Cut
    part: int = 0
    after: Sequence[Any] | None = None
    counts: dict[str, int] = field(default_factory=dict)


class ExportCustomer:
    """The verb."""

    def __init__(self, exports: Exports) -> None:
        self._exports = exports

    async def export(
        self, principal: Principal, customer: str, position: Position | None, size: int
    ) -> tuple[list[str], Position | None]:
        """Lines, about `size` of them, and where the next page begins; None at the end.

        Raises:
            MetergateError: CUSTOMER_NOT_FOUND, LEDGER_UNAVAILABLE.
        """
        try:
            return await self._page(principal.tenant, customer, position, size)
        except LedgerUnavailableError:
            raise MetergateError(Reason.LEDGER_UNAVAILABLE, "the database cannot be reached") from None

    async def _page(
        self, tenant: str, customer: str, position: Position | None, size: int
    ) -> tuple[list[str], Position | None]:
        lines: list[str] = []
        if position is None:
            cut = await self._exports.cut(tenant, customer)
            if cut is None:
                raise not_found(customer)
            position = Position(cut)
            lines.append(_line("export", {"format": FORMAT, "customer": customer, **_shown(cut)}))
        sections = self._exports.sections
        while position.part < len(sections) and len(lines) < size:
            section, most = sections[position.part], size - len(lines)
            rows = await self._exports.rows(tenant, customer, section, position.cut, position.after, most)
            lines += [_line(section, row) for _, row in rows]
            position.counts[section] = position.counts.get(section, 0) + len(rows)
            over = len(rows) < most
            part = position.part + 1 if over else position.part
            position = Position(position.cut, part, None if over else rows[-1][0], position.counts)
        if position.part < len(sections) or len(lines) >= size:
            return lines, position
        manifest = {"customer": customer, **_shown(position.cut), "counts": position.counts}
        return [*lines, _line("manifest", manifest)], None


def _shown(cut: Cut) -> dict[str, Any]:
    return {"seq": cut.seq, "as_of": period.to_text(cut.as_of)}


def _line(record: str, row: Any) -> str:
    return json.dumps({"record": record, **row}, ensure_ascii=False, separators=(",", ":"))
