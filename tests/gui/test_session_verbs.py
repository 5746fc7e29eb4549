"""A recorded session in the window: exported by a dialog, and another analysis of it drawn beside what is found now."""

from __future__ import annotations

import csv
from pathlib import Path

import pydicom
import pytest
from made_session import found_on, make_session

from puncta.core.overlay_kinds import Dash
from puncta.core.results import Detection
from puncta.gui.session_verbs import OTHER_COLOUR

PATIENCE_MS = 20_000


def lower(frame) -> tuple:
    """As recorded, but the tip is three pixels lower."""
    x0, y0, *_ = frame.geometry.region.box
    tip = (x0 + 40.0 + frame.frame_id, y0 + 33.0)
    return (Detection("needle_tip", (tip[0] - 4, tip[1] - 2, 8.0, 4.0), tip, 0.9, 5.0), *found_on(frame)[1:])


@pytest.fixture
def session(tmp_path: Path) -> Path:
    folder = make_session(tmp_path / "made")
    again = make_session(tmp_path / "again", find=lower)
    (folder / "analyses").mkdir()
    (folder / "analyses" / "02-needle-tip.jsonl").write_bytes((again / "results.jsonl").read_bytes())
    return folder


def opened(stage, qtbot, uri: str):
    from puncta.sources.factory import open_source

    parts = stage.open(opener=open_source)
    window = parts.window
    window.open_uri(uri)
    qtbot.waitUntil(lambda: window.mode == "review" and window.desk.analysis is not None, timeout=PATIENCE_MS)
    window.desk.player.pause()
    return window


def test_a_session_is_exported_from_the_window(stage, qtbot, session: Path, tmp_path: Path) -> None:
    window = opened(stage, qtbot, str(session))
    window.does.run("export")
    dialog = window.does.dialogs["export"]
    assert [dialog.analysis.itemText(n) for n in range(dialog.analysis.count())][1] == "02-needle-tip"
    out = tmp_path / "out"
    dialog.folder.setText(str(out))
    for box in dialog.boxes:
        box.setChecked(True)
    dialog.buttons.accepted.emit()
    assert "not there" in dialog._note.text()  # the folder; the dialog stays open
    out.mkdir()
    dialog.analysis.setCurrentIndex(1)
    dialog.go.click()
    qtbot.waitUntil(lambda: "export" not in window.does.dialogs, timeout=PATIENCE_MS)
    assert sorted(p.name for p in out.iterdir()) == [
        "made-findings.csv", "made-overlay.mp4", "made-pictures", "made-raw.mp4", "made.dcm",
    ]  # fmt: skip
    assert pydicom.dcmread(out / "made.dcm").NumberOfFrames == 8
    tips = [r for r in csv.DictReader((out / "made-findings.csv").open()) if r["label"] == "needle_tip"]
    assert {float(r["tip_y_px"]) for r in tips} == {33.0}
    assert "Exported 8 frames" in window.status_line._message.toolTip() + window.status_line._message.text()


def test_a_second_export_takes_another_name(stage, qtbot, session: Path, tmp_path: Path) -> None:
    (tmp_path / "made-overlay.mp4").write_bytes(b"mine")
    window = opened(stage, qtbot, str(session))
    window.does.run("export")
    window.does.dialogs["export"].go.click()
    qtbot.waitUntil(lambda: (tmp_path / "made-2-overlay.mp4").is_file(), timeout=PATIENCE_MS)
    assert (tmp_path / "made-overlay.mp4").read_bytes() == b"mine"


def test_a_blind_reader_exports_the_film_but_not_what_was_found_on_it(
    stage, qtbot, session: Path, tmp_path: Path
) -> None:
    window = opened(stage, qtbot, str(session))
    window.desk.set_blind(True)
    window.does.run("export")
    dialog = window.does.dialogs["export"]
    assert not dialog.burned.isEnabled() and not dialog.table.isEnabled()
    assert "You read this case blind" in dialog._note.text() and "blind" in dialog.table.toolTip()
    for box in dialog.boxes:
        box.click()
    dialog.raw.setChecked(True)
    dialog.go.click()
    qtbot.waitUntil(lambda: "export" not in window.does.dialogs, timeout=PATIENCE_MS)
    written = sorted(p.name for p in tmp_path.iterdir() if p.is_file())
    assert "made-raw.mp4" in written and not {"made-overlay.mp4", "made-findings.csv"} & set(written)


def test_another_analysis_is_drawn_beside_and_compared(stage, qtbot, session: Path) -> None:
    before = (session / "results.jsonl").read_bytes()
    window = opened(stage, qtbot, str(session))
    window.does.run("compare")
    dialog = window.does.dialogs["compare"]
    dialog.choices.setCurrentIndex(2)
    qtbot.waitUntil(lambda: "apart median 3.0 px" in dialog.table.toPlainText(), timeout=PATIENCE_MS)
    dialog.accept()

    def others() -> list:
        return [item for item in window.stage.view.scene.items if item.colour == OTHER_COLOUR]

    qtbot.waitUntil(lambda: bool(others()), timeout=PATIENCE_MS)
    assert {item.dash for item in others() if hasattr(item, "dash")} == {Dash.DOTTED}
    assert "Tips apart" in [read_out.name for read_out in window.stage.view.scene.read_outs]
    window.does.case.show_beside(None)
    assert others() == []
    assert (session / "results.jsonl").read_bytes() == before


def test_what_is_no_session_has_nothing_to_compare_with(stage, qtbot, session: Path) -> None:
    parts = stage.open()
    parts.window.does.run("compare")
    parts.window.does.run("export")
    assert parts.window.does.dialogs == {}
