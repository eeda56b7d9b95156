"""The paper broker conforms."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from redis.asyncio import Redis
from sqlalchemy.ext.asyncio import AsyncEngine

from alphapanda.brokers.paper.adapter import REFUSED_TOKEN, PaperBroker
from alphapanda.brokers.paper.rehearsal import PaperFault, arm_fault, expire_session
from alphapanda.domain.execution import OrderReport
from alphapanda.ledger.instruments import save_instruments
from alphapanda.live.quotes import Tick, publish
from tests.integration.brokers.conformance import BrokerConformance
from tests.integration.brokers.conformance_desk import ConformanceDesk, Traded, Trouble
from tests.integration.brokers.conftest import Open, Opened, until
from tests.unit.brokers.paper_desk import FUTURE, PAPER, START

FAULTS = {
    Trouble.LOST_REQUEST: PaperFault.LOSE_REQUEST,
    Trouble.LOST_REPLY: PaperFault.LOSE_REPLY,
    Trouble.HIDDEN: PaperFault.HIDE_FROM_BOOK,
    Trouble.UNREACHABLE: PaperFault.UNAVAILABLE,
    Trouble.REJECTED_BY_EXCHANGE: PaperFault.REJECT_NEXT,
    Trouble.BOOK_UNAVAILABLE: PaperFault.BOOK_UNAVAILABLE,
}
HIDDEN_FOR = timedelta(minutes=10)


class PaperDesk(ConformanceDesk):
    name = "paper"
    share = Traded("NSE", "INFY", 1, Decimal(1500))
    future = Traded("NFO", FUTURE.tradingsymbol, 65, Decimal(24_000))
    refused_request_token = REFUSED_TOKEN
    cannot = {  # noqa: RUF012 - declared as such
        Trouble.LOST_CHANGE_REPLY: "its changes are one statement in the same database",
        Trouble.TOO_MANY_REQUESTS: "it has no limits",
        Trouble.NOT_PERMITTED: "it has no plans and no addresses",
    }

    def __init__(self, redis: "Redis", engine: AsyncEngine) -> None:
        self.updates: list[OrderReport] = []
        self._clock = START - datetime.now(UTC)  # always the middle of one trading day
        self._redis = redis
        self._engine = engine

    async def on(self, opened: Opened) -> None:
        self.adapter: PaperBroker = opened.broker
        self.updates = opened.updates
        opened.start()
        for of in (self.share, self.future):
            await self.trade(of.price, of=of)

    def now(self) -> datetime:
        return datetime.now(UTC) + self._clock

    async def trade(self, price: Decimal | int | str, *, volume: int | None = None, of: Traded | None = None) -> None:
        key = (of or self.share).key

        async def is_heard() -> bool:  # what is published before the exchange has subscribed is lost
            at = self.now().timestamp()
            tick = Tick(key, float(price), at, at, volume)
            await publish(self._redis, [tick])
            for _ in range(20):
                if self.adapter._matcher.quote(key) == tick:
                    return True
                await asyncio.sleep(0.005)
            return False

        await until(is_heard)

    async def provoke(self, trouble: Trouble) -> None:
        if trouble is Trouble.DAY_ENDS:
            self._clock += timedelta(days=1)
            return
        count = 1000 if trouble is Trouble.BOOK_UNAVAILABLE else 1
        await arm_fault(self._engine, PAPER, FAULTS[trouble], count, hide_s=HIDDEN_FOR.total_seconds())

    async def calm(self) -> None:
        await arm_fault(self._engine, PAPER, PaperFault.BOOK_UNAVAILABLE, 0)
        self._clock += HIDDEN_FOR

    async def kill_session(self) -> None:
        await expire_session(self._engine, PAPER)

    def request_token(self) -> str:
        return "any"


@pytest.fixture
async def desk(open_broker: Open, ledger_engine: AsyncEngine, redis: "Redis") -> AsyncIterator[ConformanceDesk]:
    async with ledger_engine.begin() as connection:
        await save_instruments(connection, [FUTURE], source="test", as_of=date(2026, 11, 19))
    made = PaperDesk(redis, ledger_engine)
    await made.on(await open_broker(now=made.now, starting_cash=Decimal(100_000_000)))
    await made.adapter.session()  # opens the account
    yield made


class TestPaper(BrokerConformance):
    pass
