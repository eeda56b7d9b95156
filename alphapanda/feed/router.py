"""Routes each tick to the strategies of its instrument and turns what they intend into signals.

Synchronous and without I/O: the same ticks give the same signal ids. A strategy that raises or takes too long is
counted and shown, and suspended on its instrument when it does so again and again; the others go on.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime

import structlog

from alphapanda.domain.calendar import trading_date
from alphapanda.domain.ids import Broker, StrategyId
from alphapanda.domain.instrument import Instrument
from alphapanda.domain.signal import Signal
from alphapanda.feed.bars import Bar, BarBuilder
from alphapanda.feed.instances import Cause, Handler, Instance, LimitPassed
from alphapanda.live.quotes import Tick
from alphapanda.strategies.contract import Fill, Strategy, StrategyError
from alphapanda.strategies.deployment import Deployment

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How much failing a handler is allowed: its instance is suspended at that many in a row.

    `slow_s`: a call that takes longer counts as slow; None: no call is timed, so that nothing depends on the clock.
    """

    errors_in_a_row: int = 20
    slow_s: float | None = None
    slow_in_a_row: int = 20


class _Lane:
    """Everything that happens on a tick of one instrument."""

    __slots__ = ("on_bar", "on_tick")

    def __init__(self, instances: Sequence[Instance], builder: Callable[[int], BarBuilder]) -> None:
        self.on_tick = [item.on_tick for item in instances if item.on_tick is not None]
        by_interval: dict[int, list[Handler]] = {}
        for item in instances:
            if item.on_bar is not None and item.bar_seconds is not None:
                by_interval.setdefault(item.bar_seconds, []).append(item.on_bar)
        self.on_bar = [(builder(seconds), handlers) for seconds, handlers in by_interval.items()]


