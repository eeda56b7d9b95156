"""Orders, their events, and what one can ask of an order."""

from typing import Annotated, Any, Self

from pydantic import ConfigDict, Field, WithJsonSchema, field_validator, model_validator

from activities.messages import RESOLUTIONS, OrderStatus
from alphapanda.domain.evidence import Evidence
from alphapanda.domain.execution import OrderChange
from alphapanda.domain.signal import MAX_QUANTITY, ExactPrice
from alphapanda.domain.states import OrderState
from alphapanda.domain.vocabulary import OrderType, Validity
from alphapanda.ledger.query_orders import OrderDetail
from api.schemas.base import PRICE_SCHEMA, In, ListOut, Moment, Note, Out, Rupees, Word, exact_number
from api.schemas.signals import SignalOrderOut
from api.schemas.terms import EXAMPLE_TERMS, TermsOut

_EXAMPLE: dict[str, Any] = {
    **EXAMPLE_TERMS,
    "order_id": "paper:manual-20260105-001",
    "signal_id": "manual-20260105-001",
    "broker": "paper",
    "strategy_id": "manual",
    "workflow_id": "order:paper:manual-20260105-001",
    "correlation_id": "5f0c6c0b0a4c4f3f9d2f1c7f6f2f9a11",
    "filled_quantity": 4,
    "average_price": "1450.00",
    "state": "PARTIALLY_FILLED",
    "reason_code": "BROKER_PARTIAL_FILL",
    "reason": "BROKER_PARTIAL_FILL: filled=4/10",
    "tag": "7Q2M0XJ4B1K9ZC5T8W3N",
    "broker_order_id": "260105000000001",
    "cancel_requested": False,
    "modify_requested": False,
    "created_at": "2026-01-05T04:15:00.120000Z",
    "updated_at": "2026-01-05T04:15:00.480000Z",
    "closed_at": None,
}


class OrderOut(TermsOut):
    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    order_id: str
    signal_id: str
    broker: str
    strategy_id: str
    workflow_id: str
    correlation_id: str
    filled_quantity: int
    average_price: Rupees | None = Field(description="Of the filled part; null while nothing is filled.")
    state: OrderState
    reason_code: str
    reason: str = Field(description="Why it is in its state: `CATEGORY_CONDITION: key=value`.")
    tag: str | None = Field(description="The mark it carries at the broker; recorded before anything is sent.")
    broker_order_id: str | None
    cancel_requested: bool
    modify_requested: bool
    created_at: Moment
    updated_at: Moment
    closed_at: Moment | None


class OrderList(ListOut[OrderOut]):
    pass


class OrderDetailOut(OrderOut):
    """One order; where its workflow answered, the state is the workflow's own, of this very moment."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {**_EXAMPLE, "live": True, "next_step": "Waits for the broker to fill or end it.", "evidence": None}
            ]
        }
    )

    live: bool = Field(description="Whether the workflow answered; otherwise all is from the ledger.")
    next_step: str = Field(description="What happens next, for people.")
    evidence: Evidence | None = Field(
        description="Where its outcome was in doubt, or it was replaced at the broker: what was sent and what was "
        "answered, and what the broker's book said and when."
    )

    @classmethod
    def of(cls, record: OrderDetail, status: OrderStatus | None, next_step: str) -> Self:
        facts: dict[str, Any] = {
            **OrderOut.model_validate(record).model_dump(),
            "live": status is not None,
            "next_step": next_step,
            "evidence": status.evidence if status and status.evidence else record.evidence,
        }
        if status is not None:
            facts |= _facts(status)
        return cls.model_validate(facts)


class OrderStatusOut(Out):
    """The order right after the command."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "order_id": "paper:manual-20260105-001",
                    "broker": "paper",
                    "state": "OPEN",
                    "reason_code": "BROKER_ACCEPTED",
                    "reason": "BROKER_ACCEPTED: status=OPEN",
                    "next_step": "Waits for the broker to confirm the cancel.",
                    "quantity": 10,
                    "filled_quantity": 0,
                    "average_price": None,
                    "tag": "7Q2M0XJ4B1K9ZC5T8W3N",
                    "broker_order_id": "260105000000001",
                    "cancel_requested": True,
                    "modify_requested": False,
                }
            ]
        }
    )

    order_id: str
    broker: str
    state: OrderState
    reason_code: str
    reason: str
    next_step: str
    quantity: int
    filled_quantity: int
    average_price: Rupees | None
    tag: str | None
    broker_order_id: str | None
    cancel_requested: bool
    modify_requested: bool

    @classmethod
    def of(cls, status: OrderStatus) -> Self:
        return cls.model_validate(
            {"order_id": status.order_id, "broker": status.broker, "next_step": status.next_step, **_facts(status)}
        )


