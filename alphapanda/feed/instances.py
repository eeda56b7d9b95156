"""A strategy at work on its instruments: its handlers, how its signals are named, and how often it failed."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from alphapanda.domain.errors import AlphaPandaError
from alphapanda.domain.ids import Broker, SignalId, derived_signal_id
from alphapanda.domain.instrument import Instrument
from alphapanda.domain.signal import Signal
from alphapanda.domain.vocabulary import Side
from alphapanda.feed.bars import check_interval
from alphapanda.strategies.contract import Intent, Strategy, StrategyError
from alphapanda.strategies.deployment import AnyStrategy, Deployment

_CAUSES_KEPT = 64
"""Causes of which the signals are counted: more than the bars and ticks of a few legs that can interleave."""


class LimitPassed(AlphaPandaError):  # noqa: N818 - named for the condition
    """A strategy would trade more than its deployment allows."""

    code = "STRATEGY_LIMIT_PASSED"
    default_next_action = "Look why the strategy trades that much; correct it, or raise the limit of its deployment."


@dataclass(frozen=True, slots=True)
class Cause:
    """What a signal answers: the kind of event, its moment by the exchange, and when we received it (epoch s)."""

    kind: str
    at: float
    received_at: float

    def __str__(self) -> str:
        return f"{self.kind}@{self.at!r}"


class Instance:
    """One strategy on its instruments. `brokers` are the default where the deployment names none."""

    def __init__(self, deployment: Deployment, instruments: Sequence[Instrument], brokers: tuple[Broker, ...]) -> None:
        """Raises whatever the strategy raises."""
        self.deployment = deployment
        self.instruments = {instrument.key: instrument for instrument in instruments}
        self.label = "+".join(self.instruments)
        self.suspended = False
        self.strategy: AnyStrategy = deployment.strategy(deployment.params, *instruments)
        kind = type(self.strategy)
        seconds = self.bar_seconds = self.strategy.bar_seconds
        if seconds is not None:
            check_interval(seconds)
        self.on_tick = self._handler("tick", self.strategy.on_tick, kind.on_tick is not Strategy.on_tick)
        self.on_bar = self._handler(f"bar{seconds}", self.strategy.on_bar, seconds is not None)
        self.on_fill = self._handler("fill", self.strategy.on_fill, kind.on_fill is not Strategy.on_fill)
        self._first = instruments[0].key
        self._brokers = deployment.brokers or brokers
        self._made: dict[str, Counter[tuple[str, Side]]] = {}
        self._metadata = {
            "strategy": deployment.strategy.name,
            "strategy_version": deployment.strategy.version,
            "parameters": deployment.params.model_dump(mode="json"),
        }

    def _handler(self, kind: str, call: "Callable[[Any], Sequence[Intent]]", wanted: bool) -> "Handler | None":
        return Handler(self, kind, call) if wanted else None

    def signals(self, intents: Sequence[Intent], cause: Cause) -> list[Signal]:
        """All of them or, where one breaks a rule, an error: half a set was never intended."""
        return [self._signal(intent, cause) for intent in intents]

    def _signal(self, intent: Intent, cause: Cause) -> Signal:
        key = intent.instrument or self._first
        instrument = self.instruments.get(key)
        if instrument is None:
            raise StrategyError(f"strategy {self.deployment.strategy_id}, instrument: {key} is none of its own")
        longest = self.deployment.limits.max_quantity
        if longest is not None and intent.quantity > longest:
            raise LimitPassed(
                f"strategy {self.deployment.strategy_id}, max_quantity: {intent.quantity} is over {longest}"
            )
        return Signal(
            signal_id=self._next_id(key, str(cause), intent.side),
            strategy_id=self.deployment.strategy_id,
            brokers=self._brokers,
            exchange=instrument.exchange,
            tradingsymbol=instrument.tradingsymbol,
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
            generated_at=datetime.fromtimestamp(cause.received_at, UTC),
            metadata={
                **self._metadata,
                "caused_at": datetime.fromtimestamp(cause.at, UTC).isoformat(),
                "reason": intent.reason,
            },
        )

    def _next_id(self, instrument: str, cause: str, side: Side) -> SignalId:
        """The id of the next signal of `cause`; several of one cause and side are told apart by their order."""
        ordinals = self._made.get(cause)
        if ordinals is None:
            if len(self._made) >= _CAUSES_KEPT:
                del self._made[next(iter(self._made))]
            ordinals = self._made[cause] = Counter()
        ordinal = ordinals[instrument, side]
        ordinals[instrument, side] += 1
        return derived_signal_id(self.deployment.strategy_id, instrument, cause, side, str(ordinal))


class Handler:
    """One handler of an instance. Each counts its own failures in a row: a sound `on_tick` must not hide that every
    bar fails."""

    __slots__ = ("call", "errors_in_a_row", "instance", "kind", "schedule", "slow_in_a_row")

    def __init__(self, instance: Instance, kind: str, call: Callable[[Any], Sequence[Intent]]) -> None:
        self.instance = instance
        self.kind = kind
        self.call = call
        # A fill is told at any hour: whoever is not told believes it still holds what it sold.
        self.schedule = None if kind == "fill" else instance.deployment.schedule
        self.errors_in_a_row = 0
        self.slow_in_a_row = 0
