"""A new strategy to start from: a file that works and a test that passes."""

import keyword
import re
from dataclasses import dataclass
from pathlib import Path
from string import Template

from alphapanda.domain.errors import InvalidValueError
from alphapanda.strategies.registry import BUILT_IN

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_LONGEST = 40
"""As much of a strategy's id as the ids of its signals repeat."""

_STRATEGY = Template('''\
"""`$name`: long while the close lies above its moving average.

Say here, in the words of a trader: when it enters, when it leaves, what it assumes, and what it does not do.
"""

from collections.abc import Sequence

from alphapanda.domain.instrument import Instrument
from alphapanda.domain.vocabulary import Side
from alphapanda.feed.bars import Bar, BarSeconds
from alphapanda.strategies.contract import Intent, Strategy, StrategyParams, Warmup, whole_lots
from alphapanda.strategies.indicators import MovingAverage
from pydantic import Field


class ${cls}Params(StrategyParams):
    window: int = Field(default=20, ge=2, le=10_000, description="Bars of the moving average.")
    quantity: int = Field(default=1, ge=1, description="Shares per entry, rounded up to whole lots.")
    bar_seconds: BarSeconds = Field(default=60, description="Bar length.")


class $cls(Strategy[${cls}Params]):
    """Long while the close lies above its moving average."""

    name = "$name"
    version = "1"  # change it with the behaviour: it is recorded with each signal
    Params = ${cls}Params

    def __init__(self, params: ${cls}Params, instrument: Instrument) -> None:
        super().__init__(params, instrument)
        # What is assigned here is the state: it is kept when the feed restarts. No clock, no I/O, no globals.
        self._average = MovingAverage(params.window)
        self._quantity = whole_lots(params.quantity, instrument)
        self._long = False

    @property
    def bar_seconds(self) -> int | None:
        return self.params.bar_seconds

    @property
    def warmup(self) -> Warmup:
        return Warmup(bars=self.params.window)

    def on_bar(self, bar: Bar) -> Sequence[Intent]:
        self._average.push(bar.close)
        average = self._average.value
        if average is None or bar.close == average or (bar.close > average) is self._long:
            return ()
        self._long = bar.close > average
        side, where = (Side.BUY, "above") if self._long else (Side.SELL, "below")
        reason = f"{bar.close:.2f} is {where} its average {average:.2f}"
        return [Intent(side=side, quantity=self._quantity, reason=reason)]
''')

_TEST = Template('''\
"""`$name`: when it enters and when it leaves. Run with `pytest $test`."""

import json

from alphapanda.domain.vocabulary import Side
from alphapanda.feed.bars import Bar
from alphapanda.feed.instruments import cash_equity
from $module import $cls, ${cls}Params


def strategy(**params: int) -> $cls:
    return $cls(${cls}Params.model_validate({"window": 3, **params}), cash_equity("INFY"))


def sides(tested: $cls, closes: list[float]) -> list[Side | None]:
    """What it wants at each close: a side, or None for nothing."""
    found: list[Side | None] = []
    for minute, close in enumerate(closes):
        bar = Bar("NSE:INFY", minute * 60, 60, close, close, close, close, 100, 4, 0)
        intents = tested.on_bar(bar)
        found.append(intents[0].side if intents else None)
    return found


def test_it_trades_nothing_before_the_average_is_ready() -> None:
    assert sides(strategy(), [100, 200]) == [None, None]


def test_it_buys_above_the_average_and_sells_below_it() -> None:
    assert sides(strategy(), [100, 100, 110, 111, 100, 90]) == [None, None, Side.BUY, None, Side.SELL, None]


def test_the_quantity_is_its_parameter() -> None:
    tested = strategy(quantity=7)
    sides(tested, [100, 100])
    (intent,) = tested.on_bar(Bar("NSE:INFY", 120, 60, 110, 110, 110, 110, 100, 4, 0))
    assert intent.quantity == 7


def test_restored_after_a_restart_it_goes_on_as_before() -> None:
    before, after = strategy(), strategy()
    sides(before, [100, 100, 110])
    after.restore(json.loads(json.dumps(before.snapshot())))
    assert sides(after, [111, 90]) == sides(before, [111, 90]) == [None, Side.SELL]
''')


@dataclass(frozen=True, slots=True)
class Written:
    """What `write` made. `reference` names the strategy from the folder it is in."""

    strategy: Path
    test: Path
    reference: str


def write(name: str, folder: Path) -> Written:
    """Write `name_of_it.py` and its test into `folder`, which is made; nothing that exists is touched.

    Raises InvalidValueError for a name that will not do, and where a file is there already.
    """
    module = name.replace("-", "_")
    if not _NAME.fullmatch(name) or len(name) > _LONGEST or keyword.iskeyword(module):
        raise InvalidValueError(f"NAME: {name!r} must be words of a-z and 0-9 joined by '-', at most {_LONGEST} long")
    if name in BUILT_IN:
        raise InvalidValueError(f"NAME: {name} is a built-in strategy; choose another name")
    cls = "".join(word.capitalize() for word in name.split("-"))
    strategy, test = folder / f"{module}.py", folder / f"test_{module}.py"
    for path in (strategy, test):
        if path.exists():
            raise InvalidValueError(f"NAME: {path} exists already; choose another name or another --dir")
    folder.mkdir(parents=True, exist_ok=True)
    words = {"name": name, "module": module, "cls": cls, "test": test.name}
    strategy.write_text(_STRATEGY.substitute(words))
    test.write_text(_TEST.substitute(words))
    return Written(strategy, test, f"{strategy.name}:{cls}")
