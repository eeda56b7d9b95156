"""`python -m workers.bench NAME`: runs a benchmark and prints a table, or one JSON object with `--json`."""

import json
import os
import platform
import sys
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from alphapanda.loop import run as run_loop
from alphapanda.stack.process import die_with_parent
from workers.bench import backtest as backtest_bench
from workers.bench.orders import Plan, run

app = typer.Typer(add_completion=False, no_args_is_help=True)

_MEANING = {
    "throughput_ratio": "whole lifecycles per second, ours / floor",
    "latency_p50_ratio": "accepted to broker call, ours / floor's start to activity",
    "throughput_ratio_last_to_first_third": "whether it stays flat while the ledger grows: 1 is flat",
    "record_ms_p50": "before that: recording the signal in the ledger, which accepts it",
    "history_events_per_order": "events in the workflow's history",
    "history_bytes_per_order": "bytes of that history",
    "ledger_commits_per_order": "write transactions in Postgres, all processes",
    "redis_calls_per_order": "reads from Redis",
    "activities_per_order": "activities, local ones included",
}


@app.callback()
def _main() -> None:
    """Benchmarks against the floor of what is underneath, measured in one run."""


@app.command()
def orders(
    rounds: Annotated[int, typer.Option(min=1, help="Turns that floor and ours take.")] = 10,
    concurrency: Annotated[int, typer.Option(min=1, help="Orders under way at once.")] = 50,
    throughput: Annotated[int, typer.Option(min=50, help="Orders per turn for the rate.")] = 100,
    latency: Annotated[int, typer.Option(min=10, help="Orders per turn for the latency.")] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """The OrderWorkflow for paper MARKET orders against a bare workflow with one no-op activity."""
    progress = Console(stderr=True)
    plan = Plan(rounds=rounds, concurrency=concurrency, throughput=throughput, latency=latency)
    figures = run_loop(run(plan, lambda said: progress.print(f"[dim]{said}")))
    figures["machine"] = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
    if as_json:
        sys.stdout.write(json.dumps(figures) + "\n")
    else:
        Console().print(_table(figures))


_OF_BACKTEST = {
    "noop_ticks_per_second": "through the engine and a strategy that wants nothing",
    "sma_ticks_per_second": "the same with SMA(20/100) on every tick, its orders included",
    "sma_orders": "orders those made",
    "orders_per_second": "market orders, from signal to booked fill, in the largest run",
    "exchange_orders_per_second": "market orders in the paper exchange alone",
    "order_cost_us": "microseconds per order, by orders in the run",
    "order_cost_last_to_first_size": "the largest run's cost per order over the smallest's: 1 is flat",
}


@app.command()
def backtest(
    rounds: Annotated[int, typer.Option(min=1, help="Rounds, of which the median counts.")] = 5,
    ticks: Annotated[int, typer.Option(min=1000, help="Ticks a round.")] = 100_000,
    most_orders: Annotated[int, typer.Option(min=10_000, help="Orders of the largest run.")] = 100_000,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Ticks per second through the backtest's engine, orders per second through clearance and the paper exchange."""
    progress = Console(stderr=True)
    plan = backtest_bench.Plan(ticks=ticks, rounds=rounds, sizes=(1_000, 10_000, most_orders))
    figures = backtest_bench.run(plan, lambda said: progress.print(f"[dim]{said}"))
    figures["machine"] = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
    if as_json:
        sys.stdout.write(json.dumps(figures) + "\n")
        return
    table = Table(title=f"{ticks:,} ticks, {rounds} rounds, {figures['machine']}")
    for column in ("figure", "value", "what it is"):
        table.add_column(column)
    for name, meaning in _OF_BACKTEST.items():
        table.add_row(name, str(figures[name]), meaning)
    Console().print(table)


def _table(figures: dict[str, Any]) -> Table:
    table = Table(title=f"{figures['orders']} orders, {figures['concurrency']} at once, {figures['machine']}")
    for column in ("figure", "value", "what it is"):
        table.add_column(column)
    for name, meaning in _MEANING.items():
        table.add_row(name, str(figures[name]), meaning)
    for side in ("floor", "ours"):
        table.add_row(f"{side}: per second", str(figures["orders_per_second"][side]), "median of the rounds")
        latency = figures["latency_ms"][side]
        table.add_row(f"{side}: p50 / p99", f"{latency['p50']} / {latency['p99']} ms", "to the broker call")
    return table


if __name__ == "__main__":
    die_with_parent()
    app()
