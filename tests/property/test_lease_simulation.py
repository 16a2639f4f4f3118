"""P2 in simulated time: holders that are killed, and a network that loses, delays, doubles and reorders, never pass a
limit; what living holders had is settled to the unit. `benchmarks.simulate_leases` is the same at full size."""

from __future__ import annotations

import random

import pytest

from benchmarks.simulate_leases import simulate
from benchmarks.simulation.report import Findings
from benchmarks.simulation.world import Setup


def storm(seed: int, holders: int, limit: int, rate: float = 50.0) -> Setup:
    """A bad network, and a fifth of the holders killed."""
    return Setup(
        seed=seed, holders=holders, seconds=15, rate=rate * holders, limit=limit, lost=0.02, slow=0.02, crashing=0.2
    )


@pytest.mark.parametrize("real", [False, True], ids=["model", "machine"])
@pytest.mark.parametrize(("holders", "limit"), [(5, 1), (12, 100), (25, 0)])
def test_p2_no_storm_passes_a_limit(real: bool, holders: int, limit: int) -> None:
    for seed in random.SystemRandom().sample(range(10**6), 2):  # others each time
        print(f"{seed=}")
        setup = storm(seed, holders, limit)
        world = simulate(setup, real)  # raises at the first unit too many, and where the books do not balance
        assert world.admitted <= setup.most


@pytest.mark.parametrize("real", [False, True], ids=["model", "machine"])
def test_p2_all_of_a_limit_is_used_but_what_was_lost(real: bool) -> None:
    """A fixed seed: how fast it is used depends on luck."""
    setup = Setup(seed=7, holders=30, seconds=40, rate=1_500.0, crashing=0.1)
    found = Findings.of(simulate(setup, real))
    assert found.used > 0.999
    assert found.lags[0] is not None
    assert found.lags[0] < 5
    assert found.refused < 0.1


def test_the_same_seed_brings_the_same_figures() -> None:
    setup = storm(3, 20, 5_000)
    assert simulate(setup).seconds == simulate(setup).seconds
