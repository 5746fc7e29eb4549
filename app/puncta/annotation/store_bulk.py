"""Many rows in one statement, on SQLite and on PostgreSQL.

SQLite takes rows one by one in the same process, so many cost little. A server answers each statement, so there the
columns go over as arrays and the server unfolds them: one statement, the same text for any number of rows.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection

Row = Mapping[str, Any]


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
    names = tuple(rows[0])
    columns = {name: [row[name] for row in rows] for name in names}
    connection.execute(_unfolding(table, names, update), columns)


@cache
def _unfolding(table: sa.Table, names: tuple[str, ...], update: tuple[str, ...]) -> sa.TextClause:
    """INSERT ... SELECT FROM unnest(...), one array a column."""
    dialect = postgresql.dialect()
    quote = dialect.identifier_preparer.quote
    arrays = ", ".join(f"CAST(:{name} AS {table.c[name].type.compile(dialect)}[])" for name in names)
    listed = ", ".join(quote(name) for name in names)
    text = f"INSERT INTO {quote(table.name)} ({listed}) SELECT * FROM unnest({arrays})"
    if update:
        keys = ", ".join(quote(column.name) for column in table.primary_key.columns)
        text += f" ON CONFLICT ({keys}) DO UPDATE SET "
        text += ", ".join(f"{quote(name)} = excluded.{quote(name)}" for name in update)
    return sa.text(text)
