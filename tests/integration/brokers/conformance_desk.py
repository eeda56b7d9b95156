"""What the conformance suite needs to know of a broker: an account to trade on, a market to move, trouble to make."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Any, ClassVar
from uuid import uuid4

import pytest

from alphapanda.brokers.protocol import BrokerAdapter
from alphapanda.domain.execution import OrderReport, OrderRequest, TradeReport
from alphapanda.domain.ids import SignalId, order_id, order_tag, order_workflow_id
from alphapanda.domain.signal import OrderTerms
from tests.integration.brokers.conftest import until


class Trouble(StrEnum):
    """What may befall a broker. Each befalls one call, unless it says otherwise; the value says what happens."""

    LOST_REQUEST = "a placement that never arrives, and nobody says so"
    LOST_REPLY = "a placement whose reply is lost"
    LOST_CHANGE_REPLY = "a modification or cancel that is done, and its reply lost"
    HIDDEN = "a placement whose reply is lost, in no book until `calm`"
    UNREACHABLE = "a placement of which nothing can be sent"
    TOO_MANY_REQUESTS = "a placement refused because there were too many"
    NOT_PERMITTED = "a placement refused by address or plan"
    REJECTED_BY_EXCHANGE = "an order that the broker takes and the exchange rejects"
    BOOK_UNAVAILABLE = "every read of orders, trades, positions and margins fails until `calm`"
    DAY_ENDS = "orders that are valid for the day end now; to come last in a test"


@dataclass(frozen=True)
class Traded:
    """Something to trade, and the price (rupees) it has when a test begins."""

    exchange: str
    tradingsymbol: str
    lot_size: int
    price: Decimal

    @property
    def key(self) -> str:
        return f"{self.exchange}:{self.tradingsymbol}"


class ConformanceDesk(ABC):
    """One account at one broker: empty, rich (100 million rupees), logged in, its adapter running, its market open.

    `updates` gets what the adapter gives to `on_update`. `cannot` tells of each trouble that this broker cannot be put
    in, why: the tests that need it are skipped with these words.
    """

    cannot: ClassVar[Mapping[Trouble, str]] = {}
    refused_request_token: ClassVar[str]
    """What `open_session` refuses."""

    adapter: BrokerAdapter
    name: str
    share: Traded
    """On NSE, tick size 0.10 or one that divides it, at 1,500 rupees."""
    future: Traded
    """On NFO, at 24,000 rupees, with a freeze quantity below 60 lots where the broker has such a thing."""
    updates: list[OrderReport]

    @abstractmethod
    async def trade(self, price: Decimal | int | str, *, volume: int | None = None, of: Traded | None = None) -> None:
        """The market trades at `price`, and offers `volume` shares (None: any number) at it until it trades again.

        Returns once a new order would meet it. Orders that rest may meet it a moment later.
        """

    @abstractmethod
    async def provoke(self, trouble: Trouble) -> None: ...

    @abstractmethod
    async def calm(self) -> None:
        """No trouble any more; what was hidden shows."""

    @abstractmethod
    async def kill_session(self) -> None:
        """As a login elsewhere or the early morning does."""

    @abstractmethod
    def request_token(self) -> str:
        """What the broker's login page hands out."""

    # --- the words of the tests --------------------------------------------------------------------------------

    async def trouble(self, trouble: Trouble) -> None:
        if trouble in self.cannot:
            pytest.skip(f"{self.name} cannot rehearse {trouble.name}: {self.cannot[trouble]}")
        await self.provoke(trouble)

    def request(self, **terms: Any) -> OrderRequest:
        """BUY 10 of the share @ MARKET, MIS, DAY, unless changed, with a tag of its own as our orders have it."""
        of: Traded = terms.pop("of", self.share)
        chosen: dict[str, Any] = {
            "exchange": of.exchange, "tradingsymbol": of.tradingsymbol, "side": "BUY", "quantity": 10,
            "order_type": "MARKET", "product": "MIS",
        }  # fmt: skip
        broker, signal = self.adapter.name, SignalId(uuid4().hex)
        return OrderRequest(
            broker=broker,
            order_id=order_id(broker, signal),
            tag=order_tag(order_workflow_id(broker, signal)),
            terms=OrderTerms(**{**chosen, **terms}),
        )

    async def place(self, **terms: Any) -> OrderReport:
        """The order as the book has it once it was placed."""
        return await self.sent(self.request(**terms))

    async def sent(self, request: OrderRequest) -> OrderReport:
        placed = await self.adapter.place(request)
        report = await self.report(placed.broker_order_id)
        assert report.broker_order_id == placed.broker_order_id
        return report

    async def rest(self, **terms: Any) -> OrderReport:
        """A limit buy well below the market."""
        return await self.place(**{"order_type": "LIMIT", "price": "1400", **terms})

    async def report(self, broker_order_id: str) -> OrderReport:
        found = await self.adapter.order(broker_order_id)
        assert found is not None
        return found

    async def until_filled(self, broker_order_id: str, quantity: int) -> OrderReport:
        """Resting orders are filled a moment after the market has traded."""

        async def is_filled() -> bool:
            return (await self.report(broker_order_id)).filled_quantity >= quantity

        await until(is_filled)
        return await self.report(broker_order_id)

    async def cancelled(self, report: OrderReport) -> OrderReport:
        """The order once it has ended: a cancel is a request."""
        await self.adapter.cancel(report.broker_order_id)
        return await self.ended(report.broker_order_id)

    async def ended(self, broker_order_id: str) -> OrderReport:
        async def has_ended() -> bool:
            return (await self.report(broker_order_id)).status.is_final

        await until(has_ended)
        return await self.report(broker_order_id)

    async def tagged(self, request: OrderRequest) -> list[OrderReport]:
        """Every order of the book with the request's tag."""
        return [report for report in await self.adapter.orders() if report.tag == request.tag]

    async def trades_of(self, report: OrderReport) -> list[TradeReport]:
        trades = await self.adapter.trades()
        return [trade for trade in trades if trade.broker_order_id == report.broker_order_id]

    async def net(self) -> dict[tuple[str, str], int]:
        """Open positions by symbol and product."""
        return {(each.tradingsymbol, each.product): each.quantity for each in await self.adapter.positions()}
