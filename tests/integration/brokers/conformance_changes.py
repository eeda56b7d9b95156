"""Conformance: what can still be changed is changed, and nothing else is."""

from decimal import Decimal

import pytest

from alphapanda.brokers.protocol import BrokerRejected
from alphapanda.domain.execution import BookStatus, OrderChange
from alphapanda.domain.ids import Tag
from alphapanda.domain.vocabulary import OrderType, SessionState
from tests.integration.brokers.conformance_desk import ConformanceDesk
from tests.integration.brokers.conformance_orders import STOP_M, check

NOBODY = "999999999999999"


class ChangeConformance:
    """Modifying, cancelling; orders that have ended, orders that never were."""

    async def test_a_new_price_takes_effect(self, desk: ConformanceDesk) -> None:
        resting = await desk.rest()
        await desk.adapter.modify(resting.broker_order_id, OrderChange(price=Decimal("1410.10")))
        moved = await desk.report(resting.broker_order_id)
        assert (moved.status, moved.price, moved.quantity) == (BookStatus.OPEN, Decimal("1410.10"), 10)
        await desk.adapter.modify(resting.broker_order_id, OrderChange(price=Decimal(1600)))
        filled = await desk.until_filled(resting.broker_order_id, 10)
        assert filled.average_price == Decimal(1500)
        check(filled)

    async def test_a_new_quantity_is_the_orders_total(self, desk: ConformanceDesk) -> None:
        resting = await desk.rest(price="1490")
        await desk.trade("1490", volume=4)
        await desk.until_filled(resting.broker_order_id, 4)
        with pytest.raises(BrokerRejected):
            await desk.adapter.modify(resting.broker_order_id, OrderChange(quantity=3))
        await desk.adapter.modify(resting.broker_order_id, OrderChange(quantity=12))
        changed = await desk.report(resting.broker_order_id)
        assert (changed.status, changed.quantity, changed.filled_quantity) == (BookStatus.OPEN, 12, 4)
        await desk.trade("1490")
        check(await desk.until_filled(resting.broker_order_id, 12))

    async def test_a_new_trigger_and_a_new_kind_take_effect(self, desk: ConformanceDesk) -> None:
        stop, limit = await desk.place(**STOP_M), await desk.rest()
        await desk.adapter.modify(stop.broker_order_id, OrderChange(trigger_price=Decimal(1485)))
        moved = await desk.report(stop.broker_order_id)
        assert (moved.status, moved.trigger_price) == (BookStatus.TRIGGER_PENDING, Decimal(1485))
        await desk.adapter.modify(limit.broker_order_id, OrderChange(order_type=OrderType.MARKET))
        assert (await desk.until_filled(limit.broker_order_id, 10)).status is BookStatus.COMPLETE

    async def test_a_cancel_ends_the_order_with_what_it_has(self, desk: ConformanceDesk) -> None:
        untouched, touched = await desk.rest(), await desk.rest(price="1490")
        await desk.trade("1490", volume=4)
        await desk.until_filled(touched.broker_order_id, 4)
        for resting, filled in ((untouched, 0), (touched, 4)):
            ended = await desk.cancelled(resting)
            assert (ended.status, ended.filled_quantity) == (BookStatus.CANCELLED, filled)
            check(ended)

    async def test_what_has_ended_is_neither_cancelled_nor_modified(self, desk: ConformanceDesk) -> None:
        filled, cancelled = await desk.place(), await desk.rest()
        await desk.cancelled(cancelled)
        for ended in (filled, cancelled):
            before = await desk.report(ended.broker_order_id)
            with pytest.raises(BrokerRejected):
                await desk.adapter.cancel(ended.broker_order_id)
            with pytest.raises(BrokerRejected):
                await desk.adapter.modify(ended.broker_order_id, OrderChange(quantity=20))
            assert await desk.report(ended.broker_order_id) == before

    @pytest.mark.parametrize("number", [NOBODY, "", "../../session/token"])
    async def test_an_order_that_does_not_exist_is_absent(self, desk: ConformanceDesk, number: str) -> None:
        await desk.place()
        assert await desk.adapter.order(number) is None
        assert await desk.adapter.find_by_tag(Tag("NOSUCHTAGATALL000000")) is None
        with pytest.raises(BrokerRejected):
            await desk.adapter.cancel(number)
        with pytest.raises(BrokerRejected):
            await desk.adapter.modify(number, OrderChange(quantity=20))
        assert (await desk.adapter.session()).state is SessionState.ACTIVE
