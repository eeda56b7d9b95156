"""The ledger's tables. Money and prices are NUMERIC, times are timestamptz in UTC.

Every row born after the fork carries its `broker`. Rows are written by the modules beside this one, always inside a
transaction that the use case owns; each write may run twice and changes nothing the second time.
"""

from datetime import date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import ARRAY, BigInteger, ForeignKey, Identity, Index, MetaData, Numeric, Text, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

RUPEES = Numeric(20, 4)
MOMENT = TIMESTAMP(timezone=True)


class Base(DeclarativeBase):
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {str: Text, Decimal: RUPEES, datetime: MOMENT, dict[str, Any]: JSONB, list[str]: ARRAY(Text)}  # noqa: RUF012


class Terms:
    """Columns of `OrderTerms`, shared by signals and orders."""

    exchange: Mapped[str]
    tradingsymbol: Mapped[str]
    side: Mapped[str]
    quantity: Mapped[int] = mapped_column(BigInteger)
    order_type: Mapped[str]
    product: Mapped[str]
    price: Mapped[Decimal | None]
    trigger_price: Mapped[Decimal | None]
    validity: Mapped[str]
    validity_minutes: Mapped[int | None]
    variety: Mapped[str] = mapped_column(server_default=text("'regular'"))
    iceberg_legs: Mapped[int | None]


class SignalRow(Terms, Base):
    """A signal as accepted, before it forks: no single broker's. `fingerprint` tells a repeat from a clash."""

    __tablename__ = "signals"

    signal_id: Mapped[str] = mapped_column(primary_key=True)
    strategy_id: Mapped[str]
    brokers: Mapped[list[str]]
    generated_at: Mapped[datetime]
    expires_at: Mapped[datetime | None]
    wait_for_open: Mapped[bool]
    metadata_: Mapped[dict[str, Any]] = mapped_column("metadata")
    fingerprint: Mapped[str]
    correlation_id: Mapped[str]
    accepted_at: Mapped[datetime]

    __table_args__ = (Index("ix_signals_accepted_at", "accepted_at", "signal_id"),)


class OrderRow(Terms, Base):
    """One order at one broker. `state` moves along the table of states; `seq` is the last event's number."""

    __tablename__ = "orders"

    order_id: Mapped[str] = mapped_column(primary_key=True)
    signal_id: Mapped[str] = mapped_column(ForeignKey("signals.signal_id"))
    broker: Mapped[str]
    strategy_id: Mapped[str]
    workflow_id: Mapped[str]
    correlation_id: Mapped[str]
    state: Mapped[str]
    reason_code: Mapped[str]
    reason: Mapped[str]
    seq: Mapped[int]
    filled_quantity: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    turnover: Mapped[Decimal] = mapped_column(server_default=text("0"))
    tag: Mapped[str | None]
    broker_order_id: Mapped[str | None]
    cancel_requested: Mapped[bool] = mapped_column(server_default=text("false"))
    modify_requested: Mapped[bool] = mapped_column(server_default=text("false"))
    evidence: Mapped[dict[str, Any] | None]
    """Of an order whose outcome was in doubt: what was sent, and what the broker's book said and when."""
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    closed_at: Mapped[datetime | None]

    __table_args__ = (
        UniqueConstraint("broker", "signal_id"),
        UniqueConstraint("broker", "tag"),
        Index("ix_orders_created_at", "created_at", "order_id"),
        Index("ix_orders_broker_state", "broker", "state", "created_at"),
        Index("ix_orders_strategy_id", "strategy_id", "created_at"),
        Index("ix_orders_broker_order_id", "broker", "broker_order_id"),
        Index("ix_orders_signal_id", "signal_id"),
    )


class OrderEventRow(Base):
    """One transition (or a note where `from_state` equals `to_state`), appended and never changed."""

    __tablename__ = "order_events"

    order_id: Mapped[str] = mapped_column(ForeignKey("orders.order_id"), primary_key=True)
    seq: Mapped[int] = mapped_column(primary_key=True)
    broker: Mapped[str]
    at: Mapped[datetime]
    from_state: Mapped[str | None]
    to_state: Mapped[str]
    reason_code: Mapped[str]
    reason: Mapped[str]
    actor: Mapped[str]
    correlation_id: Mapped[str]


