"""Everything of one window that belongs to steering: shown while a steered simulation is open, absent otherwise."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFileDialog

from puncta.core.errors import UserError
from puncta.core.events import PlayState
from puncta.gui.i18n import tr
from puncta.gui.modes.steer import SteerBar
from puncta.gui.panels.source_panel import is_simulator
from puncta.gui.panels.steer_panel import SteerPanel
from puncta.gui.steering.gamepad import Gamepad
from puncta.gui.steering.pilot import Pilot
from puncta.gui.steering.summary import SummaryCard
from puncta.sources.steering import SteeredView, Steering

if TYPE_CHECKING:
    from puncta.gui.main_window import MainWindow


MOVES_NAME = "moves.toml"


@dataclass(frozen=True, slots=True)
class Attempt:
    """What is needed to save an attempt's moves, also after another source has taken its place."""

    uri: str
    steering: Steering


class Cockpit:
    """The steering parts of one window.

    Attributes
    ----------
    pilot : Pilot
        Joins hands and simulation.
    gamepad : Gamepad
        Read while something is steered.
    panel, bar : SteerPanel, SteerBar
        Beside and under the picture.
    summary : SummaryCard
        Over the picture when an attempt is done.
    """

    def __init__(self, window: MainWindow) -> None:
        self._window = window
        run: Callable[[str], None] = window.does.run
        self.pilot = Pilot(window.desk, window)
        self.gamepad = Gamepad(self.pilot.push, run, parent=window)
        self.panel = SteerPanel(window.theme, lambda: run("hands_card"))
        self.bar = SteerBar(window.desk, window.theme, run, self.pilot.hold)
        self.summary = SummaryCard(window.theme, self.next, window.stage.view)
        self._ended = self._saved = self._begun = self._asked = False
        self._attempt: Attempt | None = None
        window.stage.view.compose = self.pilot.compose

    @property
    def on(self) -> bool:
        """Whether what is open is steered."""
        return self.pilot.steering is not None

    def take_source(self) -> None:
        """Another case is open."""
        window, on = self._window, self.on
        self.pilot.let_go()
        self._keep_attempt()
        self.summary.setVisible(False)
        window.stage.view.hands = self.pilot if on else None
        window.stage.try_card.set_steering(on)
        self.gamepad.set_on(on)
        if on == self.panel.isHidden():
            self.panel.setVisible(on)
            window.room.restyle()
        self.panel.hands.setVisible(window.preferences.settings.hands_card)
        steering = self.pilot.steering
        self.panel.hands.set_can_fire(steering is not None and steering.can_fire)
        self.panel.attempt.show_view(None)
        if on:
            # A card that closes hands the focus to the next button, where Space would press it.
            window.stage.view.setFocus(Qt.FocusReason.OtherFocusReason)

    def show_figures(self) -> None:
        """Follow the picture on the screen, a few times a second."""
        steering = self.pilot.steering
        if steering is None:
            return
        view = self.pilot.view
        self._begun = self._begun or (view is not None and view.attempt.seconds is not None)
        self.panel.attempt.show_view(view)
        self.bar.show_view(view, can_fire=steering.can_fire)
        if view is not None and view.attempt.done and not self._ended:
            self._end(view)

    def set_keys(self, words: Mapping[str, str]) -> None:
        """Name the keys."""
        self.panel.set_keys(words)
        self.bar.set_keys(words)

    # --- the attempt -------------------------------------------------------------------------------------------

    def steer_it(self) -> None:
        """Open the simulation that is being watched as one to be steered."""
        uri = self._window.desk.uri
        if is_simulator(uri) and not self.on:
            self._window.open_uri(steered_address(uri))

    def fire(self) -> None:
        """The biopsy gun's throw."""
        self.pilot.fire()

    def done(self) -> None:
        """The attempt is finished; its summary comes with the frame that contains this."""
        view = self.pilot.view
        if view is None:
            return
        if view.attempt.done:
            self.summary.show_view(view, self._window.keyboard.words())
        elif view.attempt.seconds is None:
            self._window.status_line.say(tr("The attempt begins when the needle touches the skin."))
        else:
            self.pilot.done()

    def next(self, name: str) -> None:
        """Do what a button of the summary says."""
        {"again": self.again, "another": self.another, "save": self.save_moves}[name]()

    def again(self) -> None:
        """The same subject from the start."""
        if self.on:
            self._asked = True
            self._window.open_uri(self._window.desk.uri)

    def another(self) -> None:
        """The subject of the next seed."""
        if self.on:
            self._asked = True
            self._window.open_uri(next_subject(self._window.desk.uri))

    def toggle_hands(self) -> None:
        """Show or hide the card with the hands."""
        preferences = self._window.preferences
        preferences.set("hands_card", not preferences.settings.hands_card)
        self.panel.hands.setVisible(preferences.settings.hands_card)
        if not preferences.settings.hands_card:
            self._window.stage.view.setFocus(Qt.FocusReason.OtherFocusReason)
            key = self._window.keyboard.words().get("hands_card", "")
            if key:
                self._window.status_line.say(tr("{key} shows the card again.").replace("{key}", key))

    def save_moves(self, attempt: Attempt | None = None) -> None:
        """Ask where to save what the hands did, as a script that repeats it; without an attempt, of the open one."""
        window = self._window
        dialog = QFileDialog(window, tr("Save the moves"), str(Path.home()), f"{tr('Moves')} (*.toml)")
        dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
        dialog.setDefaultSuffix("toml")
        dialog.selectFile(MOVES_NAME)
        dialog.fileSelected.connect(lambda name: self.write_moves(Path(name), attempt))
        window.does.show_dialog(dialog, "moves")

    def write_moves(self, file: Path, attempt: Attempt | None = None) -> None:
        """Write the moves so far into a file."""
        window, asked = self._window, attempt or self._attempt
        if asked is None:
            return
        moves, uri = asked.steering.moves(), asked.uri

        def write() -> Path:
            from puncta.sources.moves import save_moves
            from puncta.sources.simulated_address import parse_simulation

            save_moves(file, parse_simulation(uri), moves)
            return file

        def failed(error: Exception) -> None:
            words = str(error) if isinstance(error, UserError) else tr("The moves cannot be saved.")
            window.stage.banners.say("moves", "bad", words)

        saved = tr("Saved as {name} in {folder}").format(name=file.name, folder=file.parent)

        def done(_file: Path) -> None:
            window.status_line.say(saved)
            if asked is self._attempt:
                self._saved = True
            else:
                window.stage.banners.hush("attempt")

        window.jobs.run(write, done, failed)

    def _keep_attempt(self) -> None:
        """Remember the attempt that begins now; where one was lost to another source, offer its moves."""
        window, steering, info = self._window, self.pilot.steering, self._window.desk.info
        left, lost = self._attempt, self._begun and not self._saved and not self._asked
        ended = self._ended
        self._attempt = None if steering is None or info is None else Attempt(info.uri, steering)
        self._ended = self._saved = self._begun = self._asked = False
        if left is None or not lost or (self._attempt is not None and self._attempt.steering is left.steering):
            return
        words = tr("Another source was opened; the moves of the attempt are not saved yet.")
        if not ended:
            words = tr("The attempt was ended, since another source was opened.")
        banners = window.stage.banners
        banners.hush("attempt")
        banners.say("attempt", "info", words, (tr("Save the moves"), lambda: self.save_moves(left)))

    def _end(self, view: SteeredView) -> None:
        self._ended = True
        self.pilot.let_go()
        if self._window.desk.status.state is PlayState.PLAYING:
            self._window.desk.player.pause()
        self.summary.show_view(view, self._window.keyboard.words())


def steered_address(uri: str) -> str:
    """The address of the same subject, to be steered."""
    head, _mark, query = uri.partition("?")
    dropped = ("steer=", "frames=", "start=", "needle=")
    parts = [part for part in query.split("&") if part and not part.startswith(dropped)]
    return f"{head}?{'&'.join([*parts, 'steer=yes'])}"


def next_subject(uri: str) -> str:
    """The same simulation with the next seed."""
    head, mark, query = uri.partition("?")
    parts = [part for part in query.split("&") if part]
    seeds = [part for part in parts if part.startswith("seed=")]
    seed = int(seeds[0].partition("=")[2]) if seeds else 1
    rest = [part for part in parts if not part.startswith("seed=")]
    return f"{head}?{'&'.join([f'seed={seed + 1}', *rest])}"
