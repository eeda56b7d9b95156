"""The report as one HTML page that needs nothing else: plotly's script is in it, and nothing is loaded."""

import html
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from alphapanda.backtest.candles import Candle
from alphapanda.backtest.rendering import Document
from alphapanda.backtest.terminal import troubles
from alphapanda.domain.calendar import IST

MOST_CHARTS = 24
"""Instruments drawn, the most traded first: a page of thousands would not open."""

_POLICY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:"

_STYLE = """
:root { color-scheme: light dark; --line: #8884; }
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 1200px; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin-bottom: .2rem } h2 { font-size: 1.15rem; margin-top: 2rem }
p.about { opacity: .75; margin-top: 0 } p.trouble { color: #c0392b }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; width: 100% }
th, td { text-align: right; padding: .3rem .6rem; border-bottom: 1px solid var(--line); white-space: nowrap }
th:first-child, td:first-child { text-align: left }
dl { display: grid; grid-template-columns: repeat(auto-fill, minmax(190px, 1fr)); gap: .6rem }
dl div { border: 1px solid var(--line); border-radius: 6px; padding: .5rem .7rem }
dt { opacity: .7; font-size: .85rem } dd { margin: 0; font-size: 1.1rem; font-variant-numeric: tabular-nums }
.chart { background: #fff; border: 1px solid var(--line); border-radius: 6px }
.scroll { overflow-x: auto; max-height: 480px }
select { font: inherit; padding: .2rem }
"""

_SCRIPT = """
const data = JSON.parse(document.getElementById('data').textContent);
const quiet = {displaylogo: false, responsive: true};
const breaks = data.breaks;
const base = {margin: {l: 70, r: 20, t: 20, b: 40}, hovermode: 'x unified', showlegend: false};
if (document.getElementById('equity')) Plotly.newPlot('equity', [
  {x: data.equity.at, y: data.equity.value, type: 'scatter', mode: 'lines', name: 'equity', line: {color: '#1769aa'}},
  {x: data.equity.at, y: data.equity.drawdown, type: 'scatter', mode: 'lines', name: 'drawdown', yaxis: 'y2',
   fill: 'tozeroy', line: {color: '#c0392b'}, hovertemplate: '%{y:.3%}'},
  {x: data.equity.at, y: data.equity.exposure, type: 'scatter', mode: 'lines', name: 'exposure', yaxis: 'y3',
   fill: 'tozeroy', line: {color: '#7f8c8d'}},
], {...base, height: 560, xaxis: {rangebreaks: breaks, anchor: 'y3'},
    yaxis: {domain: [.5, 1], title: {text: 'equity, Rs'}},
    yaxis2: {domain: [.24, .46], title: {text: 'drawdown'}, tickformat: '.2%'},
    yaxis3: {domain: [0, .2], title: {text: 'exposure, Rs'}}}, quiet);
const picked = document.getElementById('instrument');
function draw() {
  const one = data.instruments[picked.value];
  const marks = (side, symbol, color) => ({x: one[side].at, y: one[side].price, text: one[side].text, type: 'scatter',
    mode: 'markers', name: side, marker: {symbol, color, size: 9, line: {width: 1, color: '#fff'}},
    hovertemplate: '%{text}<extra></extra>'});
  Plotly.react('candles', [{...one.candles, type: 'candlestick', name: picked.value},
    marks('BUY', 'triangle-up', '#137333'), marks('SELL', 'triangle-down', '#b3261e')],
    {...base, hovermode: 'closest', height: 520, xaxis: {rangebreaks: breaks, rangeslider: {visible: true}},
     yaxis: {title: {text: 'Rs'}}}, quiet);
}
if (picked) { picked.addEventListener('change', draw); draw(); }
if (data.heat) Plotly.newPlot('heat', [{...data.heat, type: 'heatmap', colorscale: 'RdYlGn', zmid: data.heat.middle,
  hovertemplate: data.heat.names[0] + ' %{x}, ' + data.heat.names[1] + ' %{y}: %{z}<extra></extra>'}],
  {...base, hovermode: 'closest', height: 480, xaxis: {title: {text: data.heat.names[0]}, type: 'category'},
   yaxis: {title: {text: data.heat.names[1]}, type: 'category'}}, quiet);
"""


