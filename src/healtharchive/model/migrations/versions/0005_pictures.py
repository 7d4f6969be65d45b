"""Where the pictures of a rendered page lie: a reader asks for one record by its place."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    op.create_table(
        "pictures",
        sa.Column("capture_id", ID, nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("record_offset", sa.BigInteger, nullable=False),
        sa.Column("record_length", sa.BigInteger, nullable=False),
        sa.ForeignKeyConstraint(
            ["capture_id"], ["captures.id"], name="fk_pictures_capture_id_captures"
        ),
        sa.PrimaryKeyConstraint("capture_id", "kind", name="pk_pictures"),
    )


def downgrade() -> None:
    op.drop_table("pictures")
