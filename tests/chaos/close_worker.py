"""`python -m tests.chaos.close_worker POSTGRES REDIS`: closes all periods that are over, few at a time, and ends."""

from __future__ import annotations

import asyncio
import sys

from metergate import wiring
from metergate.app.billing import close_batch, close_period
from metergate.settings import Settings

if __name__ == "__main__":
    # Small steps: there is much between them at which it can be killed.
    close_period._BATCH, close_batch._SAVED = 5, 2
    settings = Settings(postgres_url=sys.argv[1], redis_url=sys.argv[2])
    done = asyncio.run(wiring.close_periods(settings, None))
    print(done.periods, done.failed)
