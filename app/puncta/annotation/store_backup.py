"""A server's tables written out row by row before a migration, and read back."""

from __future__ import annotations

import base64
import gzip
import json
import os
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from puncta.annotation.tables import METADATA

_BATCH = 1000


def backup_rows(engine: Engine, path: Path) -> None:
    """Write every row of every table as JSON lines, compressed; in one reading, so that all belongs together."""
    temporary = path.with_name(f".{path.name}.tmp")
    found = sa.MetaData()
    with engine.connect().execution_options(isolation_level="REPEATABLE READ") as connection, connection.begin():
        found.reflect(connection)
        with gzip.open(temporary, "wt", encoding="utf-8") as out:
            for table in found.sorted_tables:
                for row in connection.execute(sa.select(table)).mappings():
                    values = {name: _plain(value) for name, value in row.items()}
                    out.write(json.dumps({"table": table.name, "row": values}, ensure_ascii=False) + "\n")
    os.replace(temporary, path)


def _plain(value: object) -> object:
    return {"base64": base64.b64encode(bytes(value)).decode()} if isinstance(value, bytes | memoryview) else value


def restore_rows(connection: Connection, path: Path) -> int:
    """Put the rows of a backup into empty tables of the same form; return how many."""
    count = 0
    batch: list[dict] = []
    at = ""

    def flush() -> None:
        if batch:
            connection.execute(sa.insert(METADATA.tables[at]), batch)
            batch.clear()

    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            entry = json.loads(line)
            if entry["table"] not in METADATA.tables:
                continue  # Alembic's own
            if entry["table"] != at or len(batch) >= _BATCH:
                flush()
                at = entry["table"]
            batch.append(
                {
                    name: base64.b64decode(value["base64"]) if isinstance(value, dict) else value
                    for name, value in entry["row"].items()
                }
            )
            count += 1
    flush()
    return count
