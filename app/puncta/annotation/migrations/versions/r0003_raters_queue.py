"""A review queue belongs to its rater; gestures are found by the frame in view."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def _table(*before: sa.Column) -> None:
    op.create_table(
        "suggestions",
        sa.Column("case_id", sa.String(64), sa.ForeignKey("cases.id", ondelete="CASCADE"), primary_key=True),
        *before,
        sa.Column("source", sa.String(128), primary_key=True),
        sa.Column("frame_index", sa.Integer, primary_key=True),
        sa.Column("reason", sa.String(32), primary_key=True),
        sa.Column("score", sa.Float, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
    )


def _made_again(rows: list[dict], *before: sa.Column) -> None:
    op.drop_table("suggestions")
    _table(*before)
    if rows:
        found = sa.Table("suggestions", sa.MetaData(), autoload_with=op.get_bind())
        op.get_bind().execute(sa.insert(found), rows)


def upgrade() -> None:
    """Give each queue to the rater who let the models run last on its case; a queue of nobody is dropped."""
    connection = op.get_bind()
    owners: dict[str, str] = {}
    for case_id, rater in connection.execute(
        sa.text("SELECT case_id, rater FROM commands WHERE automatic ORDER BY id")
    ):
        owners[case_id] = rater
    rows = [dict(row) for row in connection.execute(sa.text("SELECT * FROM suggestions")).mappings()]
    kept = [{**row, "rater": owners[row["case_id"]]} for row in rows if row["case_id"] in owners]
    _made_again(kept, sa.Column("rater", sa.String(128), primary_key=True))
    op.create_index("commands_by_frame", "commands", ["case_id", "rater", "frame_index"])


def downgrade() -> None:
    """Put all raters' queues of a case together again; of the same frame and reason the highest stays."""
    connection = op.get_bind()
    best: dict[tuple, dict] = {}
    for row in connection.execute(sa.text("SELECT * FROM suggestions ORDER BY score")).mappings():
        plain = {name: value for name, value in row.items() if name != "rater"}
        best[plain["case_id"], plain["source"], plain["frame_index"], plain["reason"]] = plain
    op.drop_index("commands_by_frame", "commands")
    _made_again(list(best.values()))
