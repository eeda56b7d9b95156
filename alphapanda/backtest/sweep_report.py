"""A sweep's report: JSON, a table, and a page with a heat map where two parameters were swept."""

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from alphapanda.backtest.page import assemble, table
from alphapanda.backtest.rendering import Document
from alphapanda.backtest.sweep import Axis, Run
from alphapanda.backtest.terminal import money, number, percent

_FIGURES = ("net result, Rs", "charges, Rs", "trades", "win rate", "Sharpe", "max drawdown")


def sweep_document(axes: Sequence[Axis], runs: Sequence[Run]) -> Document:
    return {
        "sweep": {axis.label: list(axis.values) for axis in axes},
        "runs": [{"parameters": dict(run.values), "refused": run.refused, "summary": run.summary} for run in runs],
    }


def show_sweep(console: Console, axes: Sequence[Axis], runs: Sequence[Run]) -> None:
    """Every run, the best net result first, then those without one."""
    shown = Table(box=None, pad_edge=False, header_style="bold")
    for column in (*(axis.label for axis in axes), *_FIGURES):
        shown.add_column(column, justify="right")
    for run in _best_first(runs):
        shown.add_row(*(str(value) for value in run.values.values()), *_figures(run))
    console.print(shown)
    for why in sorted({run.refused for run in runs if run.refused}):
        console.print(f"refused: {why}")


def sweep_page(names: Sequence[str], axes: Sequence[Axis], runs: Sequence[Run]) -> str:
    rows = [[*run.values.values(), *_figures(run)] for run in _best_first(runs)]
    heat = _heat(axes, runs) if len(axes) == 2 else None
    chart = (
        f"<h2>Net result by {axes[0].label} and {axes[1].label}, Rs</h2><div id='heat' class='chart'></div>"
        if heat
        else ""
    )
    body = f"{chart}<h2>All runs</h2>{table([*(axis.label for axis in axes), *_FIGURES], rows)}"
    return assemble(f"Sweep of {', '.join(names)}", body, {"heat": heat, "breaks": []})


def _heat(axes: Sequence[Axis], runs: Sequence[Run]) -> Document:
    across, down = axes
    net = {tuple(map(str, run.values.values())): _net(run) for run in runs}
    return {
        "x": [str(value) for value in across.values],
        "y": [str(value) for value in down.values],
        "z": [[net.get((str(x), str(y))) for x in across.values] for y in down.values],
        "names": [across.label, down.label],
        "middle": 0,
    }


def _best_first(runs: Sequence[Run]) -> list[Run]:
    def key(run: Run) -> tuple[bool, float]:
        net = _net(run)
        return (net is None, 0.0 if net is None else -net)

    return sorted(runs, key=key)


def _net(run: Run) -> float | None:
    found: Any = None if run.summary is None else run.summary["pnl"]["net"]
    return None if found is None else float(found)


def _figures(run: Run) -> tuple[str, ...]:
    if run.summary is None:
        return ("–",) * len(_FIGURES)
    pnl, trades, fall = run.summary["pnl"], run.summary["trades"], run.summary["max_drawdown"] or {}
    return (
        money(pnl["net"]),
        money(pnl["charges"]),
        number(trades["closed"]),
        percent(trades["win_rate"]),
        number(run.summary["sharpe"]),
        percent(fall.get("share")),
    )
