"""What this program wrote is told from what somebody else wrote."""

from __future__ import annotations

from pathlib import Path

import pytest

from puncta.formats.own_files import LOOKED_AT, is_our_output


@pytest.mark.parametrize(("content", "ours"), [
    (b"", True),
    (b'{"key":{"index":0,"pts_ns":0}}\n', True),
    (b"\0" * 3 * LOOKED_AT + b"Simulation and training only, not for clinical use", True),
    (b'{\n "format": "puncta-truth",\n', True),
    (b"my notes", False),
    (b'{"keys": 1}', False),
    # In the middle of a long film of somebody else it is no notice of ours.
    (b"\0" * 2 * LOOKED_AT + b"Simulation and training only" + b"\0" * 2 * LOOKED_AT, False),
])
def test_outputs_are_known_by_their_notice(tmp_path: Path, content: bytes, ours: bool) -> None:
    (tmp_path / "file").write_bytes(content)
    assert is_our_output(tmp_path / "file") is ours