def page(document: Document, candles: Mapping[str, Sequence[Candle]]) -> str:
    """The HTML of a run's report; times in it are Indian."""
    summary = document["summary"]
    traded = Counter(f"{fill['exchange']}:{fill['tradingsymbol']}" for fill in document["fills"])
    drawn = [name for name, _ in sorted(traded.items(), key=lambda item: (-item[1], item[0]))][:MOST_CHARTS]
    data = {
        "equity": _curve(document["equity"]),
        "instruments": {name: _chart(name, candles.get(name, ()), document["fills"]) for name in drawn},
        "breaks": _breaks(candles),
    }
    title = "Backtest of " + ", ".join(item["strategy_id"] for item in summary["strategies"])
    options = "".join(f"<option>{html.escape(name)}</option>" for name in drawn)
    charts = (
        f'<h2>Trades</h2><p><select id="instrument" aria-label="Instrument">{options}</select></p>'
        '<div id="candles" class="chart"></div>'
        if drawn
        else "<h2>Trades</h2><p>Nothing was traded.</p>"
    )
    body = "".join(
        (
            _about(summary),
            "".join(f'<p class="trouble">{html.escape(line)}</p>' for line in troubles(summary)),
            _facts(summary),
            '<h2>Equity, drawdown, exposure</h2><div id="equity" class="chart"></div>',
            charts,
            _parts("Per strategy", "strategy", summary["per_strategy"]),
            _parts("Per instrument", "instrument", summary["per_instrument"]),
            _charges(summary["charges"]),
            _orders(summary["orders"]),
            _trades(document["trades"]),
        )
    )
    return assemble(title, body, data)


def assemble(title: str, body: str, data: Document) -> str:
    """A whole page: `body` is HTML, `data` what its charts draw."""
    from plotly.offline import get_plotlyjs  # type: ignore[import-untyped]  # noqa: PLC0415 - slow; a page needs it

    # A "</script>" inside the data would end the element it stands in.
    embedded = json.dumps(data, separators=(",", ":"), ensure_ascii=False).replace("<", "\\u003c")
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width"><meta http-equiv="Content-Security-Policy" '
        f'content="{_POLICY}"><style>{_STYLE}</style></head><body><h1>{html.escape(title)}</h1>{body}'
        f'<script type="application/json" id="data">{embedded}</script>'
        f"<script>{get_plotlyjs()}</script><script>{_SCRIPT}</script></body></html>\n"
    )


