"""Suggestions, tags, thumbnails and the worklists of raters."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def _case_id() -> sa.Column:
    return sa.Column("case_id", sa.String(64), sa.ForeignKey("cases.id", ondelete="CASCADE"), primary_key=True)


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "suggestions",
        _case_id(),
        sa.Column("source", sa.String(128), primary_key=True),
        sa.Column("frame_index", sa.Integer, primary_key=True),
        sa.Column("reason", sa.String(32), primary_key=True),
        sa.Column("score", sa.Float, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
    )
    op.create_table("tags", _case_id(), sa.Column("tag", sa.String(128), primary_key=True))
    op.create_table("thumbnails", _case_id(), sa.Column("png", sa.LargeBinary, nullable=False))
    op.create_table(
        "assignments",
        _case_id(),
        sa.Column("rater", sa.String(128), primary_key=True),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("blind", sa.Boolean, nullable=False),
        sa.Column("proposals", sa.Boolean, nullable=False),
        sa.Column("note", sa.Text, nullable=False),
        sa.Column("changed_utc", sa.String(32), nullable=False),
    )


def downgrade() -> None:
    """Take the tables away."""
    for name in ("assignments", "thumbnails", "tags", "suggestions"):
        op.drop_table(name)
