"""Snapshots: a restored strategy goes on exactly as the one it was taken of, and nothing unfit is half taken."""

import json
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alphapanda.domain.instrument import Instrument, InstrumentType
from alphapanda.domain.vocabulary import Exchange, Side
from alphapanda.feed.bars import Bar
from alphapanda.live.quotes import Tick
from alphapanda.strategies.contract import Fill, Intent, StateUnfit, Strategy, StrategyError, StrategyParams
from alphapanda.strategies.indicators import MovingAverage
from alphapanda.strategies.registry import BUILT_IN, deploy
from alphapanda.strategies.sma_cross import SmaCross, SmaCrossParams
from alphapanda.strategies.state import Kept

INFY = Instrument(Exchange.NSE, "INFY", 408065, InstrumentType.EQUITY, "NSE_EQ", Decimal("0.05"), 1)
SBIN = replace(INFY, tradingsymbol="SBIN")


class NoParams(StrategyParams):
    pass


class Holds(Strategy[NoParams]):
    """Holds a value of every kind that can be kept."""

    name, version, Params = "holds", "1", NoParams

    def __init__(self, params: NoParams, instrument: Instrument) -> None:
        super().__init__(params, instrument)
        self.lowest = float("inf")
        self.count = 0
        self.spent = Decimal(0)
        self.side: Side | None = None
        self.last: Bar | None = None
        self.recent: deque[Tick] = deque(maxlen=2)
        self.pairs: list[tuple[int, float]] = []
        self.averages = {"fast": MovingAverage(2), "slow": MovingAverage(3)}

    def on_tick(self, tick: Tick) -> Sequence[Intent]:
        self.lowest = min(self.lowest, tick.last_price)
        self.recent.append(tick)
        self.pairs.append((self.count, tick.last_price))
        for average in self.averages.values():
            average.push(tick.last_price)
        self.count += 1
        return ()

    def on_fill(self, fill: Fill) -> Sequence[Intent]:
        self.spent += fill.price * fill.quantity
        self.side = fill.side
        return ()


def sma(**params: int) -> SmaCross:
    return SmaCross(SmaCrossParams.model_validate({"fast": 2, "slow": 4, **params}), INFY)


def bar(close: float) -> Bar:
    return Bar("NSE:INFY", 0, 60, close, close, close, close, 100, 1, 0)


def over_json(strategy: Strategy[Any]) -> dict[str, Any]:
    """The snapshot as it comes back from a store."""
    read: dict[str, Any] = json.loads(json.dumps(strategy.snapshot(), allow_nan=False))
    return read


prices = st.lists(st.integers(1, 100_000).map(lambda steps: steps / 20), max_size=60)


@pytest.mark.parametrize("name", sorted(BUILT_IN))
@given(past=prices, future=prices)
def test_a_restored_built_in_answers_as_the_one_it_was_taken_of(
    name: str, past: list[float], future: list[float]
) -> None:
    deployment = deploy(name, SMALL.get(name))
    made = [deployment.strategy(deployment.params, *(INFY, SBIN)[: legs(deployment.params)]) for _ in range(2)]
    original, restored = made
    for index, price in enumerate(past):
        observe(original, index, price)
    restored.restore(over_json(original))
    for index, price in enumerate(future, start=len(past)):
        assert observe(original, index, price) == observe(restored, index, price)
    assert original.snapshot() == restored.snapshot()


SMALL: dict[str, dict[str, Any]] = {
    "sma-cross": {"fast": 2, "slow": 4},
    "ema-cross": {"fast": 2, "slow": 4},
    "momentum-breakout": {"entry_bars": 3, "exit_bars": 2},
    "rsi-reversion": {"window": 3},
    "bollinger-reversion": {"window": 3, "width": 1},
    "vwap-reversion": {"window": 3, "width": 1},
    "opening-range": {"range_minutes": 3},
    "pairs": {"first": "NSE:INFY", "second": "NSE:SBIN", "window": 4, "enter_z": 1, "exit_z": 0.2},
}


def legs(params: StrategyParams) -> int:
    return len(type(params).model_fields.keys() & {"first", "second"}) or 1