class FillRow(Base):
    """One execution at a broker, booked once by (broker, trade_id). `charges` sums `charge_items`.

    `order_id` is NULL for a trade that was not ordered here (by hand, by the broker's risk desk): it is booked under
    the strategy EXTERNAL.
    """

    __tablename__ = "fills"

    broker: Mapped[str] = mapped_column(primary_key=True)
    trade_id: Mapped[str] = mapped_column(primary_key=True)
    order_id: Mapped[str | None] = mapped_column(ForeignKey("orders.order_id"))
    broker_order_id: Mapped[str]
    strategy_id: Mapped[str]
    exchange: Mapped[str]
    tradingsymbol: Mapped[str]
    product: Mapped[str]
    side: Mapped[str]
    quantity: Mapped[int] = mapped_column(BigInteger)
    price: Mapped[Decimal]
    charges: Mapped[Decimal | None]
    """Rupees; NULL where no table of charges knows the date."""
    charge_items: Mapped[dict[str, Any] | None]
    traded_at: Mapped[datetime]
    booked_at: Mapped[datetime]

    __table_args__ = (
        Index("ix_fills_traded_at", "traded_at", "broker", "trade_id"),
        Index("ix_fills_order_id", "order_id"),
    )


class PositionRow(Base):
    """A strategy's net position: average cost of what is open, realised profit of what was closed, charges paid."""

    __tablename__ = "positions"

    broker: Mapped[str] = mapped_column(primary_key=True)
    strategy_id: Mapped[str] = mapped_column(primary_key=True)
    exchange: Mapped[str] = mapped_column(primary_key=True)
    tradingsymbol: Mapped[str] = mapped_column(primary_key=True)
    product: Mapped[str] = mapped_column(primary_key=True)
    quantity: Mapped[int] = mapped_column(BigInteger)
    cost: Mapped[Decimal]
    """Signed rupees paid for the open quantity: quantity x average price."""
    realised: Mapped[Decimal]
    charges: Mapped[Decimal]
    updated_at: Mapped[datetime]

    __table_args__ = (Index("ix_positions_instrument", "broker", "exchange", "tradingsymbol"),)


class PortfolioRow(Base):
    """One per broker. Every change of reservations or positions moves `version`, and lands only on the version that was
    read: so two signals cannot break a limit together, nor two fills lose one another."""

    __tablename__ = "portfolios"

    broker: Mapped[str] = mapped_column(primary_key=True)
    version: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    created_at: Mapped[datetime]


class PortfolioDayRow(Base):
    """A broker's day: realised profit before charges, charges, and counters the limits are checked against."""

    __tablename__ = "portfolio_days"

    broker: Mapped[str] = mapped_column(primary_key=True)
    trading_date: Mapped[date] = mapped_column(primary_key=True)
    realised: Mapped[Decimal] = mapped_column(server_default=text("0"))
    charges: Mapped[Decimal] = mapped_column(server_default=text("0"))
    fills: Mapped[int] = mapped_column(server_default=text("0"))


class ReservationRow(Base):
    """Exposure promised to an order that is on its way: removed once, when the order ends; shrinks as it fills."""

    __tablename__ = "reservations"

    order_id: Mapped[str] = mapped_column(ForeignKey("orders.order_id"), primary_key=True)
    broker: Mapped[str]
    exchange: Mapped[str]
    tradingsymbol: Mapped[str]
    side: Mapped[str]
    quantity: Mapped[int] = mapped_column(BigInteger)
    price: Mapped[Decimal | None]
    """Rupees a share at which the exposure was valued; NULL where no price was known (an exit at market)."""
    is_exit: Mapped[bool]

    __table_args__ = (Index("ix_reservations_instrument", "broker", "exchange", "tradingsymbol"),)


