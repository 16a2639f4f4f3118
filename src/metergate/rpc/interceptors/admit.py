"""admit: overload is refused early, at the cost of an empty call."""

from __future__ import annotations

from typing import Any

from metergate.domain.errors import MetergateError, Reason
from metergate.rpc.call import Call, Handler, Method


class Admission:
    """Bounds the calls that are being answered, in all and of one tenant; closes for good when the server stops."""

    def __init__(self, most: int, most_per_tenant: int) -> None:
        self._most = most
        self._most_per_tenant = most_per_tenant
        self._count = 0
        self._count_of: dict[str, int] = {}
        self._open = True

    def close(self) -> None:
        """Takes no new calls."""
        self._open = False

    @property
    def open(self) -> bool:
        """Whether new calls are welcome."""
        return self._open

    @property
    def in_flight(self) -> int:
        """Calls that were admitted and are not answered."""
        return self._count

    def admit(self, method: Method, handle: Handler) -> Handler:
        """The interceptor."""

        async def admitted(request: Any, call: Call) -> Any:
            tenant = call.caller.tenant
            mine = self._count_of.get(tenant, 0)
            if not self._open:
                raise MetergateError(Reason.SHUTTING_DOWN, "the server is stopping")
            if self._count >= self._most or mine >= self._most_per_tenant:
                raise MetergateError(Reason.OVERLOADED, "the server answers as many calls as it can")
            self._count += 1
            self._count_of[tenant] = mine + 1
            try:
                return await handle(request, call)
            finally:
                self._count -= 1
                left = self._count_of[tenant] - 1
                if left:
                    self._count_of[tenant] = left
                else:
                    del self._count_of[tenant]

        return admitted