def observe(strategy: Strategy[Any], index: int, price: float) -> list[Intent]:
    """A bar and a tick of it, for the instruments in turn."""
    key = strategy.instruments[index % len(strategy.instruments)].key
    start = 13_500 + 86_400 * 20_000 + index // len(strategy.instruments) * 60
    done = Bar(key, start, 60, price, price + 1, price - 1, price, 10, 4, 0)
    now = Tick(key, price, start + 60.0, start + 60.0, 10)
    return [*strategy.on_bar(done), *strategy.on_tick(now)]


def test_every_kind_of_value_comes_back_as_it_was() -> None:
    original, restored = Holds(NoParams(), INFY), Holds(NoParams(), INFY)
    restored.restore(over_json(original))
    assert restored.lowest == float("inf")
    original.last = bar(7)
    for price in (5.0, 6.5, 4.0):
        original.on_tick(Tick("NSE:INFY", price, price, price, 3))
    original.on_fill(Fill("NSE:INFY", Side.SELL, 3, Decimal("10.05"), 1.0))
    restored.restore(over_json(original))
    assert (restored.lowest, restored.count, restored.spent, restored.side) == (4.0, 3, Decimal("30.15"), Side.SELL)
    assert (restored.last, restored.recent, restored.pairs) == (original.last, original.recent, original.pairs)
    assert restored.recent.maxlen == 2
    assert restored.averages["slow"].value == original.averages["slow"].value


def test_a_restored_strategy_shares_nothing_with_its_snapshot() -> None:
    original = sma()
    taken = original.snapshot()
    before = json.dumps(taken)
    restored = sma()
    restored.restore(taken)
    for price in (1, 2, 3, 4, 5):
        restored.on_bar(bar(price))
        original.on_bar(bar(price))
    assert json.dumps(taken) == before


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"version": "0"}, "strategy sma-cross, version: the snapshot is of '0', not '1'"),
        ({"strategy": "other"}, "strategy sma-cross, strategy: the snapshot is of 'other'"),
        ({"format": 0}, "strategy sma-cross, format: the snapshot is of 0, not 1"),
        ({"instruments": ["NSE:SBIN"]}, "instruments: the snapshot is of"),
        ({"parameters": {"fast": 1}}, "parameters: the snapshot is of"),
        ({"state": {}}, "SmaCross: the snapshot holds ; expected"),
        ({"state": None}, "SmaCross: the snapshot holds None"),
    ],
)
def test_a_snapshot_of_something_else_is_refused_by_name(change: dict[str, Any], said: str) -> None:
    strategy = sma()
    with pytest.raises(StateUnfit) as caught:
        strategy.restore({**over_json(strategy), **change})
    assert said in str(caught.value)
    assert caught.value.code == "STRATEGY_STATE_UNFIT"


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("_long", 1, "SmaCross._long: the snapshot holds a int; expected bool"),
        ("_fast", 1, "SmaCross._fast: the snapshot holds 1; expected the state of MovingAverage"),
        (
            "_fast",
            {"!kept": {"window": 2}},
            "SmaCross._fast: the snapshot holds window; expected _sum, _values, window",
        ),
        ("_above", {"!decimal": "x"}, "SmaCross._above: the snapshot holds no decimal"),
        ("_above", {"!order": 1}, "SmaCross._above: the snapshot holds an unknown order"),
        ("_above", {"!kept": {}}, "SmaCross._above: an object that `__init__` does not make cannot be restored"),
    ],
)
def test_a_value_of_another_type_is_refused_and_nothing_is_taken(field: str, value: Any, said: str) -> None:
    strategy = sma()
    for price in (1, 2, 3, 4):
        strategy.on_bar(bar(price))
    before = over_json(strategy)
    fresh = over_json(sma())
    with pytest.raises(StateUnfit) as caught:
        strategy.restore({**fresh, "state": {**fresh["state"], field: value}})
    assert said in str(caught.value)
    assert strategy.snapshot() == before


def test_a_value_that_cannot_be_kept_is_named() -> None:
    strategy = sma()
    strategy.opened = {1, 2}  # type: ignore[attr-defined]
    with pytest.raises(StrategyError, match="opened: a set cannot be kept in a snapshot"):
        strategy.snapshot()


def test_a_class_of_ones_own_is_kept_by_deriving_from_kept() -> None:
    class Leg(Kept):
        def __init__(self) -> None:
            self.entries = [1.5]

    one, other = Leg(), Leg()
    one.entries.append(2.5)
    other.take(one.kept())
    assert other.entries == [1.5, 2.5]
    assert other.entries is not one.entries