def _facts(status: OrderStatus) -> dict[str, Any]:
    return {
        "state": status.state,
        "reason_code": str(status.reason.code),
        "reason": str(status.reason),
        "quantity": status.quantity,
        "filled_quantity": status.filled_quantity,
        "average_price": status.average_price,
        "tag": status.tag,
        "broker_order_id": status.broker_order_id,
        "cancel_requested": status.cancel_requested,
        "modify_requested": status.modify_requested,
    }


class OrderEventOut(Out):
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "order_id": "paper:manual-20260105-001",
                    "seq": 4,
                    "broker": "paper",
                    "at": "2026-01-05T04:15:00.410000Z",
                    "from_state": "SUBMITTING",
                    "to_state": "OPEN",
                    "reason_code": "BROKER_ACCEPTED",
                    "reason": "BROKER_ACCEPTED: status=OPEN",
                    "actor": "broker",
                    "correlation_id": "5f0c6c0b0a4c4f3f9d2f1c7f6f2f9a11",
                }
            ]
        }
    )

    order_id: str
    seq: int = Field(description="1 for the first; without gaps.")
    broker: str
    at: Moment
    from_state: str | None
    to_state: str
    reason_code: str
    reason: str
    actor: str = Field(description="`workflow`, `broker`, the strategy, or a person.")
    correlation_id: str


class OrderEventList(ListOut[OrderEventOut]):
    pass


class RetriedOut(SignalOrderOut):
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "order_id": "paper:manual-20260105-001",
                    "broker": "paper",
                    "workflow_id": "order:paper:manual-20260105-001",
                    "state": "RECEIVED",
                }
            ]
        }
    )


class ModifyIn(In):
    """What to change; leave out what stays. `quantity` is the new total, filled part included."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"price": "1449.50"}]})

    quantity: int | None = Field(default=None, ge=1, le=MAX_QUANTITY, strict=True)
    price: Annotated[ExactPrice | None, WithJsonSchema(PRICE_SCHEMA)] = None
    trigger_price: Annotated[ExactPrice | None, WithJsonSchema(PRICE_SCHEMA)] = None
    order_type: OrderType | None = None
    validity: Validity | None = None

    _exact = field_validator("price", "trigger_price", mode="before")(exact_number("price"))

    @model_validator(mode="after")
    def _changes_something(self) -> Self:
        if self.to_change().is_empty:
            raise ValueError("name at least one of quantity, price, trigger_price, order_type, validity")
        return self

    def to_change(self) -> OrderChange:
        return OrderChange(**{name: getattr(self, name) for name in type(self).model_fields})


class DenyIn(In):
    model_config = ConfigDict(json_schema_extra={"examples": [{"note": "too large for today"}]})

    note: Note = ""


class ResolveIn(In):
    """The verdict on a PARKED order: what the broker's own screens show."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"state": "OPEN", "broker_order_id": "260105000000001", "note": "seen in Kite"}]
        }
    )

    state: OrderState = Field(
        description="OPEN, PARTIALLY_FILLED, FILLED: it is at the broker (the book is then read); REJECTED, "
        "CANCELLED, FAILED: it is not; SUBMITTING: send it again, with the same tag."
    )
    broker_order_id: Word | None = Field(default=None, description="Where known: the book is read under it.")
    note: Note = ""

    @model_validator(mode="after")
    def _is_a_resolution(self) -> Self:
        if self.state not in RESOLUTIONS:
            raise ValueError(f"state: must be one of {', '.join(sorted(RESOLUTIONS))}")
        return self
