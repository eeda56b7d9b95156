"""What a fill costs: brokerage, taxes and fees by dated tables (`tables/charges.toml`), exact in `Decimal`.

Rounding happens in one place: on an order's cumulative turnover, each component half up to the paisa (GST on the
already rounded brokerage + exchange + SEBI). A fill costs the order's charges after it minus those before it. So the
fills of an order add up, component by component, to the charges of the same turnover in one fill, however the exchange
sliced it, and the Rs 20 brokerage cap holds per order. A contract note rounds STT to the rupee per day; this does not.
"""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum
from functools import cache
from itertools import pairwise
from pathlib import Path

from alphapanda.domain import tables
from alphapanda.domain.errors import AlphaPandaError, InvalidValueError
from alphapanda.domain.money import ZERO, Money, Price, Quantity, to_paisa
from alphapanda.domain.tables import Row, TableError
from alphapanda.domain.vocabulary import Exchange, Product, Side

_PERCENT = Decimal("0.01")
_PER_CRORE = Decimal("0.0000001")


class ChargesUnknown(AlphaPandaError):  # noqa: N818 - it is an answer ("not known"), not a malfunction
    """No table covers this date, or the table has no rate for this exchange."""

    code = "CHARGES_UNKNOWN"
    default_next_action = "Supply a charges file that covers it (layout: alphapanda/domain/tables/charges.toml)."


class SegmentKind(StrEnum):
    """What was traded; with the product it decides which rates apply."""

    CASH = "CASH"
    FUTURES = "FUTURES"
    OPTIONS = "OPTIONS"


class ChargeKind(StrEnum):
    EQUITY_INTRADAY = "EQUITY_INTRADAY"
    EQUITY_DELIVERY = "EQUITY_DELIVERY"
    FUTURES = "FUTURES"
    OPTIONS = "OPTIONS"


@dataclass(frozen=True, slots=True)
class ChargeableFill:
    """One execution. `quantity` in shares or contract units, `price` in rupees (an option's premium)."""

    exchange: Exchange
    segment_kind: SegmentKind
    product: Product
    side: Side
    quantity: Quantity
    price: Price
    trade_date: date

    def __post_init__(self) -> None:
        if self.quantity <= 0:
            raise InvalidValueError(f"quantity: a fill has at least 1, not {self.quantity}")
        if not self.price > 0:
            raise InvalidValueError(f"price: a fill's price is above 0, not {self.price}")

    @property
    def turnover(self) -> Money:
        return Money(self.price * self.quantity)


@dataclass(frozen=True, slots=True)
class Charges:
    """Rupees to the paisa, each 0 or more. `exchange_txn` includes the investor protection levy, `dp` its GST."""

    brokerage: Money
    stt: Money
    exchange_txn: Money
    sebi: Money
    gst: Money
    stamp: Money
    dp: Money

    @property
    def total(self) -> Money:
        return Money(self.brokerage + self.stt + self.exchange_txn + self.sebi + self.gst + self.stamp + self.dp)


@dataclass(frozen=True, slots=True)
class Rates:
    """One kind's rates as fractions of turnover; brokerage is flat per order, or a fraction up to a cap."""

    brokerage_flat: Decimal | None
    brokerage_fraction: Decimal
    brokerage_cap: Decimal
    stt: dict[Side, Decimal]
    stamp: dict[Side, Decimal]
    exchange_txn: dict[Exchange, Decimal]

    def brokerage(self, turnover: Decimal) -> Decimal:
        if turnover == 0:
            return Decimal(0)
        if self.brokerage_flat is not None:
            return self.brokerage_flat
        return min(turnover * self.brokerage_fraction, self.brokerage_cap)


@dataclass(frozen=True, slots=True)
class DatedRates:
    first_day: date
    sebi: Decimal
    gst: Decimal
    dp: Money
    kinds: dict[ChargeKind, Rates]


class ChargeTable:
    """All dated rates; the newest that began on or before the trade's date applies."""

    def __init__(self, dated: tuple[DatedRates, ...]) -> None:
        self._dated = dated

    @staticmethod
    def packaged() -> "ChargeTable":
        """The rates shipped with this version; parsed once per process."""
        return _packaged()

    @classmethod
    def from_file(cls, path: str | Path) -> "ChargeTable":
        """Rates read from `path`, replacing the packaged ones whole. Raises `TableError` naming the bad key."""
        return cls(_parse(tables.from_file(path)))

    def rates_on(self, day: date) -> DatedRates:
        for rates in reversed(self._dated):
            if rates.first_day <= day:
                return rates
        raise ChargesUnknown(f"the charge tables begin on {self._dated[0].first_day}, after {day}")


def charge_kind(segment_kind: SegmentKind, product: Product) -> ChargeKind:
    """Which rates apply. Cash is intraday as MIS, delivery as CNC or MTF; derivatives are NRML or MIS.

    Raises `InvalidValueError` for a product the segment does not have.
    """
    match segment_kind, product:
        case SegmentKind.CASH, Product.MIS:
            return ChargeKind.EQUITY_INTRADAY
        case SegmentKind.CASH, Product.CNC | Product.MTF:
            return ChargeKind.EQUITY_DELIVERY
        case SegmentKind.FUTURES, Product.NRML | Product.MIS:
            return ChargeKind.FUTURES
        case SegmentKind.OPTIONS, Product.NRML | Product.MIS:
            return ChargeKind.OPTIONS
    raise InvalidValueError(f"product: {product} is not traded in {segment_kind}")


