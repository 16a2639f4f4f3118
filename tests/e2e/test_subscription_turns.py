"""A running server has the limits follow, when what was arranged for a subscription comes."""

from __future__ import annotations

from datetime import timedelta

from tests.e2e.billing import consume, customer, days_ago, flat, meter, plan, stamped, subscribe
from tests.e2e.calls import Caller, eventually


async def test_limits_end_with_the_trial_that_had_them(api: Caller) -> None:
    tried = plan("tried", flat("9"), limits=[{"meter": "calls", "max": "1000000"}])
    plans = [plan("default", limits=[{"meter": "calls", "max": "5"}]), tried]
    await api("ApplyCatalog", catalog={"meters": [meter("calls")], "plans": plans})
    who, end = await customer(api), days_ago(0) + timedelta(seconds=3)
    made = await subscribe(api, who, "tried", trial_end_time=stamped(end), cancel_after_trial=True)
    assert (await consume(api, who, "calls", 10)).allowed

    async def over() -> bool:
        return not (await consume(api, who, "calls", 1)).allowed

    await eventually(over, within=20)
    assert days_ago(0) >= end
    assert (await api("GetSubscription", id=made.id)).subscription.state == 5  # CANCELED
    assert (await api("GetCustomer", id=who)).customer.plan in ("", "default")
