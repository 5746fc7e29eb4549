"""Many rows in one statement, on SQLite and on PostgreSQL.

SQLite takes rows one by one in the same process, so many cost little. A server answers each statement, so there the
rows go over as one JSON text that the server unfolds: one statement, the same for any number of rows.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection

Row = dict[str, Any]


def id_list(connection: Connection, numbers: Sequence[int]) -> Any:
    """Return numbers as one value for a statement: JSON for `json_each`, an array for `ANY`."""
    return json.dumps(list(numbers)) if connection.dialect.name == "sqlite" else list(numbers)


def insert_rows(connection: Connection, table: sa.Table, rows: Sequence[Row], update: tuple[str, ...] = ()) -> None:
    """Write rows into a table.

    Parameters
    ----------
    rows : sequence of mapping
        All with the same columns.
    update : tuple of str
        Columns that a row takes over where its primary key is there already; none means that it must not be.
    """
    if not rows:
        return
    if connection.dialect.name == "sqlite":
        query = sqlite.insert(table)
        if update:
            query = query.on_conflict_do_update(
                index_elements=list(table.primary_key.columns), set_={name: query.excluded[name] for name in update}
            )
        connection.execute(query, list(rows))
        return
    connection.execute(_unfolding(table, tuple(rows[0]), update), {"rows": json.dumps(rows, ensure_ascii=False)})


@cache
def _unfolding(table: sa.Table, names: tuple[str, ...], update: tuple[str, ...]) -> sa.TextClause:
    """INSERT ... SELECT FROM json_to_recordset(...)."""
    dialect = postgresql.dialect()
    quote = dialect.identifier_preparer.quote
    listed = ", ".join(quote(name) for name in names)
    typed = ", ".join(f"{quote(name)} {table.c[name].type.compile(dialect)}" for name in names)
    text = f"INSERT INTO {quote(table.name)} ({listed}) SELECT {listed} "
    text += f"FROM json_to_recordset(CAST(:rows AS json)) AS given({typed})"
    if update:
        keys = ", ".join(quote(column.name) for column in table.primary_key.columns)
        text += f" ON CONFLICT ({keys}) DO UPDATE SET "
        text += ", ".join(f"{quote(name)} = excluded.{quote(name)}" for name in update)
    return sa.text(text)
