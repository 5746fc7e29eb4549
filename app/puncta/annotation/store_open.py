"""Opens a store: engine, integrity check, damaged files set aside, migrations with a backup before them."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import shutil
import sqlite3
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.engine import URL, Connection, Engine, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError

from puncta import paths
from puncta.annotation.store_backup import backup_rows
from puncta.annotation.store_refusals import in_plain_words, why_of_file
from puncta.annotation.tables import METADATA
from puncta.core.errors import UserError

# It tells of every opening at the level of our own news.
logging.getLogger("alembic").setLevel(logging.WARNING)

WRITE = "puncta_write"
"""Execution option of a connection that is about to write: SQLite takes its lock at once, not at the first write."""
BUSY_S = 30.0
"""How long a writer waits for another one's transaction."""
CONNECT_S = 5
PATIENCE = {
    "connect_timeout": CONNECT_S,
    "tcp_user_timeout": 10_000,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
}
"""A server that falls silent in the middle of a call is given up after ten seconds or so, not after a quarter of an
hour; see the connection parameters of libpq."""
SET_ASIDE = ".damaged-"
HEADER = b"SQLite format 3\x00"
"""A SQLite file begins with it."""


class StoreDamaged(UserError):
    """The store's file is damaged and has been set aside; nothing was begun in its place.

    Attributes
    ----------
    kept_as : Path
        Where the damaged file is now.
    backups : tuple of Path
        Backups that were made before migrations, newest first.
    """

    def __init__(self, message: str, kept_as: Path, backups: tuple[Path, ...]) -> None:
        super().__init__(message)
        self.kept_as = kept_as
        self.backups = backups


class StoreAbsent(UserError):
    """There is no store at ``path``, which somebody has named, and none was to be begun."""

    def __init__(self, words: str, path: Path) -> None:
        super().__init__(words)
        self.path = path


def default_store() -> Path:
    """Return where this user's own store is."""
    return paths.user_data_dir() / "annotations" / "annotations.sqlite"


def is_own_place(path: Path) -> bool:
    """Return whether a path lies where the program itself puts stores: nobody else's files are there."""
    return path.resolve().parent == default_store().resolve().parent


def url_of(where: Path | str | None) -> URL:
    """Return the database URL of a file, a URL, or the user's own store; raises UserError for what is neither."""
    if where is None:
        where = default_store()
    if isinstance(where, Path) or "://" not in where:
        return URL.create("sqlite+pysqlite", database=str(Path(where).absolute()))
    try:
        url = make_url(where)
    except (ArgumentError, ValueError) as error:  # a port that is no number, too
        shown = re.sub(r"//([^:@/]*):.*@", r"//\1:***@", where)
        raise UserError(f"'{shown}' is not the address of a store; give a file or postgresql://HOST/NAME.") from error
    kind = url.get_backend_name()
    if kind == "sqlite":
        if not url.database or url.database == ":memory:":
            raise UserError("A store in memory keeps nothing; give a file.")
        return url.set(drivername="sqlite+pysqlite")
    if kind == "postgresql":
        return url.set(drivername="postgresql+psycopg")
    raise UserError(f"A store cannot lie in '{kind}'; there are SQLite files and PostgreSQL servers.")


def open_engine(where: Path | str | None, *, begin_anew: bool = False, begin: bool = True) -> Engine:
    """Return the engine of a checked store in its newest form, begun where there is none; see `AnnotationStore.open`.

    Raises
    ------
    StoreDamaged
        The file is damaged, or was found damaged before and nobody has said what to do.
    StoreUnreachable
        The server does not answer.
    UserError
        The store is of a newer Puncta, its folder cannot be written, or there is none and none is to be begun.
    """
    url = url_of(where)
    if url.get_backend_name() == "sqlite":
        path = Path(str(url.database))
        if not (begin or begin_anew or is_own_place(path)):
            _check_there(path)
        return _open_file(url, path, begin_anew)
    try:
        import psycopg  # noqa: F401
    except ImportError as error:
        raise UserError("PostgreSQL needs the extra 'postgres'; install puncta[postgres].") from error
    engine = sa.create_engine(
        url, pool_pre_ping=True, pool_size=2, connect_args={"application_name": "puncta", **PATIENCE}
    )
    try:
        _bring_up_to_date(engine, paths.user_data_dir() / "annotations" / "backups")
    except DBAPIError as error:
        engine.dispose()
        told = in_plain_words(url, error)
        if told is None:
            raise
        raise told from error
    except BaseException:
        engine.dispose()
        raise
    return engine


def _check_there(path: Path) -> None:
    """See to it that there is a store, or a damaged one beside, which is told of when it is opened."""
    if path.is_dir():
        raise UserError(f"{path} is a folder, not a store; give the file of a store.")
    # A file of no bytes is what a program leaves that was stopped before it had begun one.
    if not (path.is_file() and path.stat().st_size) and not any(path.parent.glob(f"{path.name}{SET_ASIDE}*")):
        raise StoreAbsent(
            f"There is no store of labels at {path}; look at the name, or begin an empty one there with "
            "'puncta annotations check --begin-anew'.",
            path,
        )


def _open_file(url: URL, path: Path, begin_anew: bool) -> Engine:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"The folder of the store, {path.parent}, cannot be made: {error.strerror}.") from error
    if path.exists():
        _check_file(path)
    elif not begin_anew and (aside := sorted(path.parent.glob(f"{path.name}{SET_ASIDE}*"))):
        kept = [p for p in aside if not p.name.endswith(("-wal", "-shm"))]
        if kept:
            raise StoreDamaged(_damaged_text(path, kept[-1]), kept[-1], backups_of(path))
    engine = sa.create_engine(url, connect_args={"timeout": BUSY_S})
    sa.event.listen(engine, "connect", _prepare)
    sa.event.listen(engine, "begin", _begin)
    try:
        _bring_up_to_date(engine, path.parent / "backups")
    except DBAPIError as error:
        engine.dispose()
        told = in_plain_words(url, error)
        if told is None:
            raise
        raise told from error
    except BaseException:
        engine.dispose()
        raise
    return engine


