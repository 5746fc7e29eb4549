"""The store's tables. `migrations/versions` makes the same ones step by step; a test compares the two.

Texts are JSON in the canonical form of `label_json`. A label whose ``content`` is NULL has been taken away; its row
stays so that others who watch the case learn of it.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
)

METADATA = MetaData()
_ID = BigInteger().with_variant(Integer, "sqlite")

META = Table(
    "meta",
    METADATA,
    Column("name", String(64), primary_key=True),
    Column("value", Text, nullable=False),
)

CASES = Table(
    "cases",
    METADATA,
    Column("id", String(64), primary_key=True),
    Column("title", Text, nullable=False),
    Column("stream", Text, nullable=False),
    Column("label_set", String(128), nullable=False),
    Column("uri", Text, nullable=False),
    Column("frame_count", Integer),
    Column("width_px", Integer, nullable=False),
    Column("height_px", Integer, nullable=False),
    Column("fps", Float, nullable=False),
    Column("region", Text),
    Column("mm_per_px", Text),
    Column("machine", Text),
    Column("subject", Text),
    Column("split", Text),
    Column("simulated", Boolean, nullable=False),
    Column("licence", Text, nullable=False),
    Column("revision", BigInteger, nullable=False),
    Column("created_utc", String(32), nullable=False),
)

FRAMES = Table(
    "frames",
    METADATA,
    Column("case_id", String(64), ForeignKey("cases.id", ondelete="CASCADE"), primary_key=True),
    Column("frame_index", Integer, primary_key=True),
    Column("pts_ns", BigInteger, nullable=False),
    Column("sha256", String(64)),
)

LABELS = Table(
    "labels",
    METADATA,
    Column("case_id", String(64), ForeignKey("cases.id", ondelete="CASCADE"), primary_key=True),
    Column("rater", String(128), primary_key=True),
    Column("frame_index", Integer, primary_key=True),
    Column("name", String(128), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("content", Text),
    Column("state", String(16)),
    Column("revision", BigInteger, nullable=False),
    Index("labels_by_revision", "case_id", "revision"),
)

COMMANDS = Table(
    "commands",
    METADATA,
    Column("id", _ID, primary_key=True, autoincrement=True),
    Column("uid", String(64), nullable=False, unique=True),
    Column("case_id", String(64), ForeignKey("cases.id", ondelete="CASCADE"), nullable=False),
    Column("rater", String(128), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("title", Text, nullable=False),
    Column("frame_index", Integer),
    Column("automatic", Boolean, nullable=False),
    Column("target_uid", String(64)),
    Column("revision", BigInteger, nullable=False),
    Column("made_utc", String(32), nullable=False),
    Index("commands_by_case", "case_id", "rater"),
    Index("commands_by_frame", "case_id", "rater", "frame_index"),
)

CHANGES = Table(
    "changes",
    METADATA,
    Column("id", _ID, primary_key=True, autoincrement=True),
    Column("command_id", _ID, ForeignKey("commands.id", ondelete="CASCADE"), nullable=False),
    Column("case_id", String(64), nullable=False),
    Column("rater", String(128), nullable=False),
    Column("frame_index", Integer, nullable=False),
    Column("name", String(128), nullable=False),
    Column("number", Integer, nullable=False),
    Column("before", Text),
    Column("after", Text),
    Column("status", Integer, nullable=False),
    Index("changes_by_command", "command_id", "status"),
    Index("changes_by_frame", "case_id", "rater", "status", "frame_index"),
)

SUGGESTIONS = Table(
    "suggestions",
    METADATA,
    Column("case_id", String(64), ForeignKey("cases.id", ondelete="CASCADE"), primary_key=True),
    Column("rater", String(128), primary_key=True),
    Column("source", String(128), primary_key=True),
    Column("frame_index", Integer, primary_key=True),
    Column("reason", String(32), primary_key=True),
    Column("score", Float, nullable=False),
    Column("text", Text, nullable=False),
)

TAGS = Table(
    "tags",
    METADATA,
    Column("case_id", String(64), ForeignKey("cases.id", ondelete="CASCADE"), primary_key=True),
    Column("tag", String(128), primary_key=True),
)

THUMBNAILS = Table(
    "thumbnails",
    METADATA,
    Column("case_id", String(64), ForeignKey("cases.id", ondelete="CASCADE"), primary_key=True),
    Column("png", LargeBinary, nullable=False),
)

ASSIGNMENTS = Table(
    "assignments",
    METADATA,
    Column("case_id", String(64), ForeignKey("cases.id", ondelete="CASCADE"), primary_key=True),
    Column("rater", String(128), primary_key=True),
    Column("position", Integer, nullable=False),
    Column("state", String(16), nullable=False),
    Column("blind", Boolean, nullable=False),
    Column("proposals", Boolean, nullable=False),
    Column("note", Text, nullable=False),
    Column("changed_utc", String(32), nullable=False),
)

LIVE, UNDONE, DISCARDED = 0, 1, 2
"""Status of a change: in force, taken back and can be made again, or taken back for good."""
