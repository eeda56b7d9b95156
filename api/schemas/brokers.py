"""A broker's session and switch, and what one can do to them."""

from datetime import UTC, datetime
from typing import Annotated, Any, Self

from pydantic import AfterValidator, ConfigDict, Field, SecretStr, model_validator

from activities.messages import BrokerStatus
from alphapanda.brokers.paper.faults import PaperFault
from alphapanda.domain.calendar import Calendar
from alphapanda.domain.ids import Broker
from alphapanda.domain.vocabulary import SessionState, TradingSwitch
from alphapanda.ledger.query_brokers import BrokerStateRecord
from alphapanda.sessions.advice import login_action
from alphapanda.sessions.preflight import login_needed_by
from api.schemas.base import In, ListOut, Moment, Note, Out

_BROKER: dict[str, Any] = {
    "broker": "paper",
    "session": "ACTIVE",
    "session_since": "2026-01-05T03:40:00Z",
    "switch": "ENABLED",
    "switch_since": "2026-01-05T03:40:00Z",
    "switch_reason": "",
    "switch_actor": "system",
    "waiting_orders": 0,
    "needs_person": 0,
    "live": True,
    "login_needed_by": None,
    "next_action": None,
}


class BrokerOut(Out):
    model_config = ConfigDict(json_schema_extra={"examples": [_BROKER]})

    broker: str
    session: SessionState
    session_since: Moment | None
    switch: TradingSwitch | None = Field(description="Null: not known.")
    switch_since: Moment | None
    switch_reason: str | None
    switch_actor: str | None
    waiting_orders: int | None = Field(description="Orders that wait for a login; null: its workflow did not answer.")
    needs_person: int = Field(description="Orders that a person has to decide: PARKED or AWAITING_APPROVAL.")
    live: bool = Field(description="Whether its workflow answered; otherwise all is from the ledger.")

    login_needed_by: Moment | None = Field(
        description="When a market opens, or (in the past) has opened today, where a login is needed for it; else null."
    )
    next_action: str | None = Field(description="What a person has to do; null: nothing.")

    @classmethod
    def of(
        cls, broker: Broker, record: BrokerStateRecord | None, status: BrokerStatus | None, *, calendar: Calendar | None
    ) -> Self:
        """What its workflow says, else the ledger; since when, why and by whom only where both agree.

        `calendar` is None where every hour counts as open.
        """
        session = status.session if status else SessionState(record.session) if record else SessionState.UNKNOWN
        switch = status.switch if status else TradingSwitch(record.switch) if record else None
        decided = record if record is not None and record.switch == switch else None
        session_since: datetime | None = record.session_since if record and record.session == session else None
        return cls(
            broker=broker,
            session=session,
            session_since=(status.session_since if status else None) or session_since,
            switch=switch,
            switch_since=decided.switch_since if decided else None,
            switch_reason=decided.switch_reason if decided else None,
            switch_actor=decided.switch_actor if decided else None,
            waiting_orders=status.waiting_orders if status else None,
            needs_person=record.needs_person if record else 0,
            live=status is not None,
            login_needed_by=login_needed_by(calendar, datetime.now(UTC)) if session.needs_login else None,
            next_action=login_action(broker) if session.needs_login else None,
        )


class BrokerList(ListOut[BrokerOut]):
    pass


class LoginOut(Out):
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "broker": "paper",
                    "login_url": None,
                    "instructions": "The paper broker has no login page: POST any request_token to its session.",
                }
            ]
        }
    )

    broker: str
    login_url: str | None
    instructions: str


def _token(value: SecretStr) -> SecretStr:
    text = value.get_secret_value()
    if not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError("must be printable ASCII without spaces")
    return value


class SessionIn(In):
    """The request token that the broker's login page hands out; it works once and for minutes."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"request_token": "Xq1b7Tz9"}]})

    request_token: Annotated[SecretStr, Field(min_length=1, max_length=200), AfterValidator(_token)]


class PostbackOut(Out):
    """The same whether or not the order is one of ours."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"received": True}]})

    received: bool


class SwitchIn(In):
    model_config = ConfigDict(json_schema_extra={"examples": [{"reason": "news at 11"}]})

    reason: Note = Field(default="", description="For the record.")


class RehearseIn(In):
    """An outage to rehearse on the paper exchange: a fault for the next `count` calls, or a dead session."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"fault": "LOSE_REPLY", "count": 1}, {"expire_session": True}]}
    )

    fault: PaperFault | None = None
    count: int = Field(default=1, ge=1, le=1000, strict=True, description="How many calls the fault befalls.")
    expire_session: bool = Field(default=False, strict=True)

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.fault is not None) == self.expire_session:
            raise ValueError("give either fault or expire_session: true")
        return self


class RehearsedOut(Out):
    model_config = ConfigDict(
        json_schema_extra={"examples": [{"broker": "paper", "rehearsed": "LOSE_REPLY befalls the next 1 call(s)"}]}
    )

    broker: str
    rehearsed: str
