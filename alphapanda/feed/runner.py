"""The feed's runner: takes ticks from a source, publishes them, shows them to strategies, delivers their signals.

Per batch: publish first, so that a signal never arrives before its quote; then strategies; then delivery. Redis may
be away: its ticks are dropped and counted, strategies and signals go on. The source may not: its error ends the feed.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import aclosing, suppress

import structlog

from alphapanda.domain.errors import AlphaPandaError
from alphapanda.domain.ids import Broker, StrategyId
from alphapanda.feed.cancelling import cancel_and_wait
from alphapanda.feed.outbox import Emit, SignalOutbox
from alphapanda.feed.router import StrategyRouter, Tolerance
from alphapanda.feed.source import Clock, TickSource
from alphapanda.feed.stats import FeedState, FeedStats
from alphapanda.live.quotes import LiveUnavailable, Tick
from alphapanda.strategies.contract import Fill
from alphapanda.strategies.deployment import Deployment

_log = structlog.get_logger(__name__)

Publish = Callable[[Sequence[Tick]], Awaitable[None]]
Beat = Callable[[FeedStats], Awaitable[None]]

_PUBLISH_TIMEOUT_S = 1.0
_PUBLISH_PAUSE_S = 1.0
"""How long no publishing is tried after a failure, so that a hanging Redis does not slow the strategies."""


class FeedStateError(AlphaPandaError):
    """The runner cannot do that in its state."""

    code = "FEED_STATE"
    default_next_action = "Make a new runner; each runs once."


class FeedRunner:
    """Runs one source once: NEW -> RUNNING -> FINISHED, FAILED or STOPPED.

    `publish` may raise LiveUnavailable. `emit` makes a signal into orders and is repeated on failure. `beat` gets the
    stats every `beat_every_s` and once at the end; its errors are only logged, since the missing beat tells of them.
    """

    def __init__(
        self,
        source: TickSource,
        strategies: Iterable[Deployment],
        publish: Publish,
        emit: Emit,
        brokers: Sequence[Broker],
        now: Clock,
        *,
        beat: Beat | None = None,
        beat_every_s: float = 5.0,
        stop_grace_s: float = 2.0,
        outbox: SignalOutbox | None = None,
        tolerance: Tolerance | None = None,
    ) -> None:
        self._source = source
        self._publish = publish
        self._now = now
        self._beat = beat
        self._beat_every_s = beat_every_s
        self._stop_grace_s = stop_grace_s
        self._router = StrategyRouter(strategies, source.instruments, brokers, tolerance=tolerance)
        self._outbox = outbox or SignalOutbox(emit)
        self._state = FeedState.NEW
        self._feeding: asyncio.Task[None] | None = None
        self._stopping = False
        self._over = asyncio.Event()  # the state is final
        self._ended = asyncio.Event()  # and nothing of ours runs any more
        self._publish_again_at = 0.0
        self._started_at: float | None = None
        self._last_tick: Tick | None = None
        self._ticks = self._unpublished = 0
        self._error: str | None = None
        self._reload_refused: str | None = None

    @property
    def state(self) -> FeedState:
        return self._state

    def stats(self) -> FeedStats:
        last = self._last_tick
        return FeedStats(
            state=self._state,
            source=self._source.name,
            started_at=self._started_at,
            last_tick_at=last.received_at if last else None,
            last_exchange_time=last.exchange_time if last else None,
            ticks=self._ticks,
            ticks_skipped=self._source.skipped,
            ticks_unpublished=self._unpublished,
            ticks_late=self._router.late_ticks,
            signals=self._outbox.accepted,
            signals_delivered=self._outbox.delivered,
            signals_pending=self._outbox.pending,
            signals_retried=self._outbox.retried,
            signals_undelivered=self._outbox.undelivered,
            strategy_errors=dict(self._router.errors),
            suspended={name: list(instruments) for name, instruments in self._router.suspended.items()},
            error=self._error,
            strategy_slow=dict(self._router.slow),
            strategy_problems=dict(self._router.problems),
            reload_refused=self._reload_refused,
        )

    def reload(self, deployments: Iterable[Deployment]) -> None:
        """Run these from the next tick on; see `StrategyRouter.reload`. What they have signalled already goes on."""
        self._router.reload(deployments)
        self._reload_refused = None

    @property
    def fills_wanted(self) -> Sequence[StrategyId]:
        """The strategies that listen to their fills."""
        return self._router.fills_wanted

    def fill(self, strategy_id: StrategyId, fill: Fill) -> None:
        """Tell the strategy of its fill; what it answers goes out like any signal. Ignored unless RUNNING."""
        if self._state is FeedState.RUNNING:
            for signal in self._router.fill(strategy_id, fill, received_at=self._now()):
                self._outbox.put(signal)

    def refuse_reload(self, reason: str) -> None:
        """Show that changed deployments are not in force, and why."""
        self._reload_refused = reason

    async def run(self) -> FeedStats:
        """Feed until the source ends or `stop` is called; returns the last stats, all signals delivered or given up.

        Raises what the source raised (state FAILED), and FeedStateError unless the state is NEW.
        """
        if self._state is not FeedState.NEW:
            raise FeedStateError(f"run: the feed is {self._state}, not {FeedState.NEW}")
        self._state = FeedState.RUNNING
        self._started_at = self._now()
        beating = asyncio.create_task(self._keep_beating(), name="feed heartbeat")
        self._feeding = asyncio.create_task(self._feed(), name="feed")
        try:
            await asyncio.wait({self._feeding})
        finally:  # reached when our caller is cancelled, too
            await self._stop_feeding(self._feeding)
            await self._outbox.close(grace_s=self._stop_grace_s)
            error = None if self._feeding.cancelled() else self._feeding.exception()
            self._state = self._outcome(error)
            self._over.set()
            await asyncio.wait({beating})
            self._ended.set()
        if error is not None:
            raise error
        return self.stats()

    async def stop(self) -> None:
        """End the feed now and wait until it has ended; signals under way get `stop_grace_s`. Repeating is harmless."""
        if self._state is FeedState.NEW:
            self._state = FeedState.STOPPED
            self._ended.set()
        if self._feeding is not None:
            await self._stop_feeding(self._feeding)
        await self._ended.wait()

    async def _stop_feeding(self, feeding: asyncio.Task[None]) -> None:
        if not feeding.done():
            self._stopping = True
            await cancel_and_wait({feeding})

    def _outcome(self, error: BaseException | None) -> FeedState:
        if error is not None:
            self._error = f"{type(error).__name__}: {error}"
            return FeedState.FAILED
        return FeedState.STOPPED if self._stopping else FeedState.FINISHED

    async def _feed(self) -> None:
        async with aclosing(self._source.batches()) as batches:
            async for batch in batches:
                await self._publish_or_drop(batch)
                for tick in batch:
                    for signal in self._router.route(tick):
                        self._outbox.put(signal)
                    if self._outbox.pending:
                        await self._outbox.room()
                self._ticks += len(batch)
                self._last_tick = batch[-1]
                if self._source.in_lockstep:
                    await self._outbox.flush()
                # A source that never waits must still let heartbeats, deliveries and `stop` have their turn.
                await asyncio.sleep(0)
        await self._outbox.flush()

    async def _publish_or_drop(self, batch: Sequence[Tick]) -> None:
        clock = asyncio.get_running_loop().time
        if clock() >= self._publish_again_at:
            try:
                async with asyncio.timeout(_PUBLISH_TIMEOUT_S):
                    await self._publish(batch)
            except (LiveUnavailable, TimeoutError) as error:
                self._publish_again_at = clock() + _PUBLISH_PAUSE_S
                _log.warning("ticks are not published", error=str(error) or "timed out")
            else:
                return
        self._unpublished += len(batch)

    async def _keep_beating(self) -> None:
        while not self._over.is_set():
            await self._beat_once()
            with suppress(TimeoutError):
                async with asyncio.timeout(self._beat_every_s):
                    await self._over.wait()
        await self._beat_once()

    async def _beat_once(self) -> None:
        if self._beat is not None:
            try:
                async with asyncio.timeout(_PUBLISH_TIMEOUT_S):
                    await self._beat(self.stats())
            except Exception as error:  # a heartbeat that cannot be written must not end the feed it speaks for
                _log.warning("the feed's heartbeat is not written", error=str(error) or type(error).__name__)