class StrategyRouter:
    """`brokers` serve the deployments that name none; `clock` (seconds, monotonic) times the calls.

    An instrument gets its instances at its first tick: most of a large universe never ticks. An instrument that a
    deployment names and the feed does not have is shown as suspended at once.
    """

    def __init__(
        self,
        deployments: Iterable[Deployment],
        instruments: Mapping[str, Instrument],
        brokers: Sequence[Broker],
        *,
        tolerance: Tolerance | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._instruments = instruments
        self._brokers = tuple(brokers)
        self._tolerance = tolerance or Tolerance()
        self._clock = clock
        self._deployments: tuple[Deployment, ...] = ()
        self._lanes: dict[str, _Lane] = {}
        self._builders: dict[str, dict[int, BarBuilder]] = {}
        self._instances: dict[tuple[StrategyId, tuple[str, ...]], Instance | None] = {}
        self._today: date | None = None
        self._signals_today: Counter[StrategyId] = Counter()
        self.errors: Counter[str] = Counter()
        self.slow: Counter[str] = Counter()
        self.problems: dict[str, str] = {}
        self.suspended: dict[str, list[str]] = {}
        self.reload(deployments)

    @property
    def deployments(self) -> tuple[Deployment, ...]:
        return self._deployments

    @property
    def late_ticks(self) -> int:
        return sum(builder.late for builders in self._builders.values() for builder in builders.values())

    def reload(self, deployments: Iterable[Deployment]) -> None:
        """Run these from the next tick on. One that is the same in everything goes on with all it knows, suspended
        or not; one that differs in anything begins anew."""
        wanted = tuple(deployments)
        same = {item.strategy_id for item in wanted if item in self._deployments}
        for shown in (self.suspended, self.problems):
            for strategy_id in set(shown) - same:
                del shown[strategy_id]
        self._instances = {key: instance for key, instance in self._instances.items() if key[0] in same}
        self._deployments = wanted
        self._lanes.clear()
        for deployment in wanted:
            if deployment.strategy_id not in same:
                self._show_missing(deployment)

    def route(self, tick: Tick) -> list[Signal]:
        """The signals the tick gives rise to: first of the bars it completes, then of the tick itself."""
        lane = self._lanes.get(tick.instrument) or self._lane(tick.instrument)
        signals: list[Signal] = []
        for builder, handlers in lane.on_bar:
            bar = builder.add(tick)
            if bar is not None:
                # Named by the bar's end, not by the tick that revealed it: a worker that missed that tick agrees.
                for handler in handlers:
                    self._ask(handler, bar, float(bar.end), tick.received_at, signals)
        for handler in lane.on_tick:
            self._ask(handler, tick, tick.exchange_time, tick.received_at, signals)
        return signals

    @property
    def fills_wanted(self) -> tuple[StrategyId, ...]:
        """The deployments that listen to their fills."""
        return tuple(item.strategy_id for item in self._deployments if item.strategy.on_fill is not Strategy.on_fill)

    def fill(self, strategy_id: StrategyId, fill: Fill, *, received_at: float) -> list[Signal]:
        """Tell the strategy of its fill; the signals it answers with. One that runs no longer is not told.

        `received_at`: when the fill reached us, in epoch seconds.
        """
        self._lane(fill.instrument)  # it may fill, after a restart, what has not ticked yet
        signals: list[Signal] = []
        for (owner, keys), instance in self._instances.items():
            if owner == strategy_id and fill.instrument in keys and instance is not None and instance.on_fill:
                self._ask(instance.on_fill, fill, fill.at, received_at, signals)
        return signals

    def _ask(
        self, handler: Handler, event: Bar | Tick | Fill, at: float, received_at: float, signals: list[Signal]
    ) -> None:
        if handler.instance.suspended or (handler.schedule is not None and not handler.schedule.covers(at)):
            return
        slow_s = self._tolerance.slow_s
        began = self._clock() if slow_s is not None else 0.0
        try:
            intents = handler.call(event)
            took = self._clock() - began if slow_s is not None else 0.0
            if intents:
                made = handler.instance.signals(intents, Cause(handler.kind, at, received_at))
                self._count_signals(handler.instance.deployment, len(made), at)
                signals += made
        except Exception as error:  # a strategy may raise anything
            self._count_error(handler, error)
            return
        handler.errors_in_a_row = 0
        if slow_s is not None:
            if took > slow_s:
                self._count_slow(handler, took)
            else:
                handler.slow_in_a_row = 0

    def _lane(self, key: str) -> _Lane:
        lane = self._lanes.get(key)
        if lane is None:
            lane = self._lanes[key] = self._open_lane(key)
        return lane

    def _open_lane(self, key: str) -> _Lane:
        instances = [found for deployment in self._deployments if (found := self._instance(deployment, key))]
        before = self._builders.get(key, {})
        lane = _Lane(instances, lambda seconds: before.get(seconds) or BarBuilder(key, seconds))
        # A builder nobody listens to is let go: fed again later, it would take a torn bar for a whole one.
        self._builders[key] = {builder.interval: builder for builder, _ in lane.on_bar}
        return lane

    def _instance(self, deployment: Deployment, key: str) -> Instance | None:
        """The deployment's instance that trades the instrument, made when first asked for; None where there is none."""
        together = deployment.together
        keys = together or (key,)
        if key not in (deployment.needs or keys) or any(one not in self._instruments for one in keys):
            return None
        place = (deployment.strategy_id, keys)
        if place in self._instances:
            return self._instances[place]
        instruments = [self._instruments[one] for one in keys]
        instance = None
        try:
            if all(deployment.strategy.trades(one) for one in instruments):
                instance = Instance(deployment, instruments, self._brokers)
            elif deployment.needs is not None:
                raise StrategyError("the strategy does not trade it")
        except Exception as error:
            self.errors[deployment.strategy_id] += 1
            self._suspend(deployment, "+".join(keys), "making it", error)
        self._instances[place] = instance
        return instance

    def _show_missing(self, deployment: Deployment) -> None:
        for key in deployment.needs or ():
            if key not in self._instruments:
                self._suspend(deployment, key, "instruments", StrategyError("the feed has no such instrument"))

    def _count_signals(self, deployment: Deployment, count: int, at: float) -> None:
        """Raises LimitPassed."""
        most = deployment.limits.max_signals_per_day
        if most is None:
            return
        today = trading_date(datetime.fromtimestamp(at, UTC))
        if today != self._today:
            self._today = today
            self._signals_today.clear()
        if self._signals_today[deployment.strategy_id] + count > most:
            raise LimitPassed(f"strategy {deployment.strategy_id}, max_signals_per_day: {most} are made already")
        self._signals_today[deployment.strategy_id] += count

    def _count_error(self, handler: Handler, error: Exception) -> None:
        instance = handler.instance
        self.errors[instance.deployment.strategy_id] += 1
        handler.errors_in_a_row += 1
        _log.error(
            "a strategy raised",
            strategy=instance.deployment.strategy_id,
            instrument=instance.label,
            handler=handler.kind,
            in_a_row=handler.errors_in_a_row,
            exc_info=error,
        )
        self._note(instance.deployment, instance.label, handler.kind, error)
        if isinstance(error, LimitPassed) or handler.errors_in_a_row >= self._tolerance.errors_in_a_row:
            instance.suspended = True
            self._suspend(instance.deployment, instance.label, handler.kind, error)

    def _count_slow(self, handler: Handler, took: float) -> None:
        instance = handler.instance
        self.slow[instance.deployment.strategy_id] += 1
        handler.slow_in_a_row += 1
        error = StrategyError(f"took {took * 1000:.1f} ms")
        self._note(instance.deployment, instance.label, handler.kind, error)
        if handler.slow_in_a_row >= self._tolerance.slow_in_a_row:
            instance.suspended = True
            self._suspend(instance.deployment, instance.label, handler.kind, error)

    def _suspend(self, deployment: Deployment, instruments: str, where: str, error: Exception) -> None:
        self.suspended.setdefault(deployment.strategy_id, []).append(instruments)
        self._note(deployment, instruments, where, error)
        _log.error(
            "a strategy is suspended", strategy=deployment.strategy_id, problem=self.problems[deployment.strategy_id]
        )

    def _note(self, deployment: Deployment, instruments: str, where: str, error: Exception) -> None:
        """The last problem of each strategy, for people."""
        self.problems[deployment.strategy_id] = f"{instruments}, {where}: {type(error).__name__}: {error}"
