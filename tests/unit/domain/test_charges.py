from datetime import date, timedelta
from decimal import Decimal
from itertools import accumulate
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alphapanda.domain.charges import (
    ChargeableFill,
    ChargeKind,
    Charges,
    ChargesUnknown,
    ChargeTable,
    SegmentKind,
    charge_kind,
    charges_for,
)
from alphapanda.domain.errors import InvalidValueError
from alphapanda.domain.money import PAISA, Money, Price, Quantity
from alphapanda.domain.tables import TableError
from alphapanda.domain.vocabulary import Exchange, Product, Side

TABLE = ChargeTable.packaged()
NOTHING = Money(Decimal(0))
COMPONENTS = ("brokerage", "stt", "exchange_txn", "sebi", "gst", "stamp", "dp")
NOW = date(2026, 4, 1)

INTRADAY = (Exchange.NSE, SegmentKind.CASH, Product.MIS)
DELIVERY = (Exchange.NSE, SegmentKind.CASH, Product.CNC)
FUTURES = (Exchange.NFO, SegmentKind.FUTURES, Product.NRML)
OPTIONS = (Exchange.NFO, SegmentKind.OPTIONS, Product.NRML)
Traded = tuple[Exchange, SegmentKind, Product]


def fill(traded: Traded, side: Side, quantity: int, price: str | Decimal, day: date = NOW) -> ChargeableFill:
    exchange, segment_kind, product = traded
    return ChargeableFill(
        exchange=exchange,
        segment_kind=segment_kind,
        product=product,
        side=side,
        quantity=Quantity(quantity),
        price=Price(Decimal(price)),
        trade_date=day,
    )


def alone(one: ChargeableFill, *, first_delivery_sell_of_day: bool = False) -> Charges:
    """The charges of an order with this one fill."""
    return charges_for(one, TABLE, order_turnover_before=NOTHING, first_delivery_sell_of_day=first_delivery_sell_of_day)


def rupees(*amounts: str) -> Charges:
    return Charges(*(Money(Decimal(amount)) for amount in amounts))


# --- worked examples: brokerage, stt, exchange_txn, sebi, gst, stamp, dp ---------------------------------------


def test_an_intraday_buy_pays_capped_brokerage_and_stamp_but_no_stt() -> None:
    # turnover 100 x 1423.05 = 142305; 0.03 % = 42.69, capped at 20; 307/crore = 4.3688; SEBI 0.1423;
    # GST 18 % of 20 + 4.37 + 0.14 = 24.51 is 4.4118; stamp 0.003 % = 4.2692; sum 33.19
    charges = alone(fill(INTRADAY, Side.BUY, 100, "1423.05"))
    assert charges == rupees("20.00", "0.00", "4.37", "0.14", "4.41", "4.27", "0")
    assert charges.total == Decimal("33.19")


def test_a_small_intraday_sell_pays_a_fraction_and_stt_but_no_stamp() -> None:
    # turnover 10 x 500 = 5000; 0.03 % = 1.50; STT 0.025 % = 1.25; 307/crore = 0.1535; SEBI 0.005, half up to 0.01;
    # GST 18 % of 1.50 + 0.15 + 0.01 = 1.66 is 0.2988; sum 3.21
    charges = alone(fill(INTRADAY, Side.SELL, 10, "500"))
    assert charges == rupees("1.50", "1.25", "0.15", "0.01", "0.30", "0.00", "0")
    assert charges.total == Decimal("3.21")


def test_a_delivery_buy_pays_no_brokerage_and_stt_and_stamp() -> None:
    # turnover 50 x 2000 = 100000; STT 0.1 % = 100; 307/crore = 3.07; SEBI 0.10; GST 18 % of 3.17 is 0.5706;
    # stamp 0.015 % = 15; sum 118.74
    charges = alone(fill(DELIVERY, Side.BUY, 50, "2000"), first_delivery_sell_of_day=True)
    assert charges == rupees("0", "100.00", "3.07", "0.10", "0.57", "15.00", "0")
    assert charges.total == Decimal("118.74")


def test_the_first_delivery_sell_of_the_day_pays_the_depository_fee_once() -> None:
    # as the buy, without stamp; DP fee 13 + 18 % GST = 15.34; sum 119.08, and 103.74 for the next sell
    sell = fill(DELIVERY, Side.SELL, 50, "2000")
    assert alone(sell, first_delivery_sell_of_day=True) == rupees("0", "100.00", "3.07", "0.10", "0.57", "0", "15.34")
    assert alone(sell, first_delivery_sell_of_day=True).total == Decimal("119.08")
    assert alone(sell).total == Decimal("103.74")


def test_an_intraday_sell_never_pays_the_depository_fee() -> None:
    assert alone(fill(INTRADAY, Side.SELL, 50, "2000"), first_delivery_sell_of_day=True).dp == 0


