"""The two sets of books after a storm: what the desk's API shows, and the truth at the simulator."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from alphapanda.domain.ids import Tag, tag_stem
from alphapanda.domain.states import OrderState

Account = tuple[str, str, str]
"""Exchange, tradingsymbol, product: what a position is in."""


@dataclass(frozen=True, slots=True)
class Trade:
    """One execution, as one side has it. `owner`: the order's tag stem, None where nobody here ordered it.

    `trade_id` carries the order id in front, as the desk books it: the exchanges number their trades apart.
    """

    trade_id: str
    owner: str | None
    account: Account
    side: str
    quantity: int
    price: Decimal

    @property
    def received(self) -> Decimal:
        """Rupees this trade brought; negative of a buy."""
        value = self.quantity * self.price
        return value if self.side == "SELL" else -value


@dataclass(frozen=True, slots=True)
class BrokerOrder:
    """One row of the broker's book; rows of one request share its `placement`."""

    order_id: str
    placement: str
    tag: str | None
    placed_by: str
    status: str
    quantity: int
    filled: int

    @property
    def stem(self) -> str | None:
        return None if self.tag is None else tag_stem(Tag(self.tag))

    @property
    def has_ended(self) -> bool:
        return self.status in ("COMPLETE", "CANCELLED", "REJECTED")


@dataclass(frozen=True, slots=True)
class BrokerBook:
    """`flow`: rupees received less rupees paid. `peaks`: the most calls within a second and within a minute."""

    orders: tuple[BrokerOrder, ...]
    trades: tuple[Trade, ...]
    positions: Mapping[Account, int]
    flow: Decimal
    peaks: Mapping[str, int]
    requests: Mapping[str, int]
    struck: Mapping[str, int]

    @property
    def order_calls(self) -> int:
        return sum(self.requests.get(call, 0) for call in ("place", "modify", "cancel"))

    @property
    def placements(self) -> Mapping[str, int]:
        """Accepted requests to place, by tag."""
        placed = {order.placement: order.tag for order in self.orders if order.tag is not None}
        return Counter(placed.values())

    @staticmethod
    def of(state: Mapping[str, Any]) -> "BrokerBook":
        """Of `/sim/state`, whose numbers must have been read as Decimal."""
        orders = tuple(_broker_order(row) for row in state["orders"])
        stems = {order.order_id: order.stem for order in orders}
        counters = state["counters"]
        return BrokerBook(
            orders=orders,
            trades=tuple(_trade(row, stems[row["order_id"]]) for row in state["trades"]),
            positions=_quantities(state["positions"]),
            flow=Decimal(state["cash"]["flow"]),
            peaks=counters["peaks"],
            requests=counters["requests"],
            struck=counters["faults"],
        )


@dataclass(frozen=True, slots=True)
class DeskOrder:
    order_id: str
    signal_id: str
    tag: str | None
    state: OrderState
    quantity: int
    filled: int
    reason: str

    @property
    def stem(self) -> str | None:
        return None if self.tag is None else tag_stem(Tag(self.tag))


@dataclass(frozen=True, slots=True)
class DeskBook:
    """`strangers`: trades under EXTERNAL that name an order, or others that name none. `drift`: what stands of it."""

    orders: tuple[DeskOrder, ...]
    trades: tuple[Trade, ...]
    strangers: tuple[str, ...]
    positions: Mapping[Account, int]
    drift: tuple[str, ...]

    @staticmethod
    def of(
        orders: Iterable[Mapping[str, Any]],
        fills: Iterable[Mapping[str, Any]],
        positions: Iterable[Mapping[str, Any]],
        drift: Iterable[Mapping[str, Any]],
    ) -> "DeskBook":
        """Of the items of `/orders`, `/fills`, `/positions` and `/brokers/{broker}/drift`."""
        known = tuple(_desk_order(row) for row in orders)
        stems = {order.order_id: order.stem for order in known}
        booked = tuple(fills)
        return DeskBook(
            orders=known,
            trades=tuple(_fill(row, stems) for row in booked),
            strangers=tuple(
                row["trade_id"] for row in booked if (row["strategy_id"] == "EXTERNAL") != (row["order_id"] is None)
            ),
            positions=_quantities(positions),
            drift=tuple(f"{row['kind']}: {row['detail']}" for row in drift),
        )


def _broker_order(row: Mapping[str, Any]) -> BrokerOrder:
    return BrokerOrder(
        row["order_id"], row["placement"], row["tag"], row["placed_by"], row["status"], int(row["quantity"]),
        int(row["filled_quantity"]),
    )  # fmt: skip


def _trade(row: Mapping[str, Any], owner: str | None) -> Trade:
    number = f"{row['order_id']}:{row['trade_id']}"
    price = Decimal(row["average_price"])
    return Trade(number, owner, _account(row), row["transaction_type"], int(row["quantity"]), price)


def _desk_order(row: Mapping[str, Any]) -> DeskOrder:
    return DeskOrder(
        row["order_id"], row["signal_id"], row["tag"], OrderState(row["state"]), row["quantity"],
        row["filled_quantity"], row["reason"],
    )  # fmt: skip


def _fill(row: Mapping[str, Any], stems: Mapping[str, str | None]) -> Trade:
    owner = None if row["order_id"] is None else stems.get(row["order_id"])
    return Trade(row["trade_id"], owner, _account(row), row["side"], row["quantity"], Decimal(row["price"]))


def _account(row: Mapping[str, Any]) -> Account:
    return row["exchange"], row["tradingsymbol"], row["product"]


def _quantities(rows: Iterable[Mapping[str, Any]]) -> dict[Account, int]:
    """Closed positions are left out: one side forgets them, the other lists them with 0."""
    found = {_account(row): int(row["quantity"]) for row in rows}
    return {account: quantity for account, quantity in found.items() if quantity}
