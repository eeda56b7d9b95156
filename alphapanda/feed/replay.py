"""Replay: recorded files merged by time and fed as if they happened now.

Ticks keep the recorded `exchange_time` and get `received_at` from our clock, so freshness is judged by receipt.
Files are streamed, one row of each in memory. The same files give the same ticks in the same order, whatever order
they are named in.
"""

import asyncio
import heapq
from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from alphapanda.domain.instrument import Instrument
from alphapanda.domain.vocabulary import Exchange
from alphapanda.feed.instruments import by_key, recorded
from alphapanda.feed.replay_files import Kind, ReplayFile, ReplayFileError, Row, inspect_files, read_bars, read_ticks
from alphapanda.feed.source import Clock
from alphapanda.live.quotes import Tick

_MAX_BATCH = 64
_MAX_SPAN_S = 60.0
"""Recorded seconds one batch may cover, so that a signal meets the quotes of its own minute."""

_MAX_SILENCE_S = 60.0
"""Recorded silence longer than this (nights, halts, weekends) is waited for as if it were this long."""

_PACE_S = 0.25
"""Real seconds one batch may cover at a set speed: the steps a watcher sees."""


class ReplaySource:
    """Recorded files as a tick source.

    `speed`: 1 = real time, 60 = a minute a second, 0 = as fast as the consumer takes it, signals delivered before the
    next batch. `known`: instruments from the ledger, which win over what the files' names tell.
    Construction reads headers and first rows; raises ReplayFileError.
    """

    name = "replay"
    skipped = 0

    def __init__(self, files: Iterable[Path], *, speed: float, now: Clock, known: Iterable[Instrument] = ()) -> None:
        self._now = now
        self._speed = speed
        self._files = inspect_files(files)
        loaded = tuple(known)
        self._keys = {instrument.instrument_token: instrument.key for instrument in loaded}
        symbols = {instrument.tradingsymbol: instrument for instrument in loaded if instrument.exchange is Exchange.NSE}
        tokens = {instrument.instrument_token: instrument for instrument in loaded}
        self._own = tuple(
            (symbols.get(file.label) if file.token is None else tokens.get(file.token)) or recorded(file)
            for file in self._files
        )
        self._instruments = by_key((*loaded, *self._own))

    @property
    def instruments(self) -> Mapping[str, Instrument]:
        return self._instruments

    @property
    def in_lockstep(self) -> bool:
        return self._speed == 0

    async def batches(self) -> AsyncGenerator[Sequence[Tick], None]:
        """Raises ReplayFileError (or ReplayFileTruncated) at the first bad row, after every whole row before it."""
        loop = asyncio.get_running_loop()
        due, recorded_to = loop.time(), 0.0
        for rows in self._batched(self._merged()):
            at = rows[0][0]
            if self._speed and recorded_to:
                due += min(at - recorded_to, _MAX_SILENCE_S) / self._speed
                await asyncio.sleep(max(0.0, due - loop.time()))
            recorded_to = at
            received = self._now()
            yield [Tick(instrument, price, when, received, volume) for when, instrument, _, price, volume in rows]

    def _merged(self) -> Iterator[Row]:
        return heapq.merge(*(self._read(*item) for item in enumerate(zip(self._files, self._own, strict=True))))

    def _read(self, number: int, item: tuple[ReplayFile, Instrument]) -> Iterator[Row]:
        file, instrument = item
        if file.kind is Kind.BARS:
            return read_bars(file, number, instrument.key)
        return read_ticks(file, number, {**self._keys, instrument.instrument_token: instrument.key})

    def _batched(self, rows: Iterator[Row]) -> Iterator[list[Row]]:
        span = min(_MAX_SPAN_S, _PACE_S * self._speed) if self._speed else _MAX_SPAN_S
        batch: list[Row] = []
        try:
            for row in rows:
                if batch and (len(batch) == _MAX_BATCH or row[0] - batch[0][0] >= span):
                    yield batch
                    batch = []
                batch.append(row)
        except ReplayFileError:
            # What was whole is delivered before the error is.
            if batch:
                yield batch
            raise
        if batch:
            yield batch