def table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    head = "".join(f"<th>{html.escape(name)}</th>" for name in columns)
    lines = "".join("<tr>" + "".join(f"<td>{_text(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table></div>'


def _text(value: Any) -> str:
    return "–" if value is None else html.escape(str(value))


def _percent(value: float | None) -> str | None:
    return None if value is None else f"{value:.2%}"


def _about(summary: Document) -> str:
    told = "; ".join(
        f"{item['strategy_id']} v{item['version']} ({', '.join(f'{k}={v}' for k, v in item['parameters'].items())})"
        for item in summary["strategies"]
    )
    when = f"{_ist(summary['from'])} to {_ist(summary['to'])} IST" if summary["from"] else "no ticks"
    line = f"{told} · {len(summary['instruments'])} instruments · {when} · {summary['days']} days"
    return f'<p class="about">{html.escape(line)} · {summary["ticks"]:,} ticks</p>'


def _facts(summary: Document) -> str:
    fall, trades, pnl = summary["max_drawdown"] or {}, summary["trades"], summary["pnl"]
    facts = {
        "net result, Rs": pnl["net"],
        "gross result, Rs": pnl["gross"],
        "charges, Rs": pnl["charges"],
        "return": _percent(summary["return"]),
        "CAGR": _percent(summary["cagr"]),
        "Sharpe": summary["sharpe"],
        "Sortino": summary["sortino"],
        "max drawdown, Rs": fall.get("amount"),
        "max drawdown": _percent(fall.get("share")),
        "trades closed": trades["closed"],
        "win rate": _percent(trades["win_rate"]),
        "profit factor": trades["profit_factor"],
        "turnover, Rs": summary["turnover"],
        "average exposure": _percent(summary["exposure"]["average"]),
        "time in market": _percent(summary["exposure"]["time_in_market"]),
        "ending equity, Rs": summary["ending_equity"],
    }
    return (
        "<dl>"
        + "".join(f"<div><dt>{name}</dt><dd>{_text(value)}</dd></div>" for name, value in facts.items())
        + "</dl>"
    )


def _parts(title: str, name: str, parts: Sequence[Document]) -> str:
    columns = (name, "net", "gross", "charges", "turnover", "trades", "win rate", "profit factor", "best", "worst")
    rows = [
        (
            part[name], part["pnl"]["net"], part["pnl"]["gross"], part["pnl"]["charges"], part["turnover"],
            part["trades"]["closed"], _percent(part["trades"]["win_rate"]), part["trades"]["profit_factor"],
            part["trades"]["best"], part["trades"]["worst"],
        )
        for part in parts
    ]  # fmt: skip
    return f"<h2>{title}</h2>{table(columns, rows)}"


def _charges(charges: Document) -> str:
    return f"<h2>Charges</h2>{table(('kind', 'Rs'), list(charges.items()))}"


def _orders(orders: Document) -> str:
    rows = [*orders["by_state"].items(), *((f"refused: {why}", count) for why, count in orders["refused_for"].items())]
    return f"<h2>Orders</h2>{table(('state', 'orders'), rows)}"


def _trades(trades: Sequence[Document]) -> str:
    columns = ("opened", "closed", "strategy", "instrument", "side", "quantity", "entry", "exit", "charges", "net")
    rows = [
        (
            _ist(trade["opened_at"]), _ist(trade["closed_at"]), trade["strategy_id"], trade["instrument"],
            trade["side"], trade["quantity"], trade["entry_price"], trade["exit_price"], trade["charges"], trade["net"],
        )
        for trade in trades
    ]  # fmt: skip
    return f"<h2>All trades</h2>{table(columns, rows)}"


def _curve(points: Sequence[Document]) -> Document:
    return {
        "at": [_ist(point["at"]) for point in points],
        "value": [float(point["equity"]) for point in points],
        "drawdown": [None if point["drawdown"] is None else -point["drawdown"] for point in points],
        "exposure": [float(point["exposure"]) for point in points],
    }


def _chart(name: str, candles: Sequence[Candle], fills: Sequence[Document]) -> Document:
    marks: dict[str, Document] = {side: {"at": [], "price": [], "text": []} for side in ("BUY", "SELL")}
    for fill in fills:
        if f"{fill['exchange']}:{fill['tradingsymbol']}" == name:
            side = marks[fill["side"]]
            when = _ist(fill["traded_at"])
            side["at"].append(when)
            side["price"].append(float(fill["price"]))
            side["text"].append(f"{fill['side']} {fill['quantity']} @ {fill['price']} · {fill['strategy_id']} · {when}")
    columns = {
        "x": [f"{datetime.fromtimestamp(candle.start, IST):%Y-%m-%d %H:%M}" for candle in candles],
        **{side: [getattr(candle, side) for candle in candles] for side in ("open", "high", "low", "close")},
    }
    return {"candles": columns, **marks}


def _breaks(candles: Mapping[str, Sequence[Candle]]) -> list[Document]:
    """What the axis leaves out: weekends, and the nights where everything lies within the cash market's hours."""
    clocks = [datetime.fromtimestamp(candle.start, IST) for found in candles.values() for candle in found]
    if not clocks:
        return []
    breaks: list[Document] = []
    if all(clock.weekday() < 5 for clock in clocks):
        breaks.append({"bounds": ["sat", "mon"]})
    hours = [clock.hour + clock.minute / 60 for clock in clocks]
    if min(hours) >= 9 and max(hours) < 15.5:
        breaks.append({"bounds": [15.5, 9.25 if min(hours) >= 9.25 else 9], "pattern": "hour"})
    return breaks


def _ist(moment: str | None) -> str | None:
    return None if moment is None else f"{datetime.fromisoformat(moment).astimezone(IST):%Y-%m-%d %H:%M:%S}"
