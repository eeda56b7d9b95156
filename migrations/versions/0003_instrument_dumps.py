"""Instrument dumps: their history, which one an instrument came from, and what has left them"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0003"
down_revision: str | None = "0002"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.create_table(
        "instrument_loads",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("as_of", sa.Date(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("loaded_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("exchanges", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("accepted", sa.Integer(), nullable=False),
        sa.Column("refused", sa.Integer(), nullable=False),
        sa.Column("skipped", sa.Integer(), nullable=False),
        sa.Column("added", sa.Integer(), nullable=False),
        sa.Column("changed", sa.Integer(), nullable=False),
        sa.Column("withdrawn", sa.Integer(), nullable=False),
        sa.Column("report", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_instrument_loads")),
    )
    op.add_column("instruments", sa.Column("load_id", sa.BigInteger(), nullable=True))
    op.add_column("instruments", sa.Column("withdrawn_on", sa.Date(), nullable=True))


def downgrade() -> None:
    # What has left the dumps must not come back to life in a schema that cannot say so.
    op.execute("DELETE FROM instruments WHERE withdrawn_on IS NOT NULL")
    op.drop_column("instruments", "withdrawn_on")
    op.drop_column("instruments", "load_id")
    op.drop_table("instrument_loads")
