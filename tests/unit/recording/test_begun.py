"""A recording that was cut off before its first picture is told at the next start, once, and no other one is."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from paced_source import PacedSource

from puncta import paths
from puncta.core.errors import UserError
from puncta.recording.begun import CUT_OFF_S, PLACE, note_begun, take_never_began
from puncta.recording.recorder import Recorder
from puncta.session.record import RecordRequest, record_case
from puncta.sources.native_layout import layout_of

KILLED = """
import os, sys
from pathlib import Path
from puncta.recording.recorder import Recorder
from puncta.sources.native_layout import layout_of
recorder = Recorder(layout_of)
recorder.begin(Path(sys.argv[1]))
os.kill(os.getpid(), 9)
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
def test_a_kill_before_the_first_picture_is_told_once(tmp_path: Path, repo_root: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path / "s")],
        env=os.environ | {"PYTHONPATH": str(repo_root / "app")}, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == -9 and not (tmp_path / "s").exists()
    (told,) = take_never_began()
    assert told.folder == tmp_path / "s" and "before its first picture was stored" in told.words
    assert take_never_began() == []


def test_a_recording_under_way_is_left_alone_and_one_that_began_is_not_told(tmp_path: Path) -> None:
    recorder = Recorder(layout_of, pre_roll_s=0.0)
    try:
        recorder.begin(tmp_path / "s")
        assert recorder.wait_idle()
        if os.name != "nt":
            assert take_never_began() == [], "its program still waits for a picture"
        recorder.put_wait(PacedSource(count=1).read())
        assert recorder.wait_idle()
        recorder.end()
        assert recorder.wait_idle()
    finally:
        recorder.close()
    assert (tmp_path / "s" / "session.json").is_file() and take_never_began() == []


def test_a_recording_that_was_refused_in_a_sentence_is_not_told_again(tmp_path: Path) -> None:
    request = RecordRequest("paced", tmp_path / "s", plugins=())
    with pytest.raises(UserError):
        record_case(request, opener=lambda _uri: PacedSource(count=3, region=False), plugins=())
    assert take_never_began() == []


def test_a_note_of_a_session_that_is_there_says_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    begun = note_begun(folder)
    folder.mkdir()
    (folder / "session.json").write_text("{}")
    assert begun._file is not None
    begun._file.close()  # as a kill just after the folder was made
    assert take_never_began() == []


@pytest.mark.parametrize("text", [b"", b'{"folder": "/s", "ut', b"[]", b'{"folder": "s", "utc": "yesterday"}', b"\xff"])
def test_a_note_that_a_kill_cut_off_does_not_stay_for_ever(text: bytes) -> None:
    place = paths.user_data_dir() / PLACE
    place.mkdir(parents=True)
    note = place / "1-2-0.json"
    note.write_bytes(text)
    assert take_never_began() == [] and note.exists(), "it may be in the middle of being written"
    then = time.time() - 2 * CUT_OFF_S
    os.utime(note, (then, then))
    assert take_never_began() == [] and not note.exists()