def test_a_futures_sell_pays_stt_on_the_contract_value() -> None:
    # turnover 65 x 24000 = 1560000; 0.03 % = 468, capped at 20; STT 0.05 % = 780; 183/crore = 28.548; SEBI 1.56;
    # GST 18 % of 20 + 28.55 + 1.56 = 50.11 is 9.0198; sum 839.13
    charges = alone(fill(FUTURES, Side.SELL, 65, "24000"))
    assert charges == rupees("20.00", "780.00", "28.55", "1.56", "9.02", "0", "0")
    assert charges.total == Decimal("839.13")


def test_an_options_sell_pays_flat_brokerage_and_stt_on_the_premium() -> None:
    # turnover 65 x 100.10 = 6506.50; flat 20; STT 0.15 % = 9.7598; 3553/crore = 2.3118; SEBI 0.0065;
    # GST 18 % of 20 + 2.31 + 0.01 = 22.32 is 4.0176; sum 36.10
    charges = alone(fill(OPTIONS, Side.SELL, 65, "100.10"))
    assert charges == rupees("20.00", "9.76", "2.31", "0.01", "4.02", "0", "0")
    assert charges.total == Decimal("36.10")


@pytest.mark.parametrize(
    ("traded", "quantity", "price", "day", "stt"),
    [
        # 6506.50 of premium: 0.0625 % until September 2024, 0.1 % until March 2026, 0.15 % since
        (OPTIONS, 65, "100.10", date(2024, 9, 30), "4.07"),
        (OPTIONS, 65, "100.10", date(2024, 10, 1), "6.51"),
        (OPTIONS, 65, "100.10", date(2026, 3, 31), "6.51"),
        (OPTIONS, 65, "100.10", date(2026, 4, 1), "9.76"),
        # 1560000 of futures: 0.0125 %, 0.02 %, 0.05 %
        (FUTURES, 65, "24000", date(2024, 5, 21), "195.00"),
        (FUTURES, 65, "24000", date(2025, 6, 2), "312.00"),
        (FUTURES, 65, "24000", date(2026, 11, 20), "780.00"),
    ],
)
def test_the_rates_of_the_trade_date_apply(traded: Traded, quantity: int, price: str, day: date, stt: str) -> None:
    assert alone(fill(traded, Side.SELL, quantity, price, day)).stt == Decimal(stt)


@pytest.mark.parametrize("day", [date(2024, 10, 1), date(2026, 3, 31), date(2026, 4, 1)])
@pytest.mark.parametrize(
    # one crore of turnover costs 307, 183 and 3553 in fees and fund levy together, whatever their split
    ("traded", "expected"),
    [(INTRADAY, "307.00"), (DELIVERY, "307.00"), (FUTURES, "183.00"), (OPTIONS, "3553.00")],
)
def test_a_crore_costs_what_the_exchange_charges_for_it(traded: Traded, expected: str, day: date) -> None:
    assert alone(fill(traded, Side.BUY, 100_000, "100", day)).exchange_txn == Decimal(expected)


# --- refusals --------------------------------------------------------------------------------------------------


def test_a_date_before_the_first_table_is_refused() -> None:
    with pytest.raises(ChargesUnknown, match="begin on 2024-04-01, after 2024-03-31") as refusal:
        alone(fill(DELIVERY, Side.BUY, 1, "100", date(2024, 3, 31)))
    assert refusal.value.code == "CHARGES_UNKNOWN"
    assert "charges file" in refusal.value.next_action


def test_an_exchange_without_a_rate_is_refused_rather_than_free() -> None:
    with pytest.raises(ChargesUnknown, match="no FUTURES rate for MCX"):
        alone(fill((Exchange.MCX, SegmentKind.FUTURES, Product.NRML), Side.BUY, 1, "6000"))


@pytest.mark.parametrize(
    ("segment_kind", "product"),
    [
        (SegmentKind.CASH, Product.NRML),
        (SegmentKind.FUTURES, Product.CNC),
        (SegmentKind.OPTIONS, Product.MTF),
    ],
)
def test_a_product_the_segment_does_not_have_is_refused(segment_kind: SegmentKind, product: Product) -> None:
    with pytest.raises(InvalidValueError, match=f"product: {product} is not traded in {segment_kind}"):
        charge_kind(segment_kind, product)


def test_margin_funded_shares_are_charged_as_delivery() -> None:
    assert charge_kind(SegmentKind.CASH, Product.MTF) is ChargeKind.EQUITY_DELIVERY


def test_empty_and_free_fills_and_negative_turnover_are_refused() -> None:
    with pytest.raises(InvalidValueError, match="quantity"):
        fill(INTRADAY, Side.BUY, 0, "100")
    with pytest.raises(InvalidValueError, match="price"):
        fill(INTRADAY, Side.BUY, 1, "0")
    with pytest.raises(InvalidValueError, match="order_turnover_before"):
        charges_for(fill(INTRADAY, Side.BUY, 1, "100"), TABLE, order_turnover_before=Money(Decimal("-0.05")))


# --- a file of one's own ---------------------------------------------------------------------------------------

