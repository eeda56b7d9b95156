"""Why an order is in its state: one stable code per cause, rendered as `CATEGORY_CONDITION: key=value`."""

from enum import StrEnum

from pydantic import BaseModel, ConfigDict


class ReasonCode(StrEnum):
    """Each member carries, as its docs, the sentence shown to people."""

    explanation: str

    def __new__(cls, code: str, explanation: str = "") -> "ReasonCode":
        member = str.__new__(cls, code)
        member._value_ = code
        member.explanation = explanation
        return member

    # fmt: off
    SIGNAL_ACCEPTED            = "SIGNAL_ACCEPTED", "The signal is recorded and its workflow started."
    SIGNAL_STALE               = "SIGNAL_STALE", "The signal is older than the limit allows."
    SIGNAL_EXPIRED             = "SIGNAL_EXPIRED", "The signal's own deadline passed before it reached the broker."
    SIGNAL_DAY_OVER            = "SIGNAL_DAY_OVER", "The login came on a later day than the signal was meant for."
    SIGNAL_DUPLICATE           = "SIGNAL_DUPLICATE", "The same intent came twice within the duplicate window."
    VALIDATION_PASSED          = "VALIDATION_PASSED", "Every rule of the instrument and the market holds."
    INSTRUMENT_UNKNOWN         = "INSTRUMENT_UNKNOWN", "No such instrument is loaded for that exchange."
    INSTRUMENT_LOT_SIZE        = "INSTRUMENT_LOT_SIZE", "The quantity is not a multiple of the lot size."
    INSTRUMENT_TICK_SIZE       = "INSTRUMENT_TICK_SIZE", "A price is not on the instrument's tick grid."
    INSTRUMENT_PRICE_BAND      = "INSTRUMENT_PRICE_BAND", "A price lies outside the day's circuit limits."
    INSTRUMENT_NOT_TRADABLE    = "INSTRUMENT_NOT_TRADABLE", "An index, or what expired or left the dump, is not traded."
    INSTRUMENT_DUMP_STALE      = "INSTRUMENT_DUMP_STALE", "The instrument dump is too old to trade an entry on."
    PRODUCT_NOT_ALLOWED        = "PRODUCT_NOT_ALLOWED", "The product does not exist in that segment."
    VARIETY_NOT_ALLOWED        = "VARIETY_NOT_ALLOWED", "The variety does not go with the order's other terms."
    ICEBERG_LEGS               = "ICEBERG_LEGS", "The quantity has no whole lot for each leg of the iceberg."
    MARKET_NOT_CLOSED          = "MARKET_NOT_CLOSED", "An after-market order is taken while the market is closed."
    MARKET_CLOSED              = "MARKET_CLOSED", "The market is closed and the signal does not ask to wait."
    MARKET_WAITING_FOR_OPEN    = "MARKET_WAITING_FOR_OPEN", "The order waits for the next session."
    MARKET_OPENED              = "MARKET_OPENED", "The session the order waited for has begun."
    MARKET_CALENDAR_UNKNOWN    = "MARKET_CALENDAR_UNKNOWN", "The calendar does not know this date."
    MARKET_QUOTE_STALE         = "MARKET_QUOTE_STALE", "The last quote is too old to trade an entry on."
    MARKET_QUOTE_UNKNOWN       = "MARKET_QUOTE_UNKNOWN", "No quote is known, so an entry cannot be checked."
    RISK_PASSED                = "RISK_PASSED", "All limits hold and the exposure is reserved."
    RISK_ORDER_QUANTITY        = "RISK_ORDER_QUANTITY", "The quantity exceeds the limit per order."
    RISK_ORDER_VALUE           = "RISK_ORDER_VALUE", "The value exceeds the limit per order."
    RISK_POSITION_QUANTITY     = "RISK_POSITION_QUANTITY", "The position would exceed the quantity limit."
    RISK_POSITION_VALUE        = "RISK_POSITION_VALUE", "The position would exceed the value limit."
    RISK_DAILY_LOSS            = "RISK_DAILY_LOSS", "The day's loss has reached the limit; exits only."
    RISK_PRICE_COLLAR          = "RISK_PRICE_COLLAR", "The price is too far from the last quote."
    RISK_APPROVAL_REQUIRED     = "RISK_APPROVAL_REQUIRED", "The value is above the approval threshold."
    SWITCH_HALTED              = "SWITCH_HALTED", "Trading at this broker is halted; exits only."
    SWITCH_EXITS_ONLY          = "SWITCH_EXITS_ONLY", "This broker accepts exits only."
    PERSON_APPROVED            = "PERSON_APPROVED", "A person approved the order."
    PERSON_DENIED              = "PERSON_DENIED", "A person denied the order."
    PERSON_CANCELLED           = "PERSON_CANCELLED", "A person cancelled the order before it was sent."
    PERSON_RESOLVED            = "PERSON_RESOLVED", "A person decided a parked order."
    PERSON_RETRIED             = "PERSON_RETRIED", "A person started a failed order again."
    APPROVAL_TIMED_OUT         = "APPROVAL_TIMED_OUT", "Nobody approved the order in time."
    SUBMIT_INTENT_RECORDED     = "SUBMIT_INTENT_RECORDED", "The tag is stored; the request goes out next."
    SUBMIT_OUTCOME_UNKNOWN     = "SUBMIT_OUTCOME_UNKNOWN", "The request was sent and its outcome is not known."
    SUBMIT_PROVED_ABSENT       = "SUBMIT_PROVED_ABSENT", "The broker's book never showed the tag."
    SUBMIT_NOT_PERMITTED       = "SUBMIT_NOT_PERMITTED", "The broker does not permit this (plan or address)."
    SUBMIT_NOT_CONFIRMED       = "SUBMIT_NOT_CONFIRMED", "The broker took the order; its book does not show it working."
    RESOLVED_FROM_BOOK         = "RESOLVED_FROM_BOOK", "Found by its tag in the broker's order book."
    RESOLVE_GAVE_UP            = "RESOLVE_GAVE_UP", "The book did not settle the outcome in time."
    RESOLVE_STUCK_AT_BROKER    = "RESOLVE_STUCK_AT_BROKER", "The broker has the order, but did not pass it on in time."
    SESSION_LOST               = "SESSION_LOST", "The broker session is dead; log in to go on."
    SESSION_RESTORED           = "SESSION_RESTORED", "A new login woke the order."
    CHANGE_BELOW_FILLED        = "CHANGE_BELOW_FILLED", "The new quantity is not above what is filled already."
    CHANGE_CONTRADICTS         = "CHANGE_CONTRADICTS", "The changed terms contradict each other."
    CHANGE_NEEDS_APPROVAL      = "CHANGE_NEEDS_APPROVAL", "The changed order is above the approval threshold."
    CHANGE_EXCEEDS_POSITION    = "CHANGE_EXCEEDS_POSITION", "The changed exit is larger than what is held."
    CHANGE_REPLACES            = "CHANGE_REPLACES", "Modified too often: its cancel is asked for, to replace it."
    CHANGE_REPLACED            = "CHANGE_REPLACED", "Its rest is placed anew; the order before is cancelled."
    CHANGE_NOT_REPLACED        = "CHANGE_NOT_REPLACED", "It was not replaced: the order before did not end cancelled."
    UNFILLED_REPRICED          = "UNFILLED_REPRICED", "The rest of a market order is sent to the market again."
    UNFILLED_NOT_REPRICED      = "UNFILLED_NOT_REPRICED", "The rest of a market order could not be sent to it again."
    UNFILLED_CANCELLED         = "UNFILLED_CANCELLED", "The rest of a market order is cancelled by policy."
    BROKER_ACCEPTED            = "BROKER_ACCEPTED", "The order rests at the broker."
    BROKER_REJECTED            = "BROKER_REJECTED", "The broker refused the order."
    BROKER_CANCELLED           = "BROKER_CANCELLED", "The broker's book shows the order cancelled."
    BROKER_EXPIRED             = "BROKER_EXPIRED", "The order's validity ended at the exchange."
    BROKER_DAY_OVER            = "BROKER_DAY_OVER", "Its day is over, and the broker's book of today has it no more."
    BROKER_SLICES_REFUSED      = "BROKER_SLICES_REFUSED", "The broker refused a part of the order it had sliced."
    BROKER_PARTIAL_FILL        = "BROKER_PARTIAL_FILL", "Part of the quantity is filled."
    BROKER_FILLED              = "BROKER_FILLED", "The whole quantity is filled."
    BROKER_LATE_FILL           = "BROKER_LATE_FILL", "A fill arrived after the order had ended."
    INTERNAL_ERROR             = "INTERNAL_ERROR", "An unexpected error; the workflow is kept for retry."
    # fmt: on


NOTES = frozenset(
    {
        ReasonCode.SUBMIT_NOT_CONFIRMED,
        ReasonCode.CHANGE_REPLACES,
        ReasonCode.CHANGE_NOT_REPLACED,
        ReasonCode.UNFILLED_REPRICED,
        ReasonCode.UNFILLED_NOT_REPRICED,
        ReasonCode.UNFILLED_CANCELLED,
        ReasonCode.BROKER_SLICES_REFUSED,
    }
)
"""What is worth an event of its own without a change of state: it then stands as a note, from a state to itself."""

MAX_DETAIL = 1000


class Reason(BaseModel):
    """A reason code with its facts. `str()` gives `CATEGORY_CONDITION: key=value, key=value`."""

    model_config = ConfigDict(frozen=True)

    code: ReasonCode
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.code}: {self.detail}" if self.detail else str(self.code)


def reason(code: ReasonCode, **facts: object) -> Reason:
    """A reason whose facts are rendered `key=value` in the order given, on one line: people and brokers wrote parts."""
    detail = ", ".join(f"{key}={value}" for key, value in facts.items())
    return Reason(code=code, detail=" ".join(detail.replace("\x00", " ").split())[:MAX_DETAIL])
