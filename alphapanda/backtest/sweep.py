"""A sweep: one backtest for each combination of parameter values, as many at once as there are cores.

Each run is a process's own work from file to summary, so a sweep's runs are those that the values alone would give,
in the order of the values. The processes end with the one that started them.
"""

import itertools
import multiprocessing
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alphapanda.backtest.engine import Backtest
from alphapanda.backtest.recordings import Recordings
from alphapanda.backtest.rendering import Document
from alphapanda.backtest.setup import deployed, rules_of
from alphapanda.backtest.summary import summary
from alphapanda.backtest.trades import round_trips
from alphapanda.domain.errors import AlphaPandaError
from alphapanda.settings import Settings
from alphapanda.stack.parent import PARENT_PID_VARIABLE, die_with_parent
from alphapanda.strategies.contract import StrategyError

Params = Mapping[str, Mapping[str, Any]]
"""Parameters by strategy."""

MOST_RUNS = 10_000


class SweepFailed(AlphaPandaError):  # noqa: N818 - named for the condition
    """The sweep cannot be run, or was cut short."""

    code = "BACKTEST_SWEEP_FAILED"
    default_next_action = "Try fewer processes at once (--jobs): each needs the memory of a backtest."


@dataclass(frozen=True, slots=True)
class Axis:
    """One parameter and its values, in the order given; `label` as it was named."""

    label: str
    strategy: str
    field: str
    values: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Run:
    """The values by label and what came of them: a summary, or why the strategy refused them."""

    values: Mapping[str, Any]
    summary: Document | None
    refused: str | None = None


def combinations(axes: Sequence[Axis], params: Params) -> list[tuple[dict[str, Any], Params]]:
    """Every combination, as its values by label and as the parameters of the run. Raises SweepFailed if too many."""
    count = 1
    for axis in axes:
        count *= len(axis.values)
    if count > MOST_RUNS:
        raise SweepFailed(
            f"sweep: {count:,} combinations are more than {MOST_RUNS:,}", next_action="Sweep fewer values."
        )
    found: list[tuple[dict[str, Any], Params]] = []
    for values in itertools.product(*(axis.values for axis in axes)):
        merged = {name: dict(own) for name, own in params.items()}
        for axis, value in zip(axes, values, strict=True):
            merged.setdefault(axis.strategy, {})[axis.field] = value
        found.append(({axis.label: value for axis, value in zip(axes, values, strict=True)}, merged))
    return found


def sweep(
    names: Sequence[str],
    params: Params,
    axes: Sequence[Axis],
    paths: Sequence[Path],
    *,
    jobs: int,
    tell: Callable[[int, int], None] | None = None,
) -> list[Run]:
    """All runs, in the order of the values. `tell` hears how many of how many are done.

    Values that a strategy refuses are a run without a summary; where it refuses all of them, its error is raised.
    """
    wanted = combinations(axes, params)
    runs: list[Run | None] = [None] * len(wanted)
    refusal: StrategyError | None = None
    accepted: list[int] = []
    for number, (values, merged) in enumerate(wanted):
        try:
            deployed(names, merged)
        except StrategyError as error:
            refusal = error
            runs[number] = Run(values, None, error.message)
        else:
            accepted.append(number)
    if refusal is not None and not accepted:
        raise refusal
    Recordings(paths)  # what is wrong with the files is said once, here
    others = set(multiprocessing.active_children())
    try:
        with ProcessPoolExecutor(
            max(1, min(jobs, len(accepted))),
            mp_context=multiprocessing.get_context("spawn"),
            initializer=_begin,
            initargs=(os.getpid(),),
        ) as pool:
            under_way: dict[Future[Document], int] = {
                pool.submit(_run, tuple(names), wanted[number][1], tuple(paths)): number for number in accepted
            }
            try:
                for done, future in enumerate(as_completed(under_way), start=1):
                    number = under_way[future]
                    runs[number] = Run(wanted[number][0], future.result())
                    if tell is not None:
                        tell(done, len(accepted))
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                for child in set(multiprocessing.active_children()) - others:
                    child.terminate()  # a run may take minutes, and nobody waits for it any more
                raise
    except BrokenProcessPool:
        raise SweepFailed("sweep: one of its processes was killed") from None
    return [run for run in runs if run is not None]


def _begin(parent: int) -> None:
    """In each process of the sweep, first of all."""
    os.environ[PARENT_PID_VARIABLE] = str(parent)
    die_with_parent()
    signal.signal(signal.SIGINT, lambda *_: os._exit(130))  # Ctrl-C reaches all: no traceback of each


def _run(names: tuple[str, ...], params: Params, paths: tuple[Path, ...]) -> Document:
    rules, deployments, recordings = rules_of(Settings.load()), deployed(names, params), Recordings(paths)
    outcome = Backtest(deployments, recordings.instruments, rules).run(recordings.ticks())
    return summary(outcome, deployments, recordings.instruments, rules, round_trips(outcome.desk.fills))
