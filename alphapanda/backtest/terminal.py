"""The report as tables for a terminal."""

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from alphapanda.backtest.rendering import Document


def show(console: Console, document: Document) -> None:
    """What a person wants to know first; the rest is in the JSON and on the page."""
    summary = document["summary"]
    names = ", ".join(item["strategy_id"] for item in summary["strategies"])
    console.print(
        f"[bold]{names}[/bold] on {len(summary['instruments'])} instruments, {summary['days']} days, "
        f"{summary['ticks']:,} ticks, {summary['orders']['made']:,} orders"
    )
    console.print(_facts(summary))
    for title, name in (("per strategy", "strategy"), ("per instrument", "instrument")):
        parts = summary[f"per_{name}"]
        if parts:
            console.print(_parts(title, name, parts))
    console.print(_charges(summary["charges"]))
    refused = summary["orders"]["refused_for"]
    if refused:
        console.print("refused: " + ", ".join(f"{why} {count}" for why, count in refused.items()))
    for line in troubles(summary):
        console.print(f"[red]{escape(line)}")


def troubles(summary: Document) -> list[str]:
    """What went wrong with each strategy, in a line."""
    lines = []
    for name, problem in sorted(summary["problems"].items()):
        suspended, errors = summary["suspended"].get(name), summary["strategy_errors"].get(name)
        told = [f"{name}: {problem}"]
        if errors:
            told.append(f"{errors} errors")
        if suspended:
            told.append(f"suspended on {', '.join(suspended)}")
        lines.append("; ".join(told))
    return lines


def _facts(summary: Document) -> Table:
    fall, trades, pnl = summary["max_drawdown"] or {}, summary["trades"], summary["pnl"]
    table = _table("", "", "", "", title=None)
    table.show_header = False
    for left, right in (
        (("net result", money(pnl["net"])), ("return", percent(summary["return"]))),
        (("gross result", money(pnl["gross"])), ("CAGR", percent(summary["cagr"]))),
        (("charges", money(pnl["charges"])), ("Sharpe", number(summary["sharpe"]))),
        (("turnover", money(summary["turnover"])), ("Sortino", number(summary["sortino"]))),
        (("trades closed", number(trades["closed"])), ("max drawdown", percent(fall.get("share")))),
        (("win rate", percent(trades["win_rate"])), ("max drawdown, Rs", money(fall.get("amount")))),
        (
            ("profit factor", number(trades["profit_factor"])),
            ("average exposure", percent(summary["exposure"]["average"])),
        ),
        (
            ("ending equity", money(summary["ending_equity"])),
            ("time in market", percent(summary["exposure"]["time_in_market"])),
        ),
    ):
        table.add_row(*left, *right)
    return table


def _parts(title: str, name: str, parts: Sequence[Document]) -> Table:
    table = _table(name, "net", "gross", "charges", "turnover", "trades", "win rate", "best", "worst", title=title)
    for part in parts:
        pnl, trades = part["pnl"], part["trades"]
        table.add_row(
            part[name], money(pnl["net"]), money(pnl["gross"]), money(pnl["charges"]), money(part["turnover"]),
            number(trades["closed"]), percent(trades["win_rate"]), money(trades["best"]), money(trades["worst"]),
        )  # fmt: skip
    return table


def _charges(charges: Document) -> Table:
    table = _table(*charges, title="charges")
    table.add_row(*(money(amount) for amount in charges.values()))
    return table


def _table(*columns: str, title: str | None) -> Table:
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for index, column in enumerate(columns):
        table.add_column(column, justify="left" if index == 0 else "right", no_wrap=True)
    return table


def money(amount: str | None) -> str:
    return "–" if amount is None else f"{float(amount):,.2f}"


def percent(share: float | None) -> str:
    return "–" if share is None else f"{share:.2%}"


def number(value: Any) -> str:
    if value is None:
        return "–"
    return f"{value:,.2f}" if isinstance(value, float) else f"{value:,}"
