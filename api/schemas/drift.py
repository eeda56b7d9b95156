"""Differences between the ledger and a broker that nothing proves away."""

from typing import Any

from pydantic import ConfigDict, Field

from alphapanda.reconciliation.outcome import DriftKind
from api.schemas.base import ListOut, Moment, Out, Rupees

_DRIFT: dict[str, Any] = {
    "id": 7,
    "broker": "zerodha",
    "kind": "POSITION_QUANTITY",
    "meaning": DriftKind.POSITION_QUANTITY.meaning,
    "key": "NFO:NIFTY26JANFUT:NRML",
    "detail": "NFO:NIFTY26JANFUT:NRML: the broker has 65, the ledger 130",
    "evidence": {"broker": 65, "ledger": 130, "trades_of_the_day": []},
    "found_at": "2026-01-05T04:15:00.120000Z",
    "seen_at": "2026-01-05T04:31:00.480000Z",
    "cleared_at": None,
}


class DriftOut(Out):
    model_config = ConfigDict(json_schema_extra={"examples": [_DRIFT]})

    id: int
    broker: str
    kind: DriftKind
    meaning: str
    key: str = Field(description="What differs: an order, a trade, or a position; the same each time.")
    detail: str
    evidence: dict[str, Any] = Field(description="Both sides as they were read.")
    found_at: Moment
    seen_at: Moment = Field(description="When it was there last.")
    cleared_at: Moment | None = Field(description="When it was gone; null while it stands.")


class ReconciledOut(Out):
    """The last run."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "at": "2026-01-05T04:31:00.480000Z",
                    "unread": {"holdings": "BROKER_UNAVAILABLE: the broker cannot be reached"},
                    "cash": "99345.05",
                    "available": "99725.05",
                    "used": "145706.55",
                }
            ]
        }
    )

    at: Moment
    unread: dict[str, str] = Field(description="What could not be read, with the reason: nothing is concluded from it.")
    cash: Rupees | None = Field(description="The broker's figure; null: unknown. Shown, not compared.")
    available: Rupees | None
    used: Rupees | None


class DriftList(ListOut[DriftOut]):
    reconciled: ReconciledOut | None = Field(description="Null: not known, since nothing ran yet or Redis is down.")