def _prepare(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # transactions begin where `_begin` says so, not where sqlite3 guesses
    for line in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {line}").close()


def _begin(connection: Connection) -> None:
    writes = connection.get_execution_options().get(WRITE, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _check_file(path: Path) -> None:
    """Set a damaged file aside and say so.

    A file that is locked, or cannot be read for the moment, is not damaged. A file that is no SQLite file is somebody's
    own, named by mistake, unless it lies in the program's own place: it stays where it is.
    """
    try:
        with path.open("rb") as file:
            begins = file.read(len(HEADER))
    except OSError as error:
        raise UserError(f"The store {path} cannot be opened: {error.strerror}.") from error
    if begins and begins != HEADER and not is_own_place(path):
        raise UserError(f"{path} is not a store of labels and stays as it is; give the file of a store, or a new name.")
    try:
        with contextlib.closing(sqlite3.connect(path, timeout=BUSY_S)) as connection:
            rows = connection.execute("PRAGMA quick_check(5)").fetchall()
            broken = "" if rows == [("ok",)] else str(rows[0][0])
            tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    except sqlite3.OperationalError as error:
        if "malformed" not in str(error) and "disk image" not in str(error):
            raise UserError(f"The store {path} cannot be opened: {why_of_file(str(error))}.") from error
        broken = str(error)
    except sqlite3.DatabaseError as error:
        broken = str(error)
    if not broken:
        if tables and "alembic_version" not in tables:
            raise UserError(f"{path} is a database of another program and stays as it is; give the file of a store.")
        return
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%f")
    kept = path.with_name(f"{path.name}{SET_ASIDE}{stamp}")
    os.replace(path, kept)
    for end in ("-wal", "-shm"):
        beside = path.with_name(path.name + end)
        if beside.exists():
            os.replace(beside, kept.with_name(kept.name + end))
    raise StoreDamaged(_damaged_text(path, kept), kept, backups_of(path))


def _damaged_text(path: Path, kept: Path) -> str:
    return (
        f"The store {path.name} is damaged and is kept as {kept}; put a backup back, or begin "
        "an empty one with 'puncta annotations check --begin-anew'."
    )


def backups_of(path: Path) -> tuple[Path, ...]:
    """Return the backups of a store's file, newest first."""
    return tuple(sorted((path.parent / "backups").glob(f"{path.stem}-*.sqlite"), reverse=True))


def restore_backup(path: Path, backup: Path) -> None:
    """Put a backup in the place of a store's file that is not there.

    Raises
    ------
    UserError
        There is a store, or the backup is damaged.
    """
    if path.exists():
        raise UserError(f"There is a store at {path}; move it away before a backup takes its place.")
    with contextlib.closing(sqlite3.connect(f"file:{backup}?mode=ro", uri=True)) as connection:
        try:
            good = connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        except sqlite3.DatabaseError:
            good = False
    if not good:
        raise UserError(f"The backup {backup} is damaged too; choose another one.")
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    shutil.copyfile(backup, temporary)
    os.replace(temporary, path)


# Migrations.


def _script() -> ScriptDirectory:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).resolve().parent / "migrations").replace("%", "%%"))
    return ScriptDirectory.from_config(config)


def newest_form() -> str:
    """Return the number of the newest migration."""
    return str(_script().get_current_head())


def migrate(connection: Connection, to: str = "head") -> None:
    """Bring the tables to a form, in the connection's transaction."""
    script = _script()

    def steps(revision: Any, _context: MigrationContext) -> Any:
        return script._upgrade_revs(to, revision)

    with EnvironmentContext(Config(), script, fn=steps) as environment:
        environment.configure(connection=connection, target_metadata=METADATA)
        environment.run_migrations()


def _bring_up_to_date(engine: Engine, backups: Path) -> None:
    script = _script()
    newest = str(script.get_current_head())
    with engine.connect() as connection:
        current = MigrationContext.configure(connection).get_current_revision()
    if current == newest:
        return
    if current is not None:
        known = {step.revision for step in script.walk_revisions()}
        if current not in known:
            raise UserError(f"The store is of a newer Puncta (form {current}, this one knows {newest}); update Puncta.")
        _back_up(engine, backups, current)
    with engine.connect().execution_options(**{WRITE: True}) as connection, connection.begin():
        if engine.dialect.name == "postgresql":
            # Two programs may open a new store at once; the second one waits and then finds nothing to do.
            connection.execute(sa.text("SELECT pg_advisory_xact_lock(728362611)"))
        if MigrationContext.configure(connection).get_current_revision() != newest:
            migrate(connection)


def _back_up(engine: Engine, folder: Path, form: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%f")
    if engine.dialect.name != "sqlite":
        backup_rows(engine, folder / f"{engine.url.database}-{stamp}-form-{form}.jsonl.gz")
        return
    name = Path(str(engine.url.database)).stem
    target = folder / f"{name}-{stamp}-form-{form}.sqlite"
    temporary = target.with_suffix(".tmp")
    with (
        contextlib.closing(sqlite3.connect(str(engine.url.database))) as source,
        contextlib.closing(sqlite3.connect(temporary)) as copy,
    ):
        source.backup(copy)
    os.replace(temporary, target)
