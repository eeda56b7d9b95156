"""One login at a time per broker, over all processes: a second one would end the session that the first opened."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from alphapanda.domain.errors import AlphaPandaError
from alphapanda.domain.ids import Broker
from alphapanda.ledger.queries import ledger_errors

PATIENCE_S = 20.0
_LOOK_AGAIN_S = 0.1

# Of the transaction: it is released with the connection, whatever becomes of this process.
_TAKE = text("SELECT pg_try_advisory_xact_lock(hashtextextended('alphapanda login ' || :broker, 0))")


class LoginUnderWay(AlphaPandaError):  # noqa: N818 - named for the condition
    """Another login to the same broker has not ended yet."""

    code = "BROKER_LOGIN_UNDER_WAY"
    default_next_action = "Wait for it to end, look at GET /api/v1/brokers/{broker}, and log in if it is still needed."


@asynccontextmanager
async def login_turn(engine: AsyncEngine, broker: Broker, *, patience_s: float = PATIENCE_S) -> AsyncIterator[None]:
    """Inside, nobody else logs in to the broker. Raises LoginUnderWay, LedgerUnavailable."""
    ends = asyncio.get_running_loop().time() + patience_s
    while True:
        async with engine.connect() as connection:
            with ledger_errors():
                mine = (await connection.execute(_TAKE, {"broker": broker})).scalar_one()
            if mine:
                yield
                return
        # Who waits holds no connection: the one whose turn it is needs some to finish.
        if asyncio.get_running_loop().time() >= ends:
            raise LoginUnderWay(f"another login to {broker!r} is under way")
        await asyncio.sleep(_LOOK_AGAIN_S)
