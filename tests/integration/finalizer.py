"""A process that finalizes drafts until there are none, several at once, or until it is killed.

    python -m tests.integration.finalizer POSTGRES_URL

It says of each what was acknowledged, at once: the id and the number.
"""

from __future__ import annotations

import asyncio
import sys

from metergate.adapters.postgres import connect
from metergate.adapters.postgres.customers import PostgresCustomers
from metergate.adapters.postgres.definitions import PostgresCatalogs
from metergate.adapters.postgres.invoices import PostgresInvoices
from metergate.adapters.postgres.keys import PostgresKeys
from metergate.app.billing.invoices import Invoices
from metergate.app.directory import Directory
from metergate.domain.errors import MetergateError, Reason
from tests.integration.processes import PRINCIPAL, TENANT

_AT_ONCE = 4


async def main(postgres_url: str) -> None:
    """Finalizes all drafts."""
    engine = connect.engine(postgres_url, _AT_ONCE)
    store = PostgresInvoices(engine)
    directory = Directory(PostgresCatalogs(engine), PostgresCustomers(engine), PostgresKeys(engine), False)
    invoices = Invoices(store, directory)

    async def finalize(id_: str) -> None:
        try:
            closed = await invoices.finalize(PRINCIPAL, id_)
        except MetergateError as error:
            if error.reason is not Reason.INVOICE_STATE:  # another one was first
                raise
        else:
            print(closed.id, closed.number, flush=True)

    while due := await store.due(_AT_ONCE):
        await asyncio.gather(*(finalize(one.invoice) for one in due if one.tenant == TENANT))
    await engine.dispose()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