class BrokerStateRow(Base):
    """A broker's session and switch as last decided. Read right before every send, so a halt holds at once."""

    __tablename__ = "broker_states"

    broker: Mapped[str] = mapped_column(primary_key=True)
    session: Mapped[str]
    session_since: Mapped[datetime]
    switch: Mapped[str]
    switch_since: Mapped[datetime]
    switch_reason: Mapped[str]
    switch_actor: Mapped[str]


class BrokerEventRow(Base):
    """Who changed a broker's session or switch, when and why. Appended only."""

    __tablename__ = "broker_events"

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    broker: Mapped[str]
    at: Mapped[datetime]
    kind: Mapped[str]
    to_state: Mapped[str]
    reason: Mapped[str]
    actor: Mapped[str]

    __table_args__ = (Index("ix_broker_events_broker_at", "broker", "at"),)


class BrokerTokenRow(Base):
    """A broker's access token, sealed (see `alphapanda.sessions`). `opened_at` tells one session from the next."""

    __tablename__ = "broker_tokens"

    broker: Mapped[str] = mapped_column(primary_key=True)
    sealed: Mapped[bytes]
    user_id: Mapped[str]
    opened_at: Mapped[datetime]


class LoginNonceRow(Base):
    """The state of a login that is under way in a browser: good for one callback, for minutes."""

    __tablename__ = "login_nonces"

    nonce_hash: Mapped[str] = mapped_column(primary_key=True)
    broker: Mapped[str]
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]


class DriftRow(Base):
    """A difference between ledger and broker that cannot be proved away, from when it was found until it was gone."""

    __tablename__ = "drift"

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    broker: Mapped[str]
    kind: Mapped[str]
    key: Mapped[str]
    detail: Mapped[str]
    evidence: Mapped[dict[str, Any]]
    found_at: Mapped[datetime]
    seen_at: Mapped[datetime]
    cleared_at: Mapped[datetime | None]

    __table_args__ = (
        Index("uq_drift_open", "broker", "kind", "key", unique=True, postgresql_where=text("cleared_at IS NULL")),
        Index("ix_drift_broker_found_at", "broker", "found_at"),
    )


class InstrumentLoadRow(Base):
    """A dump that was to be loaded: what came of it, and what was refused and why. `outcome` LOADED or REFUSED."""

    __tablename__ = "instrument_loads"

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    as_of: Mapped[date]
    source: Mapped[str]
    origin: Mapped[str]
    digest: Mapped[str]
    actor: Mapped[str]
    loaded_at: Mapped[datetime]
    outcome: Mapped[str]
    detail: Mapped[str]
    exchanges: Mapped[list[str]]
    accepted: Mapped[int]
    refused: Mapped[int]
    skipped: Mapped[int]
    added: Mapped[int]
    changed: Mapped[int]
    withdrawn: Mapped[int]
    report: Mapped[dict[str, Any]]


class InstrumentRow(Base):
    """An instrument as of `as_of`, from `source` (a dump, the simulator, a replayed file).

    `load_id` tells which dump it came from, None for what no dump described. `withdrawn_on` is the date of the first
    dump that no longer had it: nothing is traded in it then, and what was traded keeps its terms.
    """

    __tablename__ = "instruments"

    exchange: Mapped[str] = mapped_column(primary_key=True)
    tradingsymbol: Mapped[str] = mapped_column(primary_key=True)
    instrument_token: Mapped[int] = mapped_column(BigInteger)
    instrument_type: Mapped[str]
    segment: Mapped[str]
    name: Mapped[str]
    tick_size: Mapped[Decimal]
    lot_size: Mapped[int]
    expiry: Mapped[date | None]
    strike: Mapped[Decimal | None]
    lower_circuit: Mapped[Decimal | None]
    upper_circuit: Mapped[Decimal | None]
    as_of: Mapped[date]
    source: Mapped[str]
    load_id: Mapped[int | None] = mapped_column(BigInteger)  # no foreign key: it would be checked row by row
    withdrawn_on: Mapped[date | None]

    __table_args__ = (Index("ix_instruments_token", "instrument_token"),)
