"""What readers report, what is not shown any more, and which captures that means."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

# SQLite only gives a rowid to INTEGER PRIMARY KEY; PostgreSQL wants the wide one.
ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")
KEY = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
MOMENT = sa.DateTime(timezone=True)
REFERENCE = "fk_captures_suppressed_by_suppressions"


def upgrade() -> None:
    op.create_table(
        "reader_reports",
        sa.Column("id", ID, primary_key=True, autoincrement=True),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("capture_id", ID),
        sa.Column("url", sa.Text, nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("contact", sa.Text, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("answered_at", MOMENT),
        sa.Column("answer", sa.Text),
        sa.Column("who", sa.String(255)),
        sa.PrimaryKeyConstraint("id", name="pk_reader_reports"),
    )
    op.create_index("ix_reader_reports_state", "reader_reports", ["state", "id"])
    op.create_table(
        "suppressions",
        sa.Column("id", ID, primary_key=True, autoincrement=True),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("url", sa.Text, nullable=False),
        sa.Column("first_key", KEY, nullable=False),
        sa.Column("end_key", KEY),
        sa.Column("segment", sa.String(255)),
        sa.Column("record_offset", sa.BigInteger),
        sa.Column("why", sa.Text, nullable=False),
        sa.Column("who", sa.String(255), nullable=False),
        sa.Column("report_id", ID),
        sa.Column("lifted_at", MOMENT),
        sa.Column("lifted_why", sa.Text),
        sa.Column("lifted_by", sa.String(255)),
        sa.ForeignKeyConstraint(
            ["report_id"], ["reader_reports.id"], name="fk_suppressions_report_id_reader_reports"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_suppressions"),
    )
    if op.get_bind().dialect.name == "sqlite":
        # Alembic would build the whole table anew to refer to another one.
        op.execute(
            "ALTER TABLE captures ADD COLUMN suppressed_by INTEGER "
            f"CONSTRAINT {REFERENCE} REFERENCES suppressions (id)"
        )
    else:
        op.add_column("captures", sa.Column("suppressed_by", ID))
        op.create_foreign_key(REFERENCE, "captures", "suppressions", ["suppressed_by"], ["id"])
    op.create_index("ix_captures_suppressed_by", "captures", ["suppressed_by", "segment_id"])


def downgrade() -> None:
    op.drop_index("ix_captures_suppressed_by", "captures")
    with op.batch_alter_table("captures") as captures:
        captures.drop_column("suppressed_by")  # with its reference
    op.drop_table("suppressions")
    op.drop_table("reader_reports")