KIND_ROWS = """
[tables.{kind}]
brokerage_flat_rs = 5
stt_percent = {{ BUY = 0, SELL = 0 }}
stamp_percent = {{ BUY = 0, SELL = 0 }}
exchange_rs_per_crore = {{ NSE = 100 }}
investor_fund_rs_per_crore = {{ NSE = 0 }}
"""
OWN_FILE = "[[tables]]\nfrom = 2020-01-01\nsebi_rs_per_crore = 0\ngst_percent = 10\ndp_rs = 1\n" + "".join(
    KIND_ROWS.format(kind=kind) for kind in ChargeKind
)


def test_a_file_replaces_the_packaged_rates(tmp_path: Path) -> None:
    path = tmp_path / "charges.toml"
    path.write_text(OWN_FILE)
    own = ChargeTable.from_file(path)
    # turnover 100000: flat 5, 100/crore = 1.00, GST 10 % of 6.00
    charges = charges_for(fill(INTRADAY, Side.SELL, 100, "1000", date(2020, 1, 1)), own, order_turnover_before=NOTHING)
    assert charges == rupees("5.00", "0", "1.00", "0", "0.60", "0", "0")


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("gst_percent = 10", "gst_percent = -1", "'gst_percent' must be a number that is not negative"),
        ("gst_percent = 10", 'gst_percent = "10"', "'gst_percent' must be a number"),
        ("gst_percent = 10\n", "", "'gst_percent' is missing"),
        ("dp_rs = 1", "dp_rupees = 1", "unknown key 'dp_rupees'"),
        ("{ NSE = 100 }", "{ NYSE = 100 }", "unknown key 'NYSE'"),
        ("2020-01-01", '"2020-01-01"', "'from' must be a date"),
        ("[tables.OPTIONS]", "[tables.SWAPS]", "unknown key 'SWAPS'"),
        ("[[tables]]", "[[tables", "is not valid TOML"),
    ],
)
def test_a_bad_file_is_refused_naming_the_file_and_the_key(tmp_path: Path, old: str, new: str, complaint: str) -> None:
    path = tmp_path / "charges.toml"
    path.write_text(OWN_FILE.replace(old, new))
    with pytest.raises(TableError) as refusal:
        ChargeTable.from_file(path)
    assert complaint in str(refusal.value)
    assert str(path) in str(refusal.value)
    assert refusal.value.code == "TABLE_INVALID"


def test_tables_out_of_order_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "charges.toml"
    path.write_text(OWN_FILE + OWN_FILE)
    with pytest.raises(TableError, match="'from' must ascend"):
        ChargeTable.from_file(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(TableError, match=r"nowhere\.toml: cannot be read"):
        ChargeTable.from_file(tmp_path / "nowhere.toml")


# --- laws ------------------------------------------------------------------------------------------------------

traded_things = st.sampled_from([INTRADAY, DELIVERY, FUTURES, OPTIONS])
sides = st.sampled_from(list(Side))
prices = st.decimals(Decimal("0.05"), Decimal("90000"), places=2)
quantities = st.integers(1, 50_000)
days = st.integers(0, 1000).map(lambda offset: date(2024, 4, 1) + timedelta(days=offset))


@given(traded_things, sides, st.lists(st.tuples(quantities, prices), min_size=1, max_size=12), days)
def test_the_fills_of_an_order_add_up_to_the_order_in_one_fill(
    traded: Traded, side: Side, slices: list[tuple[int, Decimal]], day: date
) -> None:
    executed = [fill(traded, side, quantity, price, day) for quantity, price in slices]
    before = accumulate((one.turnover for one in executed), initial=Decimal(0))
    parts = [
        charges_for(one, TABLE, order_turnover_before=Money(turnover))
        for one, turnover in zip(executed, before, strict=False)
    ]
    whole = alone(fill(traded, side, 1, sum((one.turnover for one in executed), Decimal(0)), day))
    for component in COMPONENTS:
        assert sum(getattr(part, component) for part in parts) == getattr(whole, component), component
    assert sum(part.total for part in parts) == whole.total
    assert sum(part.brokerage for part in parts) <= 20


fills = st.builds(fill, traded_things, sides, quantities, prices, days)


@given(fills, st.decimals(0, 10**9, places=2))
def test_every_component_is_whole_paise_and_never_negative(one: ChargeableFill, before: Decimal) -> None:
    charges = charges_for(one, TABLE, order_turnover_before=Money(before), first_delivery_sell_of_day=True)
    for component in COMPONENTS:
        amount = getattr(charges, component)
        assert amount >= 0, component
        assert amount == amount.quantize(PAISA), component
    assert charges.total == sum(getattr(charges, component) for component in COMPONENTS)


@given(traded_things, quantities, prices, days)
def test_stamp_duty_is_the_buyers_and_intraday_and_derivative_stt_the_sellers(
    traded: Traded, quantity: int, price: Decimal, day: date
) -> None:
    assert alone(fill(traded, Side.SELL, quantity, price, day)).stamp == 0
    if traded != DELIVERY:
        assert alone(fill(traded, Side.BUY, quantity, price, day)).stt == 0
