"""The script of a storm, drawn from a seed: the same seed and size give the same storm.

Every fault of the simulator is in every storm, whatever its size: what a small one has less of is repetition.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from typing import Any

from alphapanda.domain.errors import InvalidValueError
from alphapanda.domain.ids import SignalId
from alphapanda.domain.vocabulary import OrderType, Product, Side, Validity, Variety
from alphapanda.kitesim.faults import Fault
from alphapanda.rehearsal.afflictions import Affliction, afflictions, disturbances, held_on_the_wire, weather
from alphapanda.rehearsal.plan import (
    OPTION,
    Arming,
    KillWorker,
    Kind,
    LogIn,
    PlannedOrder,
    SessionEnds,
    SquareOff,
    Step,
    Storm,
    Then,
    TradeByHand,
)
from alphapanda.rehearsal.tempo import Tempo

SYMBOLS = ("INFY", "RELIANCE", "HDFCBANK", "ICICIBANK", "TCS", "SBIN", "AXISBANK", "MARUTI")
ON_THE_WIRE = 2
"""Orders whose requests the broker holds while the worker is killed."""

_PER_OUTAGE = 4
_AFFLICTED = 0.3
_POSTED_AGAIN = 0.1
_LOT = 75
_WEIGHTS = {
    Kind.MARKET: 28, Kind.AT_MARKET: 22, Kind.RESTING: 6, Kind.CANCELLED: 8, Kind.MODIFIED: 6, Kind.STOP: 7,
    Kind.STOP_MARKET: 7, Kind.AT_ONCE: 7, Kind.MINUTES: 2, Kind.ICEBERG: 5, Kind.SLICED: 2,
}  # fmt: skip

# One order (or one step between orders), or several that must stay together.
_Piece = tuple[Step, ...]


def smallest(kills: int, tempo: Tempo) -> int:
    """The fewest orders that hold every affliction, two outages of the session and the kills."""
    return len(afflictions(tempo)) + 2 * _PER_OUTAGE + 1 + kills * ON_THE_WIRE


def make_storm(*, orders: int, kills: int, seed: int, tempo: Tempo) -> Storm:
    """Raises InvalidValueError where `orders` are too few for every fault to strike."""
    if orders < (least := smallest(kills, tempo)):
        raise InvalidValueError(f"--orders: {least} at least, so that every fault strikes with {kills} kills")
    return _Composer(random.Random(seed), seed, tempo).storm(orders, kills)  # noqa: S311 - a script, not a secret


class _Composer:
    def __init__(self, dice: random.Random, seed: int, tempo: Tempo) -> None:
        self._dice = dice
        self._seed = seed
        self._tempo = tempo
        self._afflictions = afflictions(tempo)
        self._made = 0
        self._bought: dict[tuple[str, Product], int] = {}

    def storm(self, orders: int, kills: int) -> Storm:
        outages = [self._outage(at_order=at_order) for at_order in (False, True)]
        killings = [self._killing() for _ in range(kills)]
        singles = [(self._afflicted(each),) for each in self._afflictions]
        while self._made < orders:
            singles.append((self._any(),))
        self._dice.shuffle(singles)
        # Positions are there to be traded by hand, squared off and sold out of only after some orders.
        large = _spread([*outages, *killings], self._dice)
        small = _spread([*disturbances(self._tempo), *self._by_hand(orders)], self._dice)
        steps = _woven(_woven(singles, small), large)
        return Storm(self._seed, (*weather(), *(step for piece in steps for step in piece)))

    def _outage(self, *, at_order: bool) -> _Piece:
        """The session dies, orders come all the same, and only then somebody logs in."""
        steps: list[Step] = []
        if at_order:
            last = self._order(Kind.MARKET, (Arming(Fault.TOKEN_EXPIRY),))
            steps += [last, SessionEnds(last.signal_id)]
        else:
            steps.append(SessionEnds())
        steps += [self._any(afflict=False) for _ in range(_PER_OUTAGE)]
        return (*steps, LogIn())

    def _killing(self) -> _Piece:
        held = [self._order(Kind.AT_MARKET, held_on_the_wire(self._tempo)) for _ in range(ON_THE_WIRE)]
        return (*held, KillWorker(tuple(each.signal_id for each in held)))

    def _by_hand(self, orders: int) -> Iterator[_Piece]:
        for _ in range(2 + orders // 60):
            side = self._dice.choice((Side.BUY, Side.SELL))
            yield (TradeByHand(self._dice.choice(SYMBOLS), side, self._dice.randint(1, 30)),)
        for symbol in self._dice.sample(SYMBOLS, 1 + orders // 200):
            yield (SquareOff(symbol),)

    def _afflicted(self, affliction: Affliction) -> PlannedOrder:
        return self._order(self._dice.choice(sorted(affliction.kinds)), affliction.faults)

    def _any(self, *, afflict: bool = True) -> PlannedOrder:
        kind = self._dice.choices(list(_WEIGHTS), list(_WEIGHTS.values()))[0]
        fitting = [each for each in self._afflictions if kind in each.kinds]
        if afflict and fitting and self._dice.random() < _AFFLICTED:
            return self._order(kind, self._dice.choice(fitting).faults)
        return self._order(kind, ())

    def _order(self, kind: Kind, faults: tuple[Arming, ...]) -> PlannedOrder:
        self._made += 1
        dice = self._dice
        symbol = OPTION if kind is Kind.SLICED else dice.choice(SYMBOLS)
        product = (
            Product.NRML
            if symbol == OPTION
            else Product.CNC
            if kind is Kind.MARKET and dice.random() < 0.2
            else Product.MIS
        )
        side = self._side(symbol, product)
        quantity = self._quantity(kind, symbol, product, side)
        return PlannedOrder(
            signal_id=SignalId(f"storm{self._seed}-{self._made:04d}"),
            kind=kind,
            tradingsymbol=symbol,
            side=side,
            quantity=quantity,
            product=product,
            posts=dice.randint(2, 4) if dice.random() < _POSTED_AGAIN else 1,
            faults=faults,
            **_TERMS[kind](Decimal(side.sign), dice),
        )

    def _side(self, symbol: str, product: Product) -> Side:
        """Buys and sells, so that about half of what is bought is sold again; delivery is never sold short."""
        held = self._bought.get((symbol, product), 0)
        if product is Product.CNC:
            return Side.SELL if held > 0 and self._dice.random() < 0.4 else Side.BUY
        return Side.SELL if self._dice.random() < (0.6 if held > 0 else 0.3) else Side.BUY

    def _quantity(self, kind: Kind, symbol: str, product: Product, side: Side) -> int:
        dice = self._dice
        if kind is Kind.SLICED:
            return _LOT * dice.randint(26, 60)
        quantity = dice.randint(1, 12) * 5 if kind is Kind.ICEBERG else dice.randint(1, 40)
        if product is Product.CNC and side is Side.SELL:
            quantity = min(quantity, self._bought[symbol, product])
        self._bought[symbol, product] = self._bought.get((symbol, product), 0) + side.sign * quantity
        return quantity


def _percent(low: str, high: str, dice: random.Random) -> Decimal:
    return Decimal(dice.randint(int(Decimal(low) * 100), int(Decimal(high) * 100))) / 100


def _limit(sign: Decimal, dice: random.Random, *, away: bool, then: Then = Then.NOTHING) -> dict[str, Any]:
    """`sign` +1 of a buy: below the market it rests, above it trades."""
    percent = -_percent("1.5", "4", dice) if away else _percent("0.05", "0.4", dice)
    return {"order_type": OrderType.LIMIT, "price_percent": sign * percent, "then": then}


def _stop(sign: Decimal, dice: random.Random, *, limit: bool) -> dict[str, Any]:
    """A buy stop triggers above the market and buys up to a little more; the reverse for a sell."""
    trigger = _percent("0.2", "1.5", dice)
    if not limit:
        return {"order_type": OrderType.SL_M, "trigger_percent": sign * trigger}
    price = sign * (trigger + Decimal("0.5"))
    return {"order_type": OrderType.SL, "trigger_percent": sign * trigger, "price_percent": price}


_TERMS: dict[Kind, Callable[[Decimal, random.Random], dict[str, Any]]] = {
    Kind.MARKET: lambda sign, dice: {"order_type": OrderType.MARKET},
    Kind.AT_MARKET: lambda sign, dice: _limit(sign, dice, away=False),
    Kind.RESTING: lambda sign, dice: _limit(sign, dice, away=True),
    Kind.CANCELLED: lambda sign, dice: _limit(sign, dice, away=True, then=Then.CANCEL),
    Kind.MODIFIED: lambda sign, dice: _limit(sign, dice, away=True, then=Then.MODIFY),
    Kind.REPLACED: lambda sign, dice: _limit(sign, dice, away=True, then=Then.MODIFY_TOO_OFTEN),
    Kind.STOP: lambda sign, dice: _stop(sign, dice, limit=True),
    Kind.STOP_MARKET: lambda sign, dice: _stop(sign, dice, limit=False),
    Kind.AT_ONCE: lambda sign, dice: _limit(sign, dice, away=dice.random() < 0.3) | {"validity": Validity.IOC},
    Kind.MINUTES: lambda sign, dice: _limit(sign, dice, away=True) | {"validity": Validity.TTL, "validity_minutes": 1},
    Kind.ICEBERG: lambda sign, dice: _limit(sign, dice, away=False) | {"variety": Variety.ICEBERG, "iceberg_legs": 5},
    Kind.SLICED: lambda sign, dice: {"order_type": OrderType.MARKET},
}


def _spread(pieces: Sequence[_Piece], dice: random.Random) -> list[_Piece]:
    shuffled = list(pieces)
    dice.shuffle(shuffled)
    return shuffled


def _woven(ground: Sequence[_Piece], pieces: Sequence[_Piece]) -> list[_Piece]:
    """`pieces` at even distances among `ground`, none before the first tenth of it."""
    begin = len(ground) // 10
    gap = (len(ground) - begin) / max(1, len(pieces))
    places = [begin + int(gap * number) for number in range(len(pieces))]
    woven: list[_Piece] = []
    for index, piece in enumerate(ground):
        woven += [each for place, each in zip(places, pieces, strict=True) if place == index]
        woven.append(piece)
    return woven
