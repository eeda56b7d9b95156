"""Health: of the process, of each component, of each broker."""

from enum import StrEnum
from typing import Any

from pydantic import ConfigDict, Field

from alphapanda.domain.vocabulary import SessionState, TradingSwitch
from api.schemas.base import Out


class Status(StrEnum):
    UP = "up"
    DEGRADED = "degraded"
    DOWN = "down"
    UNKNOWN = "unknown"


class LiveOut(Out):
    model_config = ConfigDict(json_schema_extra={"examples": [{"status": "up", "version": "0.1.0"}]})

    status: Status
    version: str


class ComponentOut(Out):
    status: Status
    required: bool = Field(description="Whether readiness falls with it.")
    detail: str
    next_action: str | None = Field(description="Null while it is up.")


class BrokerHealthOut(Out):
    """How trading stands at one broker. None of it takes the API out of service."""

    broker: str
    status: Status
    session: SessionState
    switch: TradingSwitch | None
    worker: ComponentOut
    feed: ComponentOut
    next_action: str | None


_UP = {"status": "up", "required": True, "detail": "answers", "next_action": None}
EXAMPLE_READY: dict[str, Any] = {
    "status": "up",
    "components": {"ledger": _UP, "temporal": _UP, "live": {**_UP, "required": False}},
    "brokers": [
        {
            "broker": "paper",
            "status": "up",
            "session": "ACTIVE",
            "switch": "ENABLED",
            "worker": {**_UP, "required": False},
            "feed": {**_UP, "required": False},
            "next_action": None,
        }
    ],
}


class ReadyOut(Out):
    """`status` is down (and the answer 503) when a required component is; degraded when anything else is not up."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE_READY]})

    status: Status
    components: dict[str, ComponentOut]
    brokers: list[BrokerHealthOut]
