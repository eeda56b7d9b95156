"""The outbox: signals on their way to becoming orders, delivered in order per instrument, never lost silently."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

import structlog

from alphapanda.domain.errors import InvalidValueError
from alphapanda.domain.signal import Signal
from alphapanda.feed.cancelling import cancel_and_wait

_log = structlog.get_logger(__name__)

Emit = Callable[[Signal], Awaitable[None]]


class SignalOutbox:
    """Delivers signals through `emit`, at most `in_flight` at once, those of one instrument one after another.

    A delivery that fails or takes longer than `emit_timeout_s` is tried again with a growing pause until
    `give_up_after_s` have passed; repeating is safe because the signal's id makes its order once. Then it is counted
    in `undelivered` and logged whole. A signal refused as invalid (InvalidValueError) is not tried again.
    While `capacity` signals or more are pending, `room` waits: the feed stands still before it forgets one.
    """

    def __init__(
        self,
        emit: Emit,
        *,
        in_flight: int = 32,
        capacity: int = 256,
        give_up_after_s: float = 60.0,
        emit_timeout_s: float = 30.0,
        first_pause_s: float = 0.2,
        longest_pause_s: float = 5.0,
    ) -> None:
        self._emit = emit
        self._in_flight = asyncio.Semaphore(in_flight)
        self._capacity = capacity
        self._changed = asyncio.Event()
        self._closed = False
        self._give_up_after_s = give_up_after_s
        self._emit_timeout_s = emit_timeout_s
        self._first_pause_s = first_pause_s
        self._longest_pause_s = longest_pause_s
        self._queues: dict[str, deque[Signal]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.accepted = 0
        self.delivered = 0
        self.retried = 0
        self.undelivered = 0

    @property
    def pending(self) -> int:
        return self.accepted - self.delivered - self.undelivered

    def put(self, signal: Signal) -> None:
        """Take a signal for delivery. Never waits, so that being cancelled can never lose one; see `room`."""
        self.accepted += 1
        queue = self._queues.get(signal.instrument)
        if queue is not None:
            queue.append(signal)
            return
        self._queues[signal.instrument] = deque((signal,))
        task = asyncio.create_task(self._deliver_all(signal.instrument), name=f"signals of {signal.instrument}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def room(self) -> None:
        """Wait until fewer than `capacity` signals are pending."""
        while self.pending >= self._capacity:
            self._changed.clear()
            await self._changed.wait()

    async def flush(self) -> None:
        """Wait until everything taken so far is delivered or given up."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def close(self, *, grace_s: float) -> None:
        """Flush for at most `grace_s`, then end what is left: counted, logged, no task survives."""
        tasks = set(self._tasks)
        if tasks:
            await asyncio.wait(tasks, timeout=grace_s)
        self._closed = True
        await cancel_and_wait(tasks)
        for queue in self._queues.values():
            for signal in queue:
                self._give_up(signal, "the feed was stopped while it was on its way")
        self._queues.clear()

    async def _deliver_all(self, instrument: str) -> None:
        queue = self._queues[instrument]
        while queue and not self._closed:
            await self._deliver(queue[0])
            queue.popleft()
            self._changed.set()
        if not queue:
            del self._queues[instrument]

    async def _deliver(self, signal: Signal) -> None:
        loop = asyncio.get_running_loop()
        ends = loop.time() + self._give_up_after_s
        pause = self._first_pause_s
        while True:
            try:
                async with self._in_flight, asyncio.timeout(self._emit_timeout_s):
                    await self._emit(signal)
            except InvalidValueError as error:
                self._give_up(signal, str(error))
                return
            except Exception as error:  # whatever it is, the signal must not vanish with it
                failure = f"{type(error).__name__}: {error}"
            else:
                self.delivered += 1
                return
            if self._closed or loop.time() + pause > ends:
                self._give_up(signal, failure)
                return
            self.retried += 1
            _log.warning("a signal is not delivered yet", signal_id=signal.signal_id, error=failure, again_in_s=pause)
            await asyncio.sleep(pause)
            pause = min(pause * 2, self._longest_pause_s)

    def _give_up(self, signal: Signal, cause: str) -> None:
        self.undelivered += 1
        _log.error("a signal was not delivered", cause=cause, signal=signal.model_dump(mode="json"))
