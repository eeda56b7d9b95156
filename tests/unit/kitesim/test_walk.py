"""The simulator's own prices."""

from decimal import Decimal

from alphapanda.kitesim.account import Account
from alphapanda.kitesim.settings import SimSettings
from alphapanda.kitesim.walk import Walk


def walked(seed: int) -> list[tuple[str, Decimal]]:
    account = Account(SimSettings(seed=seed, walk_ticks_per_second=1))
    walk = Walk(account)
    seen = []
    for slot in range(1_700_000_000, 1_700_000_005):
        walk.step(slot)
        seen += [(quote.instrument.key, quote.last) for quote in account.exchange.market]
    return seen


def test_the_same_seed_walks_the_same_way() -> None:
    assert walked(3) == walked(3)
    assert walked(3) != walked(4)
    assert len({key for key, _ in walked(3)}) >= 10


def test_every_price_is_on_its_grid() -> None:
    account = Account(SimSettings(walk_ticks_per_second=1))
    Walk(account).step(1_700_000_000)
    for quote in account.exchange.market:
        assert quote.last % quote.instrument.tick_size == 0
        assert quote.bid <= quote.last <= quote.ask
