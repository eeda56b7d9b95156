"""Placing an order: the form it is sent in, one try, and what its answer proves."""

from collections.abc import Callable
from datetime import datetime

import structlog

from alphapanda.brokers.protocol import BrokerError
from alphapanda.brokers.zerodha import terms
from alphapanda.brokers.zerodha.client import KiteClient
from alphapanda.brokers.zerodha.freeze import FreezeTable
from alphapanda.brokers.zerodha.reading import Reads
from alphapanda.brokers.zerodha.slices import Shortfall, Sliced, order_id_of, sliced_of
from alphapanda.domain.calendar import trading_date
from alphapanda.domain.execution import OrderRequest, Placement
from alphapanda.live.limits import CallKind
from alphapanda.settings import ZerodhaSettings

_log = structlog.get_logger(__name__)


class Placing:
    def __init__(
        self, client: KiteClient, reads: Reads, settings: ZerodhaSettings, now: Callable[[], datetime]
    ) -> None:
        self._client = client
        self._reads = reads
        self._protection = settings.market_protection
        self._freeze = FreezeTable.packaged()
        self._now = now

    async def place(self, request: OrderRequest) -> Placement:
        call = terms.placement(
            request, protection=self._protection, freeze=self._freeze, day=trading_date(self._now())
        )  # fmt: skip
        kind = CallKind.EXIT if request.is_exit else CallKind.PLACE
        if not call.sliced:
            order_id = await self._client.order_call(
                kind, lambda kite: order_id_of(kite.place_order(**call.arguments)), send_before=request.send_before
            )
            return Placement(broker_order_id=order_id)
        sliced = await self._client.order_call(
            kind, lambda kite: sliced_of(kite.place_autoslice_order(**call.arguments)), send_before=request.send_before
        )
        return await self._told(request, sliced)

    async def _told(self, request: OrderRequest, sliced: Sliced) -> Placement:
        error = sliced.error()
        if error is not None:
            raise error
        if not sliced.refused:
            return Placement(broker_order_id=sliced.broker_order_id)
        _log.warning(
            "the broker refused a part of a sliced order",
            broker_order_id=sliced.broker_order_id, refused=sliced.refused, in_doubt=sliced.in_doubt,
            said=sliced.message,
        )  # fmt: skip
        if sliced.in_doubt:  # how much is missing is then for the book to show
            return Placement(broker_order_id=sliced.broker_order_id)
        self._reads.remember(
            sliced.broker_order_id, Shortfall(request.terms.quantity, sliced.placed, sliced.message)
        )  # fmt: skip
        try:
            report = await self._reads.by_tag(request.tag)
        except BrokerError:
            report = None  # it is placed all the same; the book is read again soon
        return Placement(broker_order_id=sliced.broker_order_id, report=report)
