"""The activities as workflows see them: names, inputs and results, no implementation and no heavy import.

The implementations subclass these, so that mypy holds both sides to one signature.
"""

from abc import ABC, abstractmethod

from temporalio import activity

from activities.messages import (
    BrokerOrderInput,
    CallResult,
    ChangeInput,
    ChangeResult,
    CheckInput,
    CheckResult,
    RecordInput,
    SessionInput,
    SubmitInput,
    SwitchInput,
)


class LedgerSteps(ABC):
    """Local activities: short transactions on our own ledger; each may run twice."""

    @activity.defn(name="check_order")
    @abstractmethod
    async def check_order(self, step: CheckInput) -> CheckResult:
        """Validate, check risk, reserve, and record the intent with its tag: one transaction."""

    @activity.defn(name="record_order")
    @abstractmethod
    async def record_order(self, step: RecordInput) -> None:
        """Append transitions, book trades, release what is no longer reserved: one transaction."""

    @activity.defn(name="check_change")
    @abstractmethod
    async def check_change(self, step: ChangeInput) -> ChangeResult:
        """Check a modification against instrument and limits, reserving what it adds."""

    @activity.defn(name="set_switch")
    @abstractmethod
    async def set_switch(self, step: SwitchInput) -> None: ...

    @activity.defn(name="set_session")
    @abstractmethod
    async def set_session(self, step: SessionInput) -> None: ...


class BrokerCalls(ABC):
    """Activities on a broker's own queue: one call to the broker each, never retried by Temporal."""

    @activity.defn(name="submit_order")
    @abstractmethod
    async def submit_order(self, call: SubmitInput) -> CallResult:
        """Check switch and deadline one last time, then send the order at most once."""

    @activity.defn(name="look_up_order")
    @abstractmethod
    async def look_up_order(self, call: BrokerOrderInput) -> CallResult:
        """Read the order's row with its trades, by broker id where known, else by tag."""

    @activity.defn(name="cancel_order")
    @abstractmethod
    async def cancel_order(self, call: BrokerOrderInput) -> CallResult: ...

    @activity.defn(name="modify_order")
    @abstractmethod
    async def modify_order(self, call: BrokerOrderInput) -> CallResult: ...
