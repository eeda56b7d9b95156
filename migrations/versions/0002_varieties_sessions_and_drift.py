"""Order varieties, evidence, sealed broker sessions, trades of others, and drift"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0002"
down_revision: str | None = "0001"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

MOMENT = postgresql.TIMESTAMP(timezone=True)


def upgrade() -> None:
    for table in ("signals", "orders"):
        op.add_column(table, sa.Column("variety", sa.Text(), server_default=sa.text("'regular'"), nullable=False))
        op.add_column(table, sa.Column("iceberg_legs", sa.Integer(), nullable=True))
    op.add_column("orders", sa.Column("evidence", postgresql.JSONB(), nullable=True))
    op.alter_column("fills", "order_id", existing_type=sa.Text(), nullable=True)
    op.create_table(
        "broker_tokens",
        sa.Column("broker", sa.Text(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("opened_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("broker", name=op.f("pk_broker_tokens")),
    )
    op.create_table(
        "login_nonces",
        sa.Column("nonce_hash", sa.Text(), nullable=False),
        sa.Column("broker", sa.Text(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("expires_at", MOMENT, nullable=False),
        sa.Column("used_at", MOMENT, nullable=True),
        sa.PrimaryKeyConstraint("nonce_hash", name=op.f("pk_login_nonces")),
    )
    op.create_table(
        "drift",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("broker", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("evidence", postgresql.JSONB(), nullable=False),
        sa.Column("found_at", MOMENT, nullable=False),
        sa.Column("seen_at", MOMENT, nullable=False),
        sa.Column("cleared_at", MOMENT, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_drift")),
    )
    op.create_index(
        "uq_drift_open",
        "drift",
        ["broker", "kind", "key"],
        unique=True,
        postgresql_where=sa.text("cleared_at IS NULL"),
    )
    op.create_index("ix_drift_broker_found_at", "drift", ["broker", "found_at"], unique=False)


def downgrade() -> None:
    op.drop_table("drift")
    op.drop_table("login_nonces")
    op.drop_table("broker_tokens")
    # Fails where trades of others are booked: the older schema has no place for them, and they are facts.
    op.alter_column("fills", "order_id", existing_type=sa.Text(), nullable=False)
    op.drop_column("orders", "evidence")
    for table in ("orders", "signals"):
        op.drop_column(table, "iceberg_legs")
        op.drop_column(table, "variety")
