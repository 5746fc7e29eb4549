"""What is done with a recorded case as a whole: export it, and compare another analysis with what is found now."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QTimer, QUrl
from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import QDialog

from puncta.core.errors import UserError
from puncta.core.frame import SourceKind
from puncta.core.last_seen import LostTip
from puncta.core.overlay import OverlayScene, OverlayStyle, compose
from puncta.core.overlay_kinds import Dash, Fill, Heat, Label, OverlayItem, Ring, Stroke
from puncta.core.readings import ReadOut
from puncta.core.results import Analysis, Detection
from puncta.formats.results_lines import ResultLine
from puncta.gui.dialogs.compare import CompareDialog
from puncta.gui.dialogs.export import ExportChoice, ExportDialog
from puncta.gui.i18n import tr
from puncta.gui.source_said import told
from puncta.gui.veil import blind_words
from puncta.session.compare import ANALYSES, compare_results, spacing_of_session, table_of
from puncta.session.export import (
    ExportRequest,
    ExportStopped,
    ExportSummary,
    analysis_from_line,
    export_case,
    findings_of,
    own_results,
    session_folder,
)

if TYPE_CHECKING:
    from puncta.gui.main_window import MainWindow

LOOK_MS = 150
OTHER_COLOUR = "good"
"""With dots and the word of the analysis beside it: what says that something is of the other analysis is the shape."""


class SessionVerbs(QObject):
    """Joins export and comparison to one window."""

    def __init__(self, window: MainWindow) -> None:
        super().__init__(window)
        self._window = window
        self._inner = window.stage.view.compose
        window.stage.view.compose = self.compose
        self._lines: dict[int, ResultLine] = {}
        self._of = ""
        self.beside: Path | None = None

    # --- analyses of a recording -----------------------------------------------------------------------------------

    def analyses(self) -> list[tuple[str, Path]]:
        """Analyses that lie with the open session: the recorded one, and later ones."""
        uri = self._window.desk.uri
        found = [(tr("recorded with the session"), file)] if (file := own_results(uri)) is not None else []
        folder = session_folder(uri)
        if folder is not None:
            found += [(file.stem, file) for file in sorted((folder / ANALYSES).glob("*.jsonl"))]
        return found

    # --- export ----------------------------------------------------------------------------------------------------

    def export(self) -> None:
        """Ask what of the open case to write, and write it in a job."""
        window, info = self._window, self._window.desk.info
        if info is None or info.kind is not SourceKind.FILE:
            window.status_line.say(tr("Only a recorded case can be exported. Record first, then open the session."))
            return
        uri = window.desk.uri
        # Whoever reads blind may have the film, but not what was found on it.
        hidden = blind_words() if window.desk.veil.on else ""
        named: list[tuple[str, Path | None]] = [] if hidden else [(words, file) for words, file in self.analyses()]
        dialog = ExportDialog(Path(uri).absolute().parent, named, window, hidden=hidden)
        stop, progress = threading.Event(), [0, 1]
        timer = QTimer(dialog)
        timer.setInterval(LOOK_MS)
        timer.timeout.connect(lambda: dialog.show_progress(*progress))

        def note(done: int, total: int | None) -> None:
            progress[:] = (done, total or 1)

        def done(summary: ExportSummary) -> None:
            timer.stop()
            dialog.accept()
            folder = summary.written[0].parent
            words = tr("Exported {count} frames to {folder}").format(count=summary.frames, folder=folder)
            open_it = QUrl.fromLocalFile(str(folder))
            window.status_line.say(words, (tr("Show folder"), lambda: QDesktopServices.openUrl(open_it)))

        def failed(error: Exception) -> None:
            timer.stop()
            if isinstance(error, ExportStopped):
                return
            if not isinstance(error, UserError):
                raise error
            dialog.say(told(str(error)))

        def go() -> None:
            try:
                request = request_of(uri, dialog.choice())
            except UserError as error:
                dialog.say(str(error))
                return
            dialog.show_progress(0, 1)
            timer.start()
            window.jobs.run(lambda: export_case(request, stop=stop, progress=note), done, failed)

        dialog.buttons.accepted.connect(go)
        dialog.buttons.rejected.connect(dialog.reject)
        dialog.finished.connect(lambda _result: stop.set())
        window.does.show_dialog(dialog, "export")

    # --- comparison ------------------------------------------------------------------------------------------------

    def compare(self) -> None:
        """Choose an analysis to show beside what is found now."""
        window = self._window
        if window.desk.veil.on:
            window.status_line.say(blind_words())
            return
        files = self.analyses()
        if not files:
            window.status_line.say(tr("No analysis lies with this case. Record a session with plugins on."))
            return
        uri = window.desk.uri

        def ask_table(file: Path) -> None:
            window.jobs.run(
                lambda: differences_of(uri, file),
                lambda text: dialog.show_table(file, text) if self._is_open(dialog) else None,
                lambda error: dialog.show_table(file, str(error)) if self._is_open(dialog) else None,
            )

        dialog = CompareDialog(files, self.beside, window)
        dialog.chosen.connect(lambda name: ask_table(Path(name)))
        dialog.follow()

        def done(result: int) -> None:
            if result == QDialog.DialogCode.Accepted:
                self.show_beside(dialog.file())

        dialog.finished.connect(done)
        window.does.show_dialog(dialog, "compare")

    def show_beside(self, file: Path | None) -> None:
        """Draw what an analysis found beside what is found now; None takes it away."""
        window, uri = self._window, self._window.desk.uri
        self.beside, self._lines, self._of = file, {}, uri
        if file is None:
            self._redraw()
            return

        def loaded(lines: dict[int, ResultLine]) -> None:
            if self.beside == file and window.desk.uri == uri:
                self._lines = lines
                self._redraw()

        def failed(error: Exception) -> None:
            if not isinstance(error, UserError):
                raise error
            self.beside = None
            window.status_line.say(told(str(error)))

        window.jobs.run(lambda: findings_of(uri, file), loaded, failed)

    def compose(
        self, analysis: Analysis, style: OverlayStyle, now_ns: int | None, lost: Sequence[LostTip] = ()
    ) -> OverlayScene:
        """Compose the scene of a picture, with what the other analysis found on it."""
        scene = self._inner(analysis, style, now_ns, lost)
        line = self._lines.get(analysis.frame.key.index) if self._of == self._window.desk.uri else None
        if line is None or self._window.mode != "review" or self._window.desk.veil.on:
            return scene
        other = analysis_from_line(analysis.frame, line)
        drawn = compose(other, style, None)
        items = tuple(_as_other(item) for item in drawn.items if not isinstance(item, Heat | Label))
        apart = _apart(analysis, other)
        read_outs = scene.read_outs if apart is None else (*scene.read_outs, apart)
        return replace(scene, items=(*items, *scene.items), read_outs=read_outs)

    def _is_open(self, dialog: CompareDialog) -> bool:
        return self._window.does.dialogs.get("compare") is dialog

    def _redraw(self) -> None:
        window = self._window
        window.stage.view.show_analysis(window.desk.analysis)
        window.show_figures()


def _as_other(item: OverlayItem) -> OverlayItem:
    """The same thing as the other analysis's: green, and dotted where a line can be."""
    if isinstance(item, Stroke | Ring | Fill):
        return replace(item, colour=OTHER_COLOUR, dash=Dash.DOTTED)
    return replace(item, colour=OTHER_COLOUR)


