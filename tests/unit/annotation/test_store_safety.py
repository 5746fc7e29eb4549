"""What becomes of a store that is damaged, older, newer, or whose process is killed in the middle of a gesture."""

from __future__ import annotations

import gzip
import json
import sqlite3
from contextlib import closing
from pathlib import Path

import kill_labelling
import pg_server
import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from label_maker import do, key, make_case

from puncta.annotation import store_open
from puncta.annotation.commands import Board, draw
from puncta.annotation.labels import TipLabel
from puncta.annotation.store import AnnotationStore
from puncta.annotation.store_backup import restore_rows
from puncta.annotation.store_open import (
    WRITE,
    StoreDamaged,
    backups_of,
    default_store,
    migrate,
    newest_form,
    restore_backup,
    url_of,
)
from puncta.annotation.store_refusals import StoreUnreachable
from puncta.annotation.tables import METADATA
from puncta.core.errors import UserError


def fill(path: Path | str, frames: int = 40) -> str:
    with AnnotationStore.open(path) as store:
        case = store.add_case(make_case())
        board = Board(case.id, "anna")
        for i in range(frames):
            do(store, board, draw(board, "needle_tip", key(i), TipLabel((i, i))))
    return case.id


def test_the_store_is_as_safe_as_sqlite_can_make_it(tmp_path: Path) -> None:
    with AnnotationStore.open(tmp_path / "a.sqlite") as store, store.reading() as connection:
        told = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()
            for name in ("journal_mode", "synchronous", "foreign_keys")
        }
    assert told == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}


def test_a_damaged_store_is_set_aside_and_nothing_is_begun_in_its_place(tmp_path: Path) -> None:
    path = tmp_path / "labels.sqlite"
    case_id = fill(path)
    good = path.read_bytes()
    spoilt = bytearray(good)
    spoilt[4096 : 4096 * 6] = b"\x5a" * (4096 * 5)
    path.write_bytes(spoilt)
    with pytest.raises(StoreDamaged, match="is damaged and is kept as") as caught:
        AnnotationStore.open(path)
    kept = caught.value.kept_as
    assert not path.exists() and kept.read_bytes() == bytes(spoilt) and kept.parent == tmp_path
    with pytest.raises(StoreDamaged) as again:
        AnnotationStore.open(path)
    assert again.value.kept_as == kept and not path.exists(), "an empty store is never begun unasked"
    backup = tmp_path / "backups" / "labels-2026-form-0001.sqlite"
    backup.parent.mkdir()
    backup.write_bytes(good)
    assert backups_of(path) == (backup,)
    restore_backup(path, backup)
    with AnnotationStore.open(path) as store:
        assert len(store.labels(case_id)) == 40
    with pytest.raises(UserError, match="There is a store at"):
        restore_backup(path, backup)


def test_a_file_with_the_header_of_a_store_is_set_aside(tmp_path: Path) -> None:
    set_aside_and_begin_anew(tmp_path / "labels.sqlite", b"SQLite format 3\x00" + b"\xff" * 200)


def test_in_the_own_place_whatever_is_no_store_is_set_aside(user_home: Path) -> None:
    path = default_store()
    path.parent.mkdir(parents=True)
    set_aside_and_begin_anew(path, b"not a database at all, but long enough" * 50)


