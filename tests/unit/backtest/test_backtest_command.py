"""`alphapanda backtest` as people run it: files in, a table, JSON or a page out; bad input is named."""

import gzip
import json
import re
from decimal import Decimal
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from alphapanda.cli import app
from alphapanda.domain.errors import AlphaPandaError

HEADER = "timestamp,open,high,low,close,volume\n"
OPTIONS = ("--strategy", "sma-cross", "--param", "fast=2", "--param", "slow=5", "--param", "quantity=3")


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Three hours of two symbols that go up and down."""
    folder = tmp_path / "minutes"
    folder.mkdir()
    for symbol, swing in (("INFY", 17), ("SBIN", 11)):
        rows = []
        for minute in range(180):
            price = 1000 + abs(minute % (2 * swing) - swing)
            clock = f"2024-05-21 {9 + (15 + minute) // 60:02d}:{(15 + minute) % 60:02d}:00+05:30"
            rows.append(f"{clock},{price},{price + 1},{price - 1},{price},4000\n")
        with gzip.open(folder / f"{symbol}.csv.gz", "wt") as file:
            file.write(HEADER + "".join(rows))
    return folder


def said(*arguments: str) -> str:
    result = CliRunner().invoke(app, ["backtest", *arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def document(*arguments: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(said(*arguments, "--json"))
    return found


def test_the_json_has_fills_orders_equity_and_a_summary_that_agree(data: Path) -> None:
    found = document(*OPTIONS, "--data", str(data))
    assert {"fills", "orders", "equity", "summary"} <= found.keys()
    summary, fills, orders = found["summary"], found["fills"], found["orders"]
    assert len(fills) > 10
    assert summary["orders"] == {"made": len(orders), "by_state": {"FILLED": len(orders)}, "refused_for": {}}
    assert {fill["order_id"] for fill in fills} == {order["order_id"] for order in orders}
    assert summary["ticks"] == 2 * 4 * 180
    assert summary["instruments"] == ["NSE:INFY", "NSE:SBIN"]
    assert summary["strategies"][0]["parameters"]["bar_seconds"] == 60
    charges = sum(Decimal(fill["charges"]) for fill in fills)
    assert Decimal(summary["charges"]["total"]) == Decimal(summary["pnl"]["charges"]) == charges > 0
    ending = Decimal(summary["starting_cash"]) + Decimal(summary["pnl"]["net"])
    assert Decimal(summary["ending_equity"]) == Decimal(found["equity"][-1]["equity"]) == ending
    for name in ("per_strategy", "per_instrument"):
        assert sum(Decimal(part["pnl"]["net"]) for part in summary[name]) == Decimal(summary["pnl"]["net"])
    assert (summary["sharpe"], summary["cagr"]) == (None, None)  # one day tells neither


def test_the_same_data_gives_the_same_bytes_in_whatever_order_it_is_named(data: Path) -> None:
    one, two = (str(data / name) for name in ("INFY.csv.gz", "SBIN.csv.gz"))
    whole = said(*OPTIONS, "--data", str(data), "--json")
    assert said(*OPTIONS, "--data", two, one, "--json") == whole
    assert said(*OPTIONS, "--data", one, "--data", two, "--json") == whole


def test_the_table_shows_the_result_and_its_parts(data: Path) -> None:
    shown = said(*OPTIONS, "--data", str(data))
    for word in ("net result", "max drawdown", "win rate", "per strategy", "NSE:INFY", "NSE:SBIN", "brokerage"):
        assert word in shown


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.ids: set[str] = set()
        self.policy = ""
        self.data = ""
        self._reading = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.loads += [value for name in ("src", "href") if (value := given.get(name))]
        if given.get("id"):
            self.ids.add(str(given["id"]))
        if given.get("http-equiv") == "Content-Security-Policy":
            self.policy = given.get("content") or ""
        self._reading = tag == "script" and given.get("type") == "application/json"

    def handle_data(self, data: str) -> None:
        if self._reading:
            self.data += data

    def handle_endtag(self, tag: str) -> None:
        self._reading = False


def test_the_page_holds_everything_and_loads_nothing(data: Path, tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    said(*OPTIONS, "--data", str(data), "--html", str(file))
    page = _Page()
    page.feed(file.read_text())
    assert page.loads == []
    assert page.policy.startswith("default-src 'none'")
    assert {"equity", "candles", "instrument", "data"} <= page.ids
    drawn = json.loads(page.data)
    infy = drawn["instruments"]["NSE:INFY"]
    assert len(infy["candles"]["x"]) == 12  # quarter hours
    assert infy["candles"]["x"][0] == "2024-05-21 09:15"
    fills = [f for f in document(*OPTIONS, "--data", str(data))["fills"] if f["tradingsymbol"] == "INFY"]
    assert len(infy["BUY"]["at"]) + len(infy["SELL"]["at"]) == len(fills)
    assert len(drawn["equity"]["at"]) == len(drawn["equity"]["value"]) > 30
    assert "Plotly.newPlot" in file.read_text()
    assert not re.search(r"<script[^>]+src", file.read_text())


def test_several_strategies_run_side_by_side_each_with_its_own_parameters(data: Path) -> None:
    found = document(
        "--strategy", "sma-cross", "--strategy", "momentum-breakout", "--param", "sma-cross.quantity=2",
        "--param", "momentum-breakout.quantity=5", "--data", str(data),
    )  # fmt: skip
    quantities = {(order["strategy_id"], order["quantity"]) for order in found["orders"]}
    assert quantities == {("sma-cross", 2), ("momentum-breakout", 5)}
    assert [part["strategy"] for part in found["summary"]["per_strategy"]] == ["momentum-breakout", "sma-cross"]


def test_the_desks_settings_are_the_backtests(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALPHAPANDA_RISK__MAX_ORDER_QUANTITY", "2")
    monkeypatch.setenv("ALPHAPANDA_PAPER__STARTING_CASH", "5000")
    summary = document(*OPTIONS, "--data", str(data))["summary"]
    assert summary["starting_cash"] == "5000.00"
    assert "RISK_ORDER_QUANTITY" in summary["orders"]["refused_for"]


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (("--strategy", "no-such", "--data", "minutes"), "no-such"),
        (("--strategy", "sma-cross", "--param", "fast=x", "--data", "minutes"), "fast"),
        (("--strategy", "sma-cross", "--param", "fast", "--data", "minutes"), "must look like"),
        (("--strategy", "sma-cross", "--param", "other.fast=1", "--data", "minutes"), "other"),
        (("--strategy", "sma-cross", "--strategy", "momentum-breakout", "--param", "quantity=1", "--data", "minutes"),
         "must name its strategy"),
        (("--strategy", "sma-cross", "--data", "nowhere"), "nowhere"),
        (("--strategy", "sma-cross", "--sweep", "fast=", "--data", "minutes"), "has no value"),
        (("--strategy", "sma-cross", "--sweep", "fast=9,8", "--sweep", "fast=1", "--data", "minutes"), "given twice"),
        (("--strategy", "sma-cross", "--sweep", "fast=90,91", "--data", "minutes"), "must be smaller than slow"),
        (("--strategy", "sma-cross", "--data", "empty"), "holds no .csv"),
        (("--strategy", "sma-cross", "--data", "minutes", "--html", "no/folder/r.html"), "no/folder/r.html"),
    ],
)  # fmt: skip
def test_bad_input_is_named(data: Path, tmp_path: Path, arguments: tuple[str, ...], names: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(AlphaPandaError, match=re.escape(names)):
        CliRunner().invoke(app, ["backtest", *arguments], catch_exceptions=False)


def test_a_bad_row_ends_the_backtest_and_names_its_line(tmp_path: Path) -> None:
    file = tmp_path / "INFY.csv"
    file.write_text(HEADER + "2024-05-21 09:15:00+05:30,1,1,1,1,4\n2024-05-21 09:16:00+05:30,2,1,1,1,4\n")
    with pytest.raises(AlphaPandaError, match="line 3"):
        CliRunner().invoke(app, ["backtest", *OPTIONS, "--data", str(file)], catch_exceptions=False)


def test_a_sweep_gives_each_combination_the_summary_it_has_alone(data: Path, tmp_path: Path) -> None:
    page_file = tmp_path / "sweep.html"
    axes = ("--sweep", "fast=2,3,9", "--sweep", "slow=5,8", "--jobs", "2")
    found = document("--strategy", "sma-cross", "--data", str(data), *axes, "--html", str(page_file))
    assert found["sweep"] == {"fast": [2, 3, 9], "slow": [5, 8]}
    values = [tuple(run["parameters"].values()) for run in found["runs"]]
    assert values == [(2, 5), (2, 8), (3, 5), (3, 8), (9, 5), (9, 8)]
    refused = [run["parameters"]["fast"] for run in found["runs"] if run["summary"] is None]
    assert refused == [9, 9]
    assert all("must be smaller than slow" in run["refused"] for run in found["runs"][-2:])
    alone = document(
        "--strategy", "sma-cross", "--param", "fast=3", "--param", "slow=8", "--data", str(data)
    )["summary"]  # fmt: skip
    assert found["runs"][3]["summary"] == alone
    page = _Page()
    page.feed(page_file.read_text())
    assert page.loads == []
    heat = json.loads(page.data)["heat"]
    assert (heat["x"], heat["y"], heat["names"]) == (["2", "3", "9"], ["5", "8"], ["fast", "slow"])
    assert heat["z"][1][1] == float(alone["pnl"]["net"])
    assert [row[2] for row in heat["z"]] == [None, None]


def test_a_strategy_whose_instrument_is_not_in_the_data_is_shown_with_its_problem(data: Path, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    shown = said("--strategy", "pairs", "--data", str(data), "--html", str(page))
    assert "the feed has no such instrument" in shown
    assert "suspended on NSE:HDFCBANK, NSE:ICICIBANK" in shown
    assert "pairs: NSE:" in page.read_text().partition("<dl>")[0]
    assert document("--strategy", "pairs", "--data", str(data))["summary"]["suspended"].keys() == {"pairs"}