def charges_for(
    fill: ChargeableFill,
    table: ChargeTable,
    *,
    order_turnover_before: Money,
    first_delivery_sell_of_day: bool = False,
) -> Charges:
    """What this fill adds to its order's charges.

    `order_turnover_before`: the sum of price x quantity of the order's earlier fills, 0 for the first.
    `first_delivery_sell_of_day`: no sale of this instrument out of delivery was billed a DP fee today, so this one is
    (it has no effect on buys and on other kinds).
    Raises `ChargesUnknown` for a date or exchange without rates, `InvalidValueError` for impossible input.
    """
    if not order_turnover_before >= 0:
        raise InvalidValueError(f"order_turnover_before: cannot be below 0, not {order_turnover_before}")
    kind = charge_kind(fill.segment_kind, fill.product)
    dated = table.rates_on(fill.trade_date)
    after = _order_charges(fill, dated, kind, order_turnover_before + fill.turnover)
    before = _order_charges(fill, dated, kind, order_turnover_before)
    is_delivery_sell = kind is ChargeKind.EQUITY_DELIVERY and fill.side is Side.SELL
    return Charges(
        brokerage=Money(after.brokerage - before.brokerage),
        stt=Money(after.stt - before.stt),
        exchange_txn=Money(after.exchange_txn - before.exchange_txn),
        sebi=Money(after.sebi - before.sebi),
        gst=Money(after.gst - before.gst),
        stamp=Money(after.stamp - before.stamp),
        dp=dated.dp if is_delivery_sell and first_delivery_sell_of_day else ZERO,
    )


def _order_charges(fill: ChargeableFill, dated: DatedRates, kind: ChargeKind, turnover: Decimal) -> Charges:
    """The charges of `turnover` executed in one order like `fill`'s, without the DP fee."""
    rates = dated.kinds[kind]
    if fill.exchange not in rates.exchange_txn:
        raise ChargesUnknown(f"no {kind} rate for {fill.exchange} in the charges of {dated.first_day}")
    brokerage = to_paisa(rates.brokerage(turnover))
    exchange_txn = to_paisa(turnover * rates.exchange_txn[fill.exchange])
    sebi = to_paisa(turnover * dated.sebi)
    return Charges(
        brokerage=brokerage,
        stt=to_paisa(turnover * rates.stt[fill.side]),
        exchange_txn=exchange_txn,
        sebi=sebi,
        gst=to_paisa((brokerage + exchange_txn + sebi) * dated.gst),
        stamp=to_paisa(turnover * rates.stamp[fill.side]),
        dp=ZERO,
    )


@cache
def _packaged() -> ChargeTable:
    return ChargeTable(_parse(tables.packaged("charges.toml")))


def _parse(root: Row) -> tuple[DatedRates, ...]:
    root.only("tables")
    parsed = tuple(_parse_dated(row) for row in root.rows("tables"))
    if not all(earlier.first_day < later.first_day for earlier, later in pairwise(parsed)):
        raise TableError(f"{root.where}.tables: 'from' must ascend")
    return parsed


def _parse_dated(row: Row) -> DatedRates:
    row.only("from", "sebi_rs_per_crore", "gst_percent", "dp_rs", *ChargeKind)
    return DatedRates(
        first_day=row.day("from"),
        sebi=row.number("sebi_rs_per_crore") * _PER_CRORE,
        gst=row.number("gst_percent") * _PERCENT,
        dp=to_paisa(row.number("dp_rs")),
        kinds={kind: _parse_rates(row.row(kind)) for kind in ChargeKind},
    )


def _parse_rates(row: Row) -> Rates:
    flat = "brokerage_flat_rs" in row
    brokerage = ("brokerage_flat_rs",) if flat else ("brokerage_percent", "brokerage_cap_rs")
    row.only(*brokerage, "stt_percent", "stamp_percent", "exchange_rs_per_crore", "investor_fund_rs_per_crore")
    exchange, fund = row.row("exchange_rs_per_crore"), row.row("investor_fund_rs_per_crore")
    exchange.only(*Exchange)
    fund.only(*exchange.names)
    return Rates(
        brokerage_flat=row.number("brokerage_flat_rs") if flat else None,
        brokerage_fraction=Decimal(0) if flat else row.number("brokerage_percent") * _PERCENT,
        brokerage_cap=Decimal(0) if flat else row.number("brokerage_cap_rs"),
        stt=_by_side(row.row("stt_percent")),
        stamp=_by_side(row.row("stamp_percent")),
        exchange_txn={
            Exchange(name): (exchange.number(name) + fund.number(name)) * _PER_CRORE for name in exchange.names
        },
    )


def _by_side(row: Row) -> dict[Side, Decimal]:
    row.only(*Side)
    return {side: row.number(side) * _PERCENT for side in Side}
