"""What an erasure leaves of an event, so that sums stay."""

from __future__ import annotations

from decimal import Decimal

from metergate.domain.catalog import Catalog, Plan
from metergate.domain.erasure import Step, kept
from metergate.domain.meter import Meter
from metergate.domain.quota import Limit


def test_what_meters_and_limits_read_is_kept() -> None:
    meters = Meter("calls", "calls", dimensions=("region", "model")), Meter("tokens", "calls", value="tokens")
    limits = Limit("eu", "calls", Decimal(1), labels=(("region", "eu"),)), Limit("all", "calls", Decimal(9))
    found = kept(Catalog(meters, (Plan("default", limits), Plan("big", limits[:1]))))
    assert found.labels == ["model", "region", "tokens"]
    assert found.fixed == []
    assert found.words == {"region": ["eu"]}
    assert found.values == ["tokens"]


def test_steps_end() -> None:
    assert [step for step in Step if step.finished] == [Step.DONE, Step.IDS, Step.OVER]
