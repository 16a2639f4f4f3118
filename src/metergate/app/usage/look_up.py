"""One look at the ledger for a summary: the query, and what its rows say of each group."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from metergate.app.ports.readers import Found, SummaryQuery
from metergate.app.usage.asked import CELLS_MOST, Asked
from metergate.domain import summary
from metergate.domain.aggregation import LevelUnit
from metergate.domain.meter import LEVEL, Meter
from metergate.domain.period import Window
from metergate.domain.quantity import ZERO
from metergate.domain.summary import LevelPieces, Part

GroupKey = tuple[str, ...] | None  # None = all groups that were not chosen
_WHOLE = -1  # the piece that is the whole range, or what was before it


@dataclass(frozen=True, slots=True)
class Group:
    """What one group used; None = there is no number."""

    total: Decimal | None
    count: int
    points: list[Decimal | None]


@dataclass(frozen=True, slots=True)
class Look:
    """The query of one meter over adjoining pieces of time. A LEVEL's are cut where its unit's length changes."""

    query: SummaryQuery
    pieces: Sequence[Window]
    level: LevelPieces | None

    def groups(self, found: Sequence[Found]) -> dict[GroupKey, Group]:
        """What was found, by group."""
        by_group: dict[GroupKey, list[tuple[int, Part]]] = {}
        for piece, group, part in found:
            by_group.setdefault(group, []).append((piece, part))
        return {group: self.group(parts) for group, parts in by_group.items()}

    def group(self, parts: Sequence[tuple[int, Part]]) -> Group:
        """What one group used, by the number of the piece."""
        meter = self.query.meter
        count = sum(part.events for piece, part in parts if piece != _WHOLE)
        if self.level is not None:
            total, of_pieces = self.level.quantities(self.level.areas(parts, self.query.until), len(self.pieces))
            return Group(total, count, list(of_pieces))
        points = [summary.quantity(meter, summary.NOTHING)] * len(self.pieces)
        whole = summary.NOTHING
        for piece, part in parts:
            if piece == _WHOLE or len(self.pieces) == 1:
                whole = part
            if piece != _WHOLE:
                points[piece] = summary.quantity(meter, part)
        if summary.can_be_put_together(meter):
            whole = summary.put_together(meter, [part for _, part in parts])
        return Group(summary.quantity(meter, whole), count, points)


def look_up(
    question: Asked, meter: Meter, pieces: Sequence[Window], now: int, keep: Sequence[tuple[str, ...]] | None = None
) -> Look:
    """A look at a meter. A LEVEL counts up to now; `keep` names the groups that are of interest, else the request says
    how many."""
    request = question.request
    level = None
    if meter.aggregation == LEVEL:
        level = LevelPieces.of(pieces, meter.level_unit or LevelUnit.HOUR, question.time_zone)
    query = SummaryQuery(
        question.customer, request.subject, meter, level.windows if level else pieces, request.group_by,
        request.filters, request.known, now, 2 * CELLS_MOST, request.top if keep is None else 0, keep,
        level.weights(now) if level else (),
    )  # fmt: skip
    return Look(query, pieces, level)


def nothing(look: Look) -> Group:
    """What a group used of which nothing was found."""
    return look.group([])


def is_empty(group: Group) -> bool:
    """Whether there is nothing to tell of a group."""
    return not group.count and not group.total and all(not point or point == ZERO for point in group.points)
