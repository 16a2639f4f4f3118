"""Erasing a customer's personal data: the order of its steps, and what of an event has to stay so that sums do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from metergate.domain.catalog import Catalog


class Step(StrEnum):
    """What is done next, in this order; each but the first and the last two may take many commits.

    EVENTS rewrites events and rollups, quarter hour by quarter hour; HOLDS the history of holds; REST all else;
    RENAME gives the customer its new id. DONE = the personal data are gone, but for the ids of events that could still
    come again (unless they were to go at once); these go with IDS, when their slices have been dropped. OVER = all is.
    """

    EVENTS = "events"
    HOLDS = "holds"
    REST = "rest"
    RENAME = "rename"
    VIEW = "view"
    DONE = "done"
    IDS = "ids"
    OVER = "over"

    @property
    def finished(self) -> bool:
        """Whether nothing of the customer's is left to do at once."""
        return self in (Step.DONE, Step.IDS, Step.OVER)


@dataclass(frozen=True, slots=True)
class Kept:
    """What of an event stays: `labels` are the names of labels that meters read, `fixed` those whose values decide
    what counts, `words` the label values that the catalog itself names, `values` the names of values."""

    labels: Sequence[str]
    fixed: Sequence[str]
    words: Mapping[str, Sequence[str]]
    values: Sequence[str]


def kept(catalog: Catalog) -> Kept:
    """What the catalog's meters, limits and prices read."""
    fixed = sorted({one.label for meter in catalog.meters for one in meter.filters})
    # A value may name a label: of a meter that tells labels apart.
    values = sorted({meter.value for meter in catalog.meters} - {""})
    dimensions = {dimension for meter in catalog.meters for dimension in meter.dimensions}
    words: dict[str, set[str]] = {}
    for plan in catalog.every_version:
        for labels in [*[limit.labels for limit in plan.all_limits], *[price.labels for price in plan.all_prices]]:
            for label, value in labels:
                words.setdefault(label, set()).add(value)
    sorted_words = {label: sorted(words[label]) for label in sorted(words)}
    return Kept(sorted(dimensions | set(fixed) | set(values)), fixed, sorted_words, values)
