"""Signals in and out."""

from datetime import datetime, timedelta
from typing import Annotated, Any
from uuid import UUID, uuid4, uuid5

import orjson
from pydantic import AfterValidator, ConfigDict, Field, WithJsonSchema, field_validator

from alphapanda.domain.errors import InvalidValueError
from alphapanda.domain.ids import SIGNAL_ID_PATTERN, STRATEGY_ID_PATTERN, Broker, SignalId, StrategyId
from alphapanda.domain.signal import BrokerField, ExactPrice, OrderTerms, Signal
from api.schemas.base import PRICE_SCHEMA, ListOut, Moment, Out, exact_number
from api.schemas.terms import EXAMPLE_TERMS, TermsOut

_KEY_NAMESPACE = UUID("0f6b1f0a-3c52-5b1e-8a6d-a1fa9a0da001")
_MOST_METADATA = 16 * 1024

_NUMBER_OR_DURATION = {
    "anyOf": [{"type": "number", "exclusiveMinimum": 0}, {"type": "string", "format": "duration"}],
    "examples": [60, "PT5M"],
}


def _storable(metadata: dict[str, Any]) -> dict[str, Any]:
    """Refuses what the ledger's JSON cannot hold, here, where the sender can still be told."""
    try:
        encoded = orjson.dumps(metadata)
    except (TypeError, ValueError) as error:
        raise ValueError(f"cannot be stored: {error}") from error
    if len(encoded) > _MOST_METADATA:
        raise ValueError(f"has {len(encoded)} bytes as JSON; {_MOST_METADATA} at most")
    if b"\\u0000" in encoded.replace(b"\\\\", b""):
        raise ValueError("must not hold NUL characters")
    stored: dict[str, Any] = orjson.loads(encoded)
    return stored


class SignalIn(OrderTerms):
    """One intent: it becomes one order on each of `brokers`."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "signal_id": "manual-20260105-001",
                    "strategy_id": "manual",
                    "brokers": ["paper"],
                    "exchange": "NSE",
                    "tradingsymbol": "INFY",
                    "side": "BUY",
                    "quantity": 10,
                    "order_type": "LIMIT",
                    "product": "CNC",
                    "price": "1450.05",
                    "expires_in": 300,
                    "metadata": {"note": "first order"},
                }
            ]
        }
    )

    signal_id: Annotated[
        SignalId | None, Field(pattern=SIGNAL_ID_PATTERN, description="Yours; the same id never trades twice.")
    ] = None
    strategy_id: Annotated[StrategyId, Field(pattern=STRATEGY_ID_PATTERN)]
    brokers: tuple[BrokerField, ...] = Field(min_length=1, max_length=16)
    price: Annotated[
        ExactPrice | None,
        Field(description="Limit price; LIMIT and SL only."),
        WithJsonSchema({**PRICE_SCHEMA, "anyOf": [*PRICE_SCHEMA["anyOf"], {"type": "null"}]}),
    ] = None
    trigger_price: Annotated[
        ExactPrice | None,
        Field(description="Trigger; SL and SL-M only."),
        WithJsonSchema({**PRICE_SCHEMA, "anyOf": [*PRICE_SCHEMA["anyOf"], {"type": "null"}]}),
    ] = None
    expires_in: Annotated[
        timedelta | None,
        Field(
            gt=timedelta(0),
            le=timedelta(days=7),
            description="Seconds, or an ISO 8601 duration, within which it must have reached the broker.",
        ),
        WithJsonSchema({**_NUMBER_OR_DURATION, "anyOf": [*_NUMBER_OR_DURATION["anyOf"], {"type": "null"}]}),
    ] = None
    wait_for_open: bool = Field(
        default=False,
        strict=True,
        description="While the market is closed: wait for the open instead of being refused.",
    )
    metadata: Annotated[dict[str, Any], AfterValidator(_storable)] = Field(
        default_factory=dict, description="Yours, kept as it is; 16 KiB at most."
    )

    _no_floats = field_validator("price", "trigger_price", mode="before")(exact_number("price"))

    @field_validator("brokers")
    @classmethod
    def _brokers_differ(cls, brokers: tuple[Broker, ...]) -> tuple[Broker, ...]:
        if len(set(brokers)) != len(brokers):
            raise ValueError("brokers: each broker may be named once")
        return brokers

    def to_signal(self, *, now: datetime, idempotency_key: str | None) -> Signal:
        """The domain's signal. Without a signal_id it is derived from the idempotency key, else drawn.

        Raises InvalidValueError where both are given and differ: one of them would be no guard against a repeat.
        """
        if idempotency_key is not None and self.signal_id not in (None, idempotency_key):
            raise InvalidValueError(
                "Idempotency-Key: differs from signal_id, which is itself what never trades twice",
                next_action="Send one of the two, or the same value in both.",
            )
        return Signal(
            **{name: getattr(self, name) for name in OrderTerms.model_fields},
            signal_id=self.signal_id or _signal_id(idempotency_key),
            strategy_id=self.strategy_id,
            brokers=self.brokers,
            generated_at=now,
            expires_at=None if self.expires_in is None else now + self.expires_in,
            wait_for_open=self.wait_for_open,
            metadata=self.metadata,
        )


def _signal_id(idempotency_key: str | None) -> SignalId:
    if idempotency_key is None:
        return SignalId(f"sig-{uuid4().hex}")
    return SignalId(f"key-{uuid5(_KEY_NAMESPACE, idempotency_key).hex}")


EXAMPLE_ORDER: dict[str, Any] = {
    "order_id": "paper:manual-20260105-001",
    "broker": "paper",
    "workflow_id": "order:paper:manual-20260105-001",
    "state": "RECEIVED",
}


EXAMPLE_ACCEPTED: dict[str, Any] = {"signal_id": "manual-20260105-001", "created": True, "orders": [EXAMPLE_ORDER]}


class SignalOrderOut(Out):
    order_id: str
    broker: str
    workflow_id: str
    state: str


class AcceptedOut(Out):
    """The signal is recorded and its orders are on their way."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE_ACCEPTED]})

    signal_id: str
    created: bool = Field(description="False for a repeat: nothing new was made.")
    orders: list[SignalOrderOut]


class SignalOut(TermsOut):
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    **EXAMPLE_TERMS,
                    "signal_id": "manual-20260105-001",
                    "strategy_id": "manual",
                    "brokers": ["paper"],
                    "generated_at": "2026-01-05T04:15:00.100000Z",
                    "expires_at": "2026-01-05T04:20:00.100000Z",
                    "accepted_at": "2026-01-05T04:15:00.120000Z",
                    "wait_for_open": False,
                    "metadata": {"note": "first order"},
                    "correlation_id": "5f0c6c0b0a4c4f3f9d2f1c7f6f2f9a11",
                    "orders": [{**EXAMPLE_ORDER, "state": "OPEN"}],
                }
            ]
        }
    )

    signal_id: str
    strategy_id: str
    brokers: list[str]
    generated_at: Moment
    expires_at: Moment | None
    accepted_at: Moment
    wait_for_open: bool
    metadata: dict[str, Any]
    correlation_id: str
    orders: list[SignalOrderOut] = Field(description="Its order on each active broker, with the state it is in.")


class SignalList(ListOut[SignalOut]):
    pass