def _apart(analysis: Analysis, other: Analysis) -> ReadOut | None:
    """How far the two tips lie apart; says so where one of them alone found one."""
    tips = [
        next((r for o in each.outputs for r in o.results if isinstance(r, Detection)), None)
        for each in (analysis, other)
    ]
    points = [tip.tip_px if tip is not None else None for tip in tips]
    name, basis = tr("Tips apart"), tr("now and the other analysis")
    if points[0] is None and points[1] is None:
        return None
    if points[0] is None or points[1] is None:
        return ReadOut(name, None, None, "px", basis, tr("one found none"))
    dx, dy = points[0][0] - points[1][0], points[0][1] - points[1][1]
    calibration = analysis.frame.geometry.calibration
    if calibration is None:
        return ReadOut(name, (dx * dx + dy * dy) ** 0.5, None, "px", basis)
    sx, sy = calibration.mm_per_px
    return ReadOut(name, ((dx * sx) ** 2 + (dy * sy) ** 2) ** 0.5, None, "mm", basis)


def differences_of(uri: str, file: Path) -> str:
    """The small table of a recorded analysis against another one of the same session."""
    recorded, folder = own_results(uri), session_folder(uri)
    if recorded is None or folder is None or recorded == file:
        return ""
    found = compare_results(findings_of(uri, recorded), findings_of(uri, file), spacing_of_session(folder))
    return "\n".join(table_of(replace(found, names=("recorded", file.stem))))


def request_of(uri: str, choice: ExportChoice) -> ExportRequest:
    """The files of an export: named after the case, and none of them there already.

    Raises
    ------
    UserError
        The folder is not there.
    """
    if not choice.folder.is_dir():
        raise UserError(tr("This folder is not there. Choose another one."))
    case = Path(uri).parent.name if Path(uri).name == "session.json" else Path(uri).stem
    for number in range(1, 1000):
        base = choice.folder / (case if number == 1 else f"{case}-{number}")
        request = ExportRequest(
            uri,
            choice.results,
            raw=_named(base, "-raw.mp4", choice.raw),
            burned=_named(base, "-overlay.mp4", choice.burned),
            dicom=_named(base, ".dcm", choice.dicom),
            pictures=_named(base, "-pictures", choice.pictures),
            table=_named(base, "-findings.csv", choice.table),
        )
        if not any(path.exists() for path in request.targets):
            return request
    raise UserError(tr("This folder is full of exports of this case. Choose another one."))


def _named(base: Path, ending: str, wanted: bool) -> Path | None:
    return base.with_name(base.name + ending) if wanted else None