def set_aside_and_begin_anew(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(StoreDamaged) as caught:
        AnnotationStore.open(path)
    assert caught.value.kept_as.read_bytes() == content
    with AnnotationStore.open(path, begin_anew=True) as store:
        assert store.cases() == ()
    with AnnotationStore.open(path) as store:
        assert store.cases() == (), "begun on purpose, so it opens from now on"
    assert caught.value.kept_as.exists()


@pytest.mark.parametrize("begin_anew", [False, True])
@pytest.mark.parametrize("content", [b"\0" * 128 + b"DICM" + b"\1" * 4000, b"x", b"SQLite format 2\x00" + b"." * 99])
def test_a_file_of_somebody_else_is_never_touched(tmp_path: Path, content: bytes, begin_anew: bool) -> None:
    path = tmp_path / "a.dcm"
    path.write_bytes(content)
    for where in (path, f"sqlite:///{path}"):
        with pytest.raises(UserError, match="a.dcm is not a store of labels and stays as it is") as caught:
            AnnotationStore.open(where, begin_anew=begin_anew)
        assert not isinstance(caught.value, StoreDamaged)
    assert [p.name for p in tmp_path.iterdir()] == ["a.dcm"] and path.read_bytes() == content


def test_a_database_of_another_program_is_never_touched(tmp_path: Path) -> None:
    path = tmp_path / "places.sqlite"
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE bookmarks (id INTEGER)")
        other.commit()
    content = path.read_bytes()
    with pytest.raises(UserError, match="places.sqlite is a database of another program and stays as it is"):
        AnnotationStore.open(path)
    assert path.read_bytes() == content and [p.name for p in tmp_path.iterdir()] == ["places.sqlite"]


def test_a_damaged_backup_is_refused(tmp_path: Path) -> None:
    backup = tmp_path / "b.sqlite"
    backup.write_bytes(b"x" * 5000)
    with pytest.raises(UserError, match="damaged too"):
        restore_backup(tmp_path / "labels.sqlite", backup)
    assert not (tmp_path / "labels.sqlite").exists()


def make_old_form(engine: sa.Engine) -> None:
    with engine.connect().execution_options(**{WRITE: True}) as connection, connection.begin():
        migrate(connection, "0001")
        connection.execute(
            sa.text(
                "INSERT INTO cases (id, title, stream, label_set, uri, width_px, height_px, fps, simulated, licence, "
                "revision, created_utc) VALUES ('c1', 'Old', 'clip', 'needle', '', 8, 6, 25, :no, '', 1, '2026')"
            ),
            {"no": False},
        )


def test_an_older_file_is_backed_up_and_brought_up_to_date(tmp_path: Path) -> None:
    path = tmp_path / "labels.sqlite"
    engine = sa.create_engine(url_of(path))
    make_old_form(engine)
    engine.dispose()
    with AnnotationStore.open(path) as store:
        assert [c.title for c in store.cases()] == ["Old"]
    (backup,) = backups_of(path)
    assert "form-0001" in backup.name
    with closing(sqlite3.connect(backup)) as old:
        names = {row[0] for row in old.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        assert "assignments" not in names
        assert old.execute("SELECT title FROM cases").fetchall() == [("Old",)]
    with AnnotationStore.open(path):
        assert len(backups_of(path)) == 1, "nothing to do, nothing to back up"


QUEUE = (
    "INSERT INTO suggestions (case_id, source, frame_index, reason, score, text) VALUES (:c, 'm', :i, 'doubt', .5, '')"
)
CASE_ROW = (
    "INSERT INTO cases (id, title, stream, label_set, uri, width_px, height_px, fps, simulated, licence, revision, "
    "created_utc) VALUES (:c, 'Old', 'clip', 'needle', '', 8, 6, 25, :no, '', 1, '2026')"
)
GESTURE = (
    "INSERT INTO commands (uid, case_id, rater, kind, title, automatic, revision, made_utc) "
    "VALUES (:uid, 'c1', :rater, 'gesture', 'x', :automatic, 1, '2026')"
)


def test_a_queue_of_an_older_store_stays_with_whom_it_was_made_for(place: Path | str, user_home: Path) -> None:
    engine = sa.create_engine(url_of(place))
    with engine.connect().execution_options(**{WRITE: True}) as connection, connection.begin():
        migrate(connection, "0002")
        for case in ("c1", "c2"):
            connection.execute(sa.text(CASE_ROW), {"c": case, "no": False})
            connection.execute(sa.text(QUEUE), [{"c": case, "i": index} for index in (4, 7)])
        for uid, rater, automatic in (("u1", "bert", True), ("u2", "anna", True), ("u3", "bert", False)):
            connection.execute(sa.text(GESTURE), {"uid": uid, "rater": rater, "automatic": automatic})
    engine.dispose()
    with AnnotationStore.open(place) as store:
        assert [s.index for s in store.suggestions("c1", "anna")] == [4, 7]
        assert store.suggestions("c1", "bert") == () == store.suggestions("c2", "anna")
        backups = user_home / "data" / "annotations" / "backups"
        kept = backups_of(Path(place)) if isinstance(place, Path) else sorted(backups.rglob("*form-0002*"))
        assert len(kept) == 1 and "form-0002" in kept[0].name
        with store.writing() as connection:
            context = MigrationContext.configure(connection)
            assert context.get_current_revision() == newest_form()


def test_a_migration_that_fails_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "labels.sqlite"
    engine = sa.create_engine(url_of(path))
    make_old_form(engine)
    engine.dispose()
    real = migrate

    def fail(connection: sa.Connection, to: str = "head") -> None:
        real(connection, to)
        raise RuntimeError("power cut")

    monkeypatch.setattr("puncta.annotation.store_open.migrate", fail)
    with pytest.raises(RuntimeError, match="power cut"):
        AnnotationStore.open(path)
    with closing(sqlite3.connect(path)) as file:
        assert file.execute("SELECT version_num FROM alembic_version").fetchall() == [("0001",)]
    monkeypatch.undo()
    with AnnotationStore.open(path) as store:
        assert [c.title for c in store.cases()] == ["Old"]


def test_an_older_server_is_backed_up_row_by_row(postgres: pg_server.Server, user_home: Path) -> None:
    address = postgres.make_store("older")
    engine = sa.create_engine(url_of(address))
    make_old_form(engine)
    engine.dispose()
    with AnnotationStore.open(address) as store:
        assert [c.title for c in store.cases()] == ["Old"]
    (backup,) = (user_home / "data" / "annotations" / "backups").glob("*.jsonl.gz")
    with gzip.open(backup, "rt") as lines:
        rows = [json.loads(line) for line in lines]
    assert [r["row"]["title"] for r in rows if r["table"] == "cases"] == ["Old"]
    empty = AnnotationStore.open(postgres.make_store("restored"))
    with empty.writing() as connection:
        assert restore_rows(connection, backup) == 1
    assert [c.id for c in empty.cases()] == ["c1"]
    empty.close()


def test_a_newer_store_is_refused_and_kept(place: Path | str) -> None:
    with AnnotationStore.open(place) as store, store.writing() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(UserError, match=f"newer Puncta .form 9999, this one knows {newest_form()}"):
        AnnotationStore.open(place)


def test_the_migrations_make_the_tables_the_code_uses(store: AnnotationStore) -> None:
    with store.reading() as connection:
        assert compare_metadata(MigrationContext.configure(connection), METADATA) == []


def test_a_server_that_does_not_answer_is_named_without_its_password() -> None:
    with pytest.raises(StoreUnreachable, match="does not answer: nothing listens at 127.0.0.1:9") as caught:
        AnnotationStore.open("postgresql://anna:secret@127.0.0.1:9/lab")
    assert "secret" not in str(caught.value) and "psycopg" not in str(caught.value)


def test_what_a_server_refuses_is_told_in_our_own_words(postgres: pg_server.Server) -> None:
    address = postgres.make_store("refusing")
    AnnotationStore.open(address).close()
    here = f"127.0.0.1:{postgres.port}"
    for wrong, words in (
        (f"postgresql://puncta@{here}/nowhere", "has no database 'nowhere'"),
        (f"postgresql://nobody@{here}/postgres", "has no user 'nobody'"),
        (f"postgresql://puncta@no-such-host.invalid:{postgres.port}/postgres", "no computer called"),
    ):
        with pytest.raises(StoreUnreachable, match=words):
            AnnotationStore.open(wrong)
    with AnnotationStore.open(address) as store, store.writing() as connection:
        connection.execute(sa.text("CREATE ROLE reader LOGIN"))
        connection.execute(sa.text("GRANT USAGE ON SCHEMA refusing TO reader"))
        connection.execute(sa.text("GRANT SELECT ON ALL TABLES IN SCHEMA refusing TO reader"))
    with AnnotationStore.open(address.replace("puncta@", "reader@")) as store:
        assert store.cases() == ()
        with pytest.raises(UserError, match="does not allow 'reader' to do this"):
            store.add_case(make_case())


def test_a_store_that_another_program_holds_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_open, "BUSY_S", 0.01)
    holder = sqlite3.connect(tmp_path / "held.sqlite", isolation_level=None)
    holder.execute("CREATE TABLE alembic_version (version_num TEXT)")
    holder.execute("BEGIN EXCLUSIVE")
    with pytest.raises(UserError, match="another program holds it; close that one"):
        AnnotationStore.open(tmp_path / "held.sqlite")
    holder.close()


def test_a_store_that_may_not_be_written_says_so(tmp_path: Path) -> None:
    with AnnotationStore.open(tmp_path / "labels.sqlite") as store:
        with store.reading() as connection:
            connection.exec_driver_sql("PRAGMA query_only=ON")
        sa.event.listen(store.engine, "connect", lambda link, _r: link.execute("PRAGMA query_only=ON").close())
        with pytest.raises(UserError, match="may not be written; change its permissions"):
            store.add_case(make_case())


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("mysql://host/x", "cannot lie in 'mysql'"),
        ("://", "not the address"),
        ("postgresql://anna:secret@host:port/x", r"'postgresql://anna:\*\*\*@host:port/x' is not the address"),
        ("postgresql://u:p@ss@host:bad/x", r"'postgresql://u:\*\*\*@host:bad/x' is not the address"),
        ("postgresql://u:p/s@s@host:bad/x", r"'postgresql://u:\*\*\*@host:bad/x' is not the address"),
        ("sqlite:///:memory:", "keeps nothing"),
    ],
)
def test_an_address_that_is_none_is_refused(address: str, words: str) -> None:
    with pytest.raises(UserError, match=words):
        AnnotationStore.open(address)


def test_a_locked_store_is_not_taken_for_a_damaged_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "labels.sqlite"
    fill(path, 2)
    monkeypatch.setattr("puncta.annotation.store_open.BUSY_S", 0.2)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("PRAGMA locking_mode=EXCLUSIVE").close()
        other.execute("PRAGMA journal_mode=DELETE").close()
        other.execute("BEGIN EXCLUSIVE").close()
        with pytest.raises(UserError, match="locked") as caught:
            AnnotationStore.open(path)
    assert not isinstance(caught.value, StoreDamaged) and path.exists()


def test_killed_while_labelling_nothing_confirmed_is_lost(tmp_path: Path) -> None:
    """A few kills; `python tests/bench/annotation_kills.py` does 200."""
    told = kill_labelling.run(tmp_path, kills=3, seed=5)
    assert told.kills == 3 and told.acknowledged > 0
    assert told.lost == [] and told.torn == []
