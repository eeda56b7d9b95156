"""Evidence: what was sent for an order, and what the broker's book said of it and when.

Kept by the order's workflow from the start, shown as soon as the outcome is in doubt, and recorded with the order.
"""

from pydantic import AwareDatetime, BaseModel, ConfigDict

from alphapanda.domain.ids import Tag


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)


class Sent(_Frozen):
    """One attempt to place the order. `outcome` is None until the call has ended; `answer` is the broker's or the
    error's own text."""

    attempt: int
    tag: Tag
    terms: str
    sent_at: AwareDatetime
    ended_at: AwareDatetime | None = None
    outcome: str | None = None
    answer: str = ""
    broker_order_id: str | None = None


class Search(_Frozen):
    """Reads of the book after one attempt, summed up: how many, how they came out, and what the last one said."""

    attempt: int
    first_at: AwareDatetime
    last_at: AwareDatetime
    reads: int
    absent: int
    pending: int
    unreadable: int
    last: str


class Replaced(_Frozen):
    """An earlier order at the broker whose place the present one has taken."""

    tag: Tag
    broker_order_id: str


class Evidence(_Frozen):
    """`sent` and `searches` oldest first; only the latest of each are kept."""

    sent: tuple[Sent, ...] = ()
    searches: tuple[Search, ...] = ()
    replaced: tuple[Replaced, ...] = ()
