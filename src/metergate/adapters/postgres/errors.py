"""Driver errors die here: they leave the adapter as the ledger's own."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

import asyncpg
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from metergate.app.ports.ledger import DataRefusedError, LedgerUnavailableError, RaceLostError

# The connection is gone, or Postgres is not there: nothing can be said before it is back.
GONE = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.LockNotAvailableError,
    asyncpg.InternalClientError,
)
# Another commit was in the way; run again.
_RACE = (asyncpg.SerializationError, asyncpg.DeadlockDetectedError, asyncpg.UniqueViolationError)


@contextmanager
def driver_errors() -> Generator[None]:
    """Driver errors end here: they leave as the ledger's own."""
    try:
        yield
    except _RACE as error:
        raise RaceLostError(str(error)) from error
    except GONE as error:
        raise LedgerUnavailableError(str(error) or type(error).__name__) from error
    except asyncpg.PostgresError as error:
        raise DataRefusedError(str(error)) from error


@contextmanager
def engine_errors() -> Generator[None]:
    """The same for SQLAlchemy's connections: unwraps what it wrapped."""
    with driver_errors():
        try:
            yield
        except PoolTimeoutError as error:
            raise LedgerUnavailableError(str(error)) from error
        except DBAPIError as error:
            cause = error.orig.__cause__ if error.orig else None
            raise (cause or LedgerUnavailableError(str(error))) from error
