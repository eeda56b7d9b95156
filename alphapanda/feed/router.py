"""Routes each tick to the strategies of its instrument and turns what they intend into signals.

Synchronous and without I/O: the same ticks give the same signal ids. A strategy that raises is counted against its
one instance; the others go on.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import structlog

from alphapanda.domain.ids import Broker, SignalId, derived_signal_id
from alphapanda.domain.instrument import Instrument
from alphapanda.domain.signal import Signal
from alphapanda.domain.vocabulary import Side
from alphapanda.feed.bars import Bar, BarBuilder
from alphapanda.live.quotes import Tick
from alphapanda.strategies.contract import Intent, Strategy
from alphapanda.strategies.registry import AnyStrategy, Deployment

_log = structlog.get_logger(__name__)

DEFAULT_ERROR_LIMIT = 20


class _Instance:
    """One strategy on one instrument, and how its signals are named."""

    def __init__(self, deployment: Deployment, instrument: Instrument, strategy: AnyStrategy) -> None:
        self.deployment = deployment
        self.instrument = instrument
        self.strategy = strategy
        self.suspended = False
        self._cause = ""
        self._ordinals: Counter[Side] = Counter()

    def next_id(self, cause: str, side: Side) -> SignalId:
        """The id of the next signal of `cause`; several of one cause and side are told apart by their order."""
        if cause != self._cause:
            self._cause = cause
            self._ordinals.clear()
        ordinal = self._ordinals[side]
        self._ordinals[side] += 1
        return derived_signal_id(self.deployment.strategy_id, self.instrument.key, cause, side, str(ordinal))


class _Handler:
    """One handler of an instance. Each counts its own errors in a row: a sound `on_tick` must not hide that every
    bar fails."""

    __slots__ = ("call", "errors_in_a_row", "instance", "kind")

    def __init__(self, instance: _Instance, kind: str, call: Callable[[Any], Sequence[Intent]]) -> None:
        self.instance = instance
        self.kind = kind
        self.call = call
        self.errors_in_a_row = 0


class _Lane:
    """Everything that happens on a tick of one instrument."""

    def __init__(self, instances: Sequence[_Instance], instrument: str) -> None:
        self.on_tick = [
            _Handler(item, "tick", item.strategy.on_tick)
            for item in instances
            if type(item.strategy).on_tick is not Strategy.on_tick
        ]
        by_interval: dict[int, list[_Handler]] = {}
        for item in instances:
            seconds = item.strategy.bar_seconds
            if seconds is not None:
                handler = _Handler(item, f"bar{seconds}", item.strategy.on_bar)
                by_interval.setdefault(seconds, []).append(handler)
        self.on_bar = [(BarBuilder(instrument, seconds), handlers) for seconds, handlers in by_interval.items()]


class StrategyRouter:
    """`error_limit`: consecutive errors of a handler after which its instance is suspended.

    An instrument gets its instances at its first tick: most of a large universe never ticks.
    """

    def __init__(
        self,
        deployments: Iterable[Deployment],
        instruments: Mapping[str, Instrument],
        brokers: Sequence[Broker],
        *,
        error_limit: int = DEFAULT_ERROR_LIMIT,
    ) -> None:
        self._deployments = tuple(deployments)
        self._instruments = instruments
        self._brokers = tuple(brokers)
        self._error_limit = error_limit
        self._lanes: dict[str, _Lane] = {}
        self.errors: Counter[str] = Counter()
        self.suspended: dict[str, list[str]] = {}

    @property
    def late_ticks(self) -> int:
        return sum(builder.late for lane in self._lanes.values() for builder, _ in lane.on_bar)

    def route(self, tick: Tick) -> list[Signal]:
        """The signals the tick gives rise to: first of the bars it completes, then of the tick itself."""
        lane = self._lanes.get(tick.instrument)
        if lane is None:
            lane = self._lanes[tick.instrument] = self._open_lane(tick.instrument)
        signals: list[Signal] = []
        for builder, handlers in lane.on_bar:
            bar = builder.add(tick)
            if bar is not None:
                # Named by the bar's end, not by the tick that revealed it: a worker that missed that tick agrees.
                for handler in handlers:
                    self._ask(handler, bar, float(bar.end), tick, signals)
        for handler in lane.on_tick:
            self._ask(handler, tick, tick.exchange_time, tick, signals)
        return signals

    def _ask(self, handler: _Handler, event: Bar | Tick, cause_time: float, tick: Tick, signals: list[Signal]) -> None:
        if handler.instance.suspended:
            return
        try:
            intents = handler.call(event)
            if intents:
                signals += self._signals(handler, intents, cause_time, tick)
        except Exception as error:  # a strategy may raise anything
            self._count(handler, error)
        else:
            handler.errors_in_a_row = 0

    def _open_lane(self, key: str) -> _Lane:
        instrument = self._instruments.get(key)
        if instrument is None:
            return _Lane((), key)
        instances = []
        for deployment in self._deployments:
            if deployment.strategy.trades(instrument):
                try:
                    strategy = deployment.strategy(deployment.params, instrument)
                    instances.append(_Instance(deployment, instrument, strategy))
                except Exception as error:
                    self.errors[deployment.strategy_id] += 1
                    self._suspend(deployment, key, error)
        return _Lane(instances, key)

    def _signals(self, handler: _Handler, intents: Sequence[Intent], cause_time: float, tick: Tick) -> list[Signal]:
        """All of them or, where one breaks a rule of signals, an error: half a set was never intended."""
        instance, deployment = handler.instance, handler.instance.deployment
        cause = f"{handler.kind}@{cause_time!r}"
        metadata = {
            "strategy_version": deployment.strategy.version,
            "parameters": deployment.params.model_dump(mode="json"),
            "caused_at": datetime.fromtimestamp(cause_time, UTC).isoformat(),
        }
        return [
            Signal(
                signal_id=instance.next_id(cause, intent.side),
                strategy_id=deployment.strategy_id,
                brokers=self._brokers,
                exchange=instance.instrument.exchange,
                tradingsymbol=instance.instrument.tradingsymbol,
                side=intent.side,
                quantity=intent.quantity,
                order_type=intent.order_type,
                product=intent.product,
                price=intent.price,
                trigger_price=intent.trigger_price,
                validity=intent.validity,
                validity_minutes=intent.validity_minutes,
                variety=intent.variety,
                iceberg_legs=intent.iceberg_legs,
                # When it reached us: a replayed tick is years old by its own clock and fresh all the same.
                generated_at=datetime.fromtimestamp(tick.received_at, UTC),
                metadata={**metadata, "reason": intent.reason},
            )
            for intent in intents
        ]

    def _count(self, handler: _Handler, error: Exception) -> None:
        instance = handler.instance
        self.errors[instance.deployment.strategy_id] += 1
        handler.errors_in_a_row += 1
        _log.error(
            "a strategy raised",
            strategy=instance.deployment.strategy_id,
            instrument=instance.instrument.key,
            handler=handler.kind,
            in_a_row=handler.errors_in_a_row,
            exc_info=error,
        )
        if handler.errors_in_a_row >= self._error_limit:
            instance.suspended = True
            self._suspend(instance.deployment, instance.instrument.key, error)

    def _suspend(self, deployment: Deployment, instrument: str, error: Exception) -> None:
        self.suspended.setdefault(deployment.strategy_id, []).append(instrument)
        _log.error(
            "a strategy is suspended",
            strategy=deployment.strategy_id,
            instrument=instrument,
            error=f"{type(error).__name__}: {error}",
        )
