"""The benchmark of the backtest runs, and does what it says it measures."""

from workers.bench.backtest import Plan, run, ticks


def test_the_benchmark_gives_every_figure() -> None:
    said: list[str] = []
    found = run(Plan(ticks=1000, rounds=1, sizes=(20, 40)), said.append)
    assert set(found["order_cost_us"]) == {"20", "40"}
    rates = ("noop_ticks_per_second", "sma_ticks_per_second", "orders_per_second", "exchange_orders_per_second")
    assert all(found[name] > 0 for name in rates)
    assert found["sma_orders"] > 5
    assert len(said) == 3


def test_its_ticks_are_the_same_on_every_run() -> None:
    assert ticks(500) == ticks(500)
    assert len({tick.last_price for tick in ticks(500)}) > 10
