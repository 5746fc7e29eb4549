"""Cases, frames, labels and the log of gestures."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def _case_id() -> sa.Column:
    return sa.Column("case_id", sa.String(64), sa.ForeignKey("cases.id", ondelete="CASCADE"), primary_key=True)


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "meta",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("value", sa.Text, nullable=False),
    )
    op.create_table(
        "cases",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("stream", sa.Text, nullable=False),
        sa.Column("label_set", sa.String(128), nullable=False),
        sa.Column("uri", sa.Text, nullable=False),
        sa.Column("frame_count", sa.Integer),
        sa.Column("width_px", sa.Integer, nullable=False),
        sa.Column("height_px", sa.Integer, nullable=False),
        sa.Column("fps", sa.Float, nullable=False),
        sa.Column("region", sa.Text),
        sa.Column("mm_per_px", sa.Text),
        sa.Column("machine", sa.Text),
        sa.Column("subject", sa.Text),
        sa.Column("split", sa.Text),
        sa.Column("simulated", sa.Boolean, nullable=False),
        sa.Column("licence", sa.Text, nullable=False),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.Column("created_utc", sa.String(32), nullable=False),
    )
    op.create_table(
        "frames",
        _case_id(),
        sa.Column("frame_index", sa.Integer, primary_key=True),
        sa.Column("pts_ns", sa.BigInteger, nullable=False),
        sa.Column("sha256", sa.String(64)),
    )
    op.create_table(
        "labels",
        _case_id(),
        sa.Column("rater", sa.String(128), primary_key=True),
        sa.Column("frame_index", sa.Integer, primary_key=True),
        sa.Column("name", sa.String(128), primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("content", sa.Text),
        sa.Column("state", sa.String(16)),
        sa.Column("revision", sa.BigInteger, nullable=False),
    )
    op.create_index("labels_by_revision", "labels", ["case_id", "revision"])
    op.create_table(
        "commands",
        sa.Column("id", _ID, primary_key=True, autoincrement=True),
        sa.Column("uid", sa.String(64), nullable=False, unique=True),
        sa.Column("case_id", sa.String(64), sa.ForeignKey("cases.id", ondelete="CASCADE"), nullable=False),
        sa.Column("rater", sa.String(128), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("frame_index", sa.Integer),
        sa.Column("automatic", sa.Boolean, nullable=False),
        sa.Column("target_uid", sa.String(64)),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.Column("made_utc", sa.String(32), nullable=False),
    )
    op.create_index("commands_by_case", "commands", ["case_id", "rater"])
    op.create_table(
        "changes",
        sa.Column("id", _ID, primary_key=True, autoincrement=True),
        sa.Column("command_id", _ID, sa.ForeignKey("commands.id", ondelete="CASCADE"), nullable=False),
        sa.Column("case_id", sa.String(64), nullable=False),
        sa.Column("rater", sa.String(128), nullable=False),
        sa.Column("frame_index", sa.Integer, nullable=False),
        sa.Column("name", sa.String(128), nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("before", sa.Text),
        sa.Column("after", sa.Text),
        sa.Column("status", sa.Integer, nullable=False),
    )
    op.create_index("changes_by_command", "changes", ["command_id", "status"])
    op.create_index("changes_by_frame", "changes", ["case_id", "rater", "status", "frame_index"])


def downgrade() -> None:
    """Take the tables away."""
    for name in ("changes", "commands", "labels", "frames", "cases", "meta"):
        op.drop_table(name)
