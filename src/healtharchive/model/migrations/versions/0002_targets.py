"""Targets with their breakers, copies of segments on them, and automatic actions."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)
# SQLite only gives a rowid to INTEGER PRIMARY KEY; PostgreSQL wants the wide one.
ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def _number(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.Integer, nullable=False, server_default=sa.text("0"))


def _job_columns() -> list[sa.Column[Any]]:
    return [sa.Column("target", sa.String(64)), sa.Column("hot_path", sa.String(64))]


def _target_columns() -> list[sa.Column[Any]]:
    return [
        sa.Column("parent", sa.String(64)),
        sa.Column("ship", sa.Boolean, nullable=False, server_default=sa.text("false")),
        sa.Column("definition", sa.JSON, nullable=False, server_default=sa.text("'{}'")),
        sa.Column("declared", sa.Boolean, nullable=False, server_default=sa.text("true")),
        sa.Column("identity", sa.String(64)),
        sa.Column("tripped_at", MOMENT),
        _number("trip_streak"),
        _number("strikes"),
        _number("good_probes"),
        sa.Column("good_since", MOMENT),
        sa.Column("verdict", sa.String(16)),
        sa.Column("probed_at", MOMENT),
        sa.Column("last_apply_at", MOMENT),
        _number("apply_streak"),
        sa.Column("alerted_at", MOMENT),
    ]


def upgrade() -> None:
    for column in _job_columns():
        op.add_column("archive_jobs", column)
    for column in _target_columns():
        op.add_column("targets", column)
    _actions()
    _copies()


def downgrade() -> None:
    op.drop_table("copies")
    op.drop_table("actions")
    for column in _target_columns():
        op.drop_column("targets", column.name)
    for column in _job_columns():
        op.drop_column("archive_jobs", column.name)


def _actions() -> None:
    op.create_table(
        "actions",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("subject", sa.String(32), nullable=False),
        sa.Column("subject_id", sa.String(128), nullable=False),
        sa.Column("what", sa.String(64), nullable=False),
        sa.Column("outcome", sa.String(16), nullable=False),
        sa.Column("why", sa.Text, nullable=False),
        sa.Column("seconds", sa.Float, nullable=False, server_default=sa.text("0")),
        sa.Column("event_id", ID),
        sa.ForeignKeyConstraint(["event_id"], ["events.id"], name="fk_actions_event_id_events"),
        sa.PrimaryKeyConstraint("id", name="pk_actions"),
    )
    op.create_index("ix_actions_recent", "actions", ["subject", "subject_id", "what", "at"])


def _copies() -> None:
    op.create_table(
        "copies",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("segment_id", ID, nullable=False),
        sa.Column("target", sa.String(64), nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("verified_at", MOMENT),
        sa.Column("first_verified_at", MOMENT),
        sa.Column("not_before", MOMENT),
        _number("failures"),
        sa.Column("last_error", sa.Text),
        sa.ForeignKeyConstraint(
            ["segment_id"], ["segments.id"], name="fk_copies_segment_id_segments"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_copies"),
        sa.UniqueConstraint("segment_id", "target", name="uq_copies_segment_id_target"),
    )
    op.create_index("ix_copies_target", "copies", ["target", "state", "verified_at"])
