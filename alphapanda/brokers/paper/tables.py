"""The paper exchange's own tables: what a real broker would keep on its side. All keyed by broker.

`version` of an account moves with every change of its book; rows carry the version that wrote them, so another
process can read just what changed since it last looked.
"""

from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import BigInteger, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from alphapanda.ledger.models import Base


class PaperAccountRow(Base):
    """One account per broker. `last_number` counts order and trade ids; `armed_faults` is fault -> how often."""

    __tablename__ = "paper_accounts"

    broker: Mapped[str] = mapped_column(primary_key=True)
    version: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    cash: Mapped[Decimal]
    last_number: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    armed_faults: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'"))
    session: Mapped[str]
    session_since: Mapped[datetime]


class PaperOrderRow(Base):
    """See `records.PaperOrder`."""

    __tablename__ = "paper_orders"

    broker: Mapped[str] = mapped_column(primary_key=True)
    broker_order_id: Mapped[str] = mapped_column(primary_key=True)
    version: Mapped[int] = mapped_column(BigInteger)
    tag: Mapped[str | None]
    exchange: Mapped[str]
    tradingsymbol: Mapped[str]
    side: Mapped[str]
    product: Mapped[str]
    order_type: Mapped[str]
    validity: Mapped[str]
    quantity: Mapped[int] = mapped_column(BigInteger)
    price: Mapped[Decimal | None]
    trigger_price: Mapped[Decimal | None]
    status: Mapped[str]
    margin: Mapped[Decimal | None]
    placed_at: Mapped[datetime]
    active_from: Mapped[datetime]
    updated_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    filled_quantity: Mapped[int] = mapped_column(BigInteger)
    turnover: Mapped[Decimal]
    message: Mapped[str]
    hidden_until: Mapped[datetime | None]

    __table_args__ = (
        Index("ix_paper_orders_tag", "broker", "tag"),  # not unique: a broker takes the same tag twice
        Index("ix_paper_orders_version", "broker", "version"),
        Index("ix_paper_orders_resting", "broker", postgresql_where=text("status IN ('OPEN', 'TRIGGER_PENDING')")),
    )


class PaperTradeRow(Base):
    """See `records.PaperTrade`."""

    __tablename__ = "paper_trades"

    broker: Mapped[str] = mapped_column(primary_key=True)
    trade_id: Mapped[str] = mapped_column(primary_key=True)
    broker_order_id: Mapped[str]
    exchange: Mapped[str]
    tradingsymbol: Mapped[str]
    side: Mapped[str]
    product: Mapped[str]
    quantity: Mapped[int] = mapped_column(BigInteger)
    price: Mapped[Decimal]
    charges: Mapped[Decimal]
    traded_at: Mapped[datetime]
    tick: Mapped[str]

    __table_args__ = (Index("ix_paper_trades_order", "broker", "broker_order_id"),)


class PaperPositionRow(Base):
    """See `records.PaperPosition`."""

    __tablename__ = "paper_positions"

    broker: Mapped[str] = mapped_column(primary_key=True)
    exchange: Mapped[str] = mapped_column(primary_key=True)
    tradingsymbol: Mapped[str] = mapped_column(primary_key=True)
    product: Mapped[str] = mapped_column(primary_key=True)
    version: Mapped[int] = mapped_column(BigInteger)
    quantity: Mapped[int] = mapped_column(BigInteger)
    cost: Mapped[Decimal]
    realised: Mapped[Decimal]
    charges: Mapped[Decimal]
    margin: Mapped[Decimal]
