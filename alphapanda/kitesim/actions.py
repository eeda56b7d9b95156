"""What happens at the broker without the desk: prices, a trader's own trades, a square-off by risk management."""

from decimal import Decimal

from alphapanda.domain.errors import InvalidValueError
from alphapanda.kitesim.account import Account
from alphapanda.kitesim.instruments import SimInstrument
from alphapanda.kitesim.orders import SimOrder, Status

BROKER = "RMS"
"""Who places a square-off."""


def set_price(
    account: Account,
    exchange: str,
    tradingsymbol: str,
    ltp: Decimal,
    *,
    volume: int | None = None,
    bid: Decimal | None = None,
    ask: Decimal | None = None,
) -> None:
    """A trade in the market at `ltp` rupees; `volume` shares can be had from it (None: any number).

    Raises InvalidValueError for an instrument that there is not.
    """
    instrument = _instrument(account, exchange, tradingsymbol)
    quote = account.exchange.tick(instrument, ltp, account.now(), volume=volume, bid=bid, ask=ask)
    account.commit()
    account.on_tick(quote)


def external_trade(
    account: Account,
    exchange: str,
    tradingsymbol: str,
    transaction_type: str,
    quantity: int,
    *,
    product: str = "MIS",
    price: Decimal | None = None,
    placed_by: str | None = None,
) -> str:
    """A trade of the account's holder in the broker's own app, at `price` or the last. Returns its order id.

    Raises InvalidValueError.
    """
    if quantity <= 0:
        raise InvalidValueError(f"quantity: at least 1, not {quantity}")
    if transaction_type not in ("BUY", "SELL"):
        raise InvalidValueError(f"transaction_type: BUY or SELL, not {transaction_type}")
    instrument = _instrument(account, exchange, tradingsymbol)
    book, now = account.book, account.now()
    order = SimOrder(
        order_id=(number := book.numbers.order_id(now)),
        placement=number,
        placed_by=placed_by or account.settings.user_id,
        variety="regular",
        exchange=exchange,
        tradingsymbol=tradingsymbol,
        instrument_token=instrument.token,
        transaction_type=transaction_type,
        order_type="MARKET",
        product=product,
        validity="DAY",
        quantity=quantity,
        status=Status.RECEIVED,
        is_of_app=False,
        order_timestamp=now,
        guid=book.numbers.guid(),
        exchange_order_id=book.numbers.exchange_order_id(),
        exchange_timestamp=now,
        exchange_update_timestamp=now,
    )
    order = book.put(order, Status.RECEIVED, Status.OPEN)
    filled_at = price if price is not None else account.exchange.market.quote(instrument).last
    book.fill(order, quantity, filled_at, now, multiplier=instrument.multiplier)
    account.commit()
    return number


def square_off(
    account: Account, *, exchange: str | None = None, tradingsymbol: str | None = None, product: str | None = None
) -> list[str]:
    """The broker closes open positions, all or those that fit. Returns the order ids."""
    wanted = (exchange, tradingsymbol, product)
    found = [
        (key, sums.net)
        for key, sums in account.book.portfolio.positions.items()
        if sums.net and all(want in (None, part) for want, part in zip(wanted, key, strict=True))
    ]
    return [
        external_trade(
            account, key[0], key[1], "SELL" if net > 0 else "BUY", abs(net), product=key[2], placed_by=BROKER
        )
        for key, net in found
    ]  # fmt: skip


def _instrument(account: Account, exchange: str, tradingsymbol: str) -> SimInstrument:
    found = account.exchange.instruments.learn(exchange, tradingsymbol)
    if found is None:
        raise InvalidValueError(f"{exchange}:{tradingsymbol} is no instrument of the simulator")
    return found
