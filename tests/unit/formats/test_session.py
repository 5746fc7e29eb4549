"""A session whose recording was cut off anywhere opens with what is whole, and says so."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path

import numpy as np
import pytest
from paced_source import PacedSource

from puncta.core.errors import UserError
from puncta.core.frame import FrameKey, hash_planes
from puncta.core.results import ClassResult
from puncta.formats.frames_log import FramesHead, read_index
from puncta.formats.results_lines import ResultLine
from puncta.formats.session import FRAMES_FILE, lock, open_session
from puncta.formats.validate import validate
from puncta.recording.kept_region import Layout, keeping_of
from puncta.recording.session_parts import Coded, Found, SessionFacts
from puncta.recording.session_writer import SessionWriter

FRAMES = 20


@pytest.fixture(scope="module")
def unclosed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recording that was killed after 20 frames, the last 5 not surely on the disk."""
    source = PacedSource((64, 64), count=FRAMES)
    first = source.read()
    layout = Layout("gray8", True)
    keeping = keeping_of(first, layout, whole=True)
    folder = tmp_path_factory.mktemp("sessions") / "killed"
    facts = SessionFacts("paced", "Paced", True, FramesHead("magicyuv", "gray8", 64, 64), keeping)
    writer = SessionWriter(folder, facts, sync_every_s=None)
    for n in range(FRAMES):
        pixels = source.pixels(n)
        sha = hash_planes((pixels,))
        coded = Coded(n, n * 40_000_000, n * 40_000_000, pixels.tobytes(), True, sha)
        record = writer.add(coded, waiting=3 * (n == 17))
        line = ResultLine(FrameKey("", n, 0, sha), {"echo": (ClassResult("csf", True, 0.5),)})
        writer.add_results(record, Found(line))
        if n == 14:
            writer.sync()
    writer.abandon()
    return folder


@pytest.fixture
def killed(unclosed: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(unclosed, tmp_path / "killed"))


def test_a_killed_recording_loses_nothing_that_was_written(killed: Path) -> None:
    before = validate(killed)
    assert before.problems == () and "ended without closing" in before.notes[0]
    assert json.loads((killed / "session.json").read_text())["files"] == []  # a check changes nothing
    session = open_session(killed)
    assert len(session.index.records) == FRAMES
    assert session.notes[0].startswith("The recording ended without closing")
    after = json.loads((killed / "session.json").read_text())
    assert after["repaired"]["says"] == session.notes[0]
    assert after["results"][0]["plugins"] == ["echo"]
    assert not (killed / ".spare").exists()
    assert validate(killed).problems == ()
    assert open_session(killed).notes == session.notes  # it goes on saying so


def test_cut_anywhere_the_whole_frames_before_it_open(killed: Path, unclosed: Path) -> None:
    index = read_index(unclosed / FRAMES_FILE)
    rng = random.Random(5)
    data = (unclosed / FRAMES_FILE).read_bytes()
    for _ in range(12):
        cut = rng.randrange(index.records[0].offset, len(data))
        shutil.rmtree(killed)
        shutil.copytree(unclosed, killed)
        (killed / FRAMES_FILE).write_bytes(data[:cut])
        session = open_session(killed)
        assert len(session.index.records) == sum(r.end <= cut for r in index.records)
        assert validate(killed).problems == ()
        lines = (killed / "results.jsonl").read_text().splitlines()
        assert len(lines) == len(session.index.records)


@pytest.mark.parametrize("filler", [b"\0", b"\xa5"], ids=["zeros", "rubbish"])
def test_blocks_that_never_reached_the_disk_are_found_by_their_checksum(killed: Path, filler: bytes) -> None:
    path = killed / FRAMES_FILE
    records = read_index(path).records
    data = bytearray(path.read_bytes())
    hole = records[17].offset + 200  # inside a frame after the last sync
    data[hole : hole + 512] = filler * 512
    path.write_bytes(bytes(data))
    session = open_session(killed)
    assert len(session.index.records) == 17
    assert "torn piece" in session.notes[0]
    assert validate(killed).problems == ()


def test_torn_lines_of_results_and_events_are_cut_off(killed: Path) -> None:
    for name in ("results.jsonl", "events.jsonl"):
        with (killed / name).open("ab") as file:
            file.write(b'{"type":"note","t_ns":1,"after' + bytes(40))
    open_session(killed)
    assert validate(killed).problems == ()
    assert len((killed / "results.jsonl").read_text().splitlines()) == FRAMES


def test_a_recording_under_way_is_read_and_left_alone(killed: Path) -> None:
    before = {p.name: p.read_bytes() for p in killed.iterdir()}
    with (killed / FRAMES_FILE).open("r+b") as file:
        if not lock(file):
            pytest.skip("this system has no locks on files")
        session, checked = open_session(killed), validate(killed)
    if "still being recorded" not in session.notes[0]:
        pytest.skip("this system has no locks on files")
    assert len(session.index.records) == FRAMES
    assert checked.problems == () and checked.notes[0] == session.notes[0]
    assert {p.name: p.read_bytes() for p in killed.iterdir()} == before


def test_a_folder_that_cannot_be_written_opens_as_it_is(killed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_args: object) -> None:
        raise UserError("Cannot write session.json: read-only file system.")

    monkeypatch.setattr("puncta.formats.session.write_json", refuse)
    session = open_session(killed)
    assert len(session.index.records) == FRAMES and "ended without closing" in session.notes[0]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda f: (f / FRAMES_FILE).unlink(), "killed is not whole: frames.pfr is missing."),
        (lambda f: (f / FRAMES_FILE).write_bytes(b"PUNCTA"), "not a file of frames"),
        (lambda f: (f / "session.json").write_text("{}"), "is not a session that can be opened: "),
        (lambda f: (f / "session.json").write_text('{"version": 2}'), "session of version 2; update Puncta"),
        (lambda f: (f / "session.json").write_text("{"), "is not JSON"),
    ],
)
def test_what_cannot_be_opened_is_refused_in_one_sentence(killed: Path, change, sentence: str) -> None:  # noqa: ANN001
    change(killed)
    with pytest.raises(UserError, match=sentence.replace(".", r"\.")) as refused:
        open_session(killed)
    assert "\n" not in str(refused.value)


def test_doctor_finds_what_does_not_add_up(killed: Path) -> None:
    open_session(killed)
    manifest = json.loads((killed / "session.json").read_text())
    manifest["accounting"] = {"received": 25, "stored": 20, "lost": 4}
    manifest["streams"][0]["width"] = 63
    (killed / "session.json").write_text(json.dumps(manifest))
    assert validate(killed).problems == (
        "streams[0].width: the manifest says 63, frames.pfr 64",
        "accounting: 25 received are not 20 stored and 4 lost",
        "accounting.lost: 4 frames were lost, the gaps declare 0",
    )


def test_a_changed_byte_of_a_closed_session_is_found(killed: Path) -> None:
    open_session(killed)
    data = bytearray((killed / FRAMES_FILE).read_bytes())
    data[-50] ^= 1
    (killed / FRAMES_FILE).write_bytes(bytes(data))
    assert "frames.pfr has another hash; it was changed or damaged" in validate(killed).problems[0]
    assert np.frombuffer(bytes(data), np.uint8).size == len(data)


def test_it_says_how_many_frames_waited_when_the_last_one_was_written(killed: Path) -> None:
    path = killed / FRAMES_FILE
    records = read_index(path).records
    path.write_bytes(path.read_bytes()[: records[17].end])
    assert "3 frames that waited for the disk and what came after may be missing" in open_session(killed).notes[0]
