"""How the demand of a step meets what a holder has."""

from __future__ import annotations

from benchmarks.simulation.world import World


class Stepped:
    """The demand of a step comes evenly: what comes while nothing is at hand is refused, one after the other."""

    def __init__(self, world: World, number: int) -> None:
        self.world, self.number = world, number
        self.rest = 0  # of this step's demand, what is still to come
        self._rest_from = 0.0

    def demand(self, count: int) -> None:
        """So many decisions are asked for in this step."""
        if self.rest:
            self.world.refused(self.rest)
        self.rest, self._rest_from = count, self.world.now
        self.spend()

    def spend(self) -> None:
        """Takes what it can of what is still to come."""
        world = self.world
        if self.rest and world.now > self._rest_from:
            over = world.now >= world.step_end
            share = 1.0 if over else (world.now - self._rest_from) / (world.step_end - self._rest_from)
            passed = int(self.rest * share)
            world.refused(passed)
            self.rest -= passed
        self._rest_from = world.now
        self.rest -= self.take(self.rest)

    def take(self, count: int) -> int:
        """Spends up to so many, and returns how many it did."""
        raise NotImplementedError
