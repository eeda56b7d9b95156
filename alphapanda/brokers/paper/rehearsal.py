"""Rehearsals: make the paper broker fail on purpose. They work from any process, for the account's row carries them."""

from collections.abc import Mapping
from datetime import UTC, datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from alphapanda.brokers.paper.faults import DEFAULT_HIDE_S, HIDE_SECONDS, PaperFault
from alphapanda.domain.errors import AlphaPandaError, InvalidValueError
from alphapanda.domain.ids import Broker
from alphapanda.domain.vocabulary import SessionState

__all__ = ["PaperAccountUnknown", "PaperFault", "arm_fault", "expire_session"]

_EXPIRE = text(
    "UPDATE paper_accounts SET version = version + 1, session = :state, session_since = :now "
    "WHERE broker = :broker RETURNING broker"
)
_ARM = text(
    "UPDATE paper_accounts SET version = version + 1, armed_faults = armed_faults || "
    "jsonb_build_object(CAST(:fault AS text), CAST(:count AS int), CAST(:hide_key AS text), CAST(:hide_s AS float)) "
    "WHERE broker = :broker RETURNING broker"
)


class PaperAccountUnknown(AlphaPandaError):  # noqa: N818 - named for the condition
    """The broker has no paper account yet."""

    code = "PAPER_ACCOUNT_UNKNOWN"
    default_next_action = "Start the paper broker's worker once: it opens the account."


async def expire_session(engine: AsyncEngine, broker: Broker) -> None:
    """End the broker's session, as a login elsewhere or the morning's expiry would. Raises PaperAccountUnknown."""
    await _change(engine, _EXPIRE, {"broker": broker, "state": SessionState.EXPIRED, "now": datetime.now(UTC)})


async def arm_fault(
    engine: AsyncEngine, broker: Broker, fault: PaperFault, count: int, *, hide_s: float = DEFAULT_HIDE_S
) -> None:
    """Let the next `count` calls meet the fault (0 disarms it); replaces what was armed of the same fault.

    `hide_s`: seconds for which HIDE_FROM_BOOK hides an order. Raises PaperAccountUnknown, InvalidValueError.
    """
    if count < 0:
        raise InvalidValueError(f"count: a fault is armed 0 times or more, not {count}")
    values = {"fault": fault, "count": count, "hide_key": HIDE_SECONDS, "hide_s": hide_s}
    await _change(engine, _ARM, {"broker": broker, **values})


async def _change(engine: AsyncEngine, statement: object, values: Mapping[str, object]) -> None:
    async with engine.begin() as connection:
        found = await connection.execute(statement, values)  # type: ignore[call-overload]
        if found.first() is None:
            raise PaperAccountUnknown(f"there is no paper account of {values['broker']}")
