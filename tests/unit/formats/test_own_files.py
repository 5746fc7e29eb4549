"""What this program wrote is told from what somebody else wrote."""

from __future__ import annotations

from pathlib import Path

import pytest

from puncta.formats.own_files import LOOKED_AT, is_our_output

NOTICE = b"Simulation and training only, not for clinical use"
FILM = b"\0\0\0 ftypisom"


@pytest.mark.parametrize(("name", "content", "ours"), [
    ("made-ready", b"", True),
    ("r.jsonl", b'{"key":{"index":0,"pts_ns":0}}\n', True),
    ("r.mp4", FILM + b"\0" * 3 * LOOKED_AT + NOTICE, True),
    ("r.html", b"<!doctype html><p>" + NOTICE, True),
    ("d.csv", b"plugin,frame,note\ntip,3,\"" + NOTICE.lower() + b"\"\n", True),
    ("c.dcm", b"\0" * 128 + b"DICM" + NOTICE, True),
    ("truth.json", b'{\n "format": "puncta-truth",\n', True),
    ("notes.txt", b"my notes", False),
    ("r.jsonl", b'{"keys": 1}', False),
    # A text that quotes the notice, whatever it is called.
    ("README.md", b"# A program\n" + NOTICE, False),
    ("film.mp4", b"my notes: " + NOTICE, False),
    # In the middle of a long film of somebody else it is no notice of ours.
    ("r.mp4", FILM + b"\0" * 2 * LOOKED_AT + NOTICE + b"\0" * 2 * LOOKED_AT, False),
])
def test_outputs_are_known_by_kind_and_notice(tmp_path: Path, name: str, content: bytes, ours: bool) -> None:
    (tmp_path / name).write_bytes(content)
    assert is_our_output(tmp_path / name) is ours
