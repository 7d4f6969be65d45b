"""What changed from one capture of a page to the next, and how far each job was compared."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

# SQLite only gives a rowid to INTEGER PRIMARY KEY; PostgreSQL wants the wide one.
ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")
INDEXES = {
    "ix_changes_at": ["at", "id"],
    "ix_changes_source": ["source_id", "at", "id"],
    "ix_changes_score": ["score", "id"],
    "ix_changes_url_key": ["url_key", "at"],
    "ix_changes_from_capture": ["from_capture"],
}


def upgrade() -> None:
    op.add_column(
        "archive_jobs",
        sa.Column("compared_upto", sa.BigInteger, nullable=False, server_default=sa.text("0")),
    )
    op.create_table(
        "changes",
        sa.Column("id", ID, primary_key=True, autoincrement=True),
        sa.Column("from_capture", ID),
        sa.Column("to_capture", ID, nullable=False),
        sa.Column("source_id", ID, nullable=False),
        sa.Column("url", sa.Text, nullable=False),
        sa.Column("url_key", sa.Text, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("score", sa.Float, nullable=False),
        sa.Column("added_words", sa.Integer, nullable=False),
        sa.Column("removed_words", sa.Integer, nullable=False),
        sa.Column("changed_sentences", sa.Integer, nullable=False),
        sa.Column("examples", sa.JSON, nullable=False),
        sa.ForeignKeyConstraint(
            ["from_capture"], ["captures.id"], name="fk_changes_from_capture_captures"
        ),
        sa.ForeignKeyConstraint(
            ["to_capture"], ["captures.id"], name="fk_changes_to_capture_captures"
        ),
        sa.ForeignKeyConstraint(["source_id"], ["sources.id"], name="fk_changes_source_id_sources"),
        sa.PrimaryKeyConstraint("id", name="pk_changes"),
        sa.UniqueConstraint("to_capture", name="uq_changes_to_capture"),
    )
    for name, columns in INDEXES.items():
        op.create_index(name, "changes", columns)


def downgrade() -> None:
    op.drop_table("changes")
    op.drop_column("archive_jobs", "compared_upto")
