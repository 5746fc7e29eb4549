"""Everything of one window that belongs to Models: its pages, its list, and how they follow models and trainings."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Qt, QTimer
from PySide6.QtWidgets import QStackedWidget, QVBoxLayout

from puncta.core.events import PlayState
from puncta.gui.i18n import tr
from puncta.gui.models.judging import Judging, besides_of
from puncta.gui.models.left_panel import MODEL, TRAINING, ModelsPanel
from puncta.gui.models.model_desk import COMPARING, MAKING, ModelDesk
from puncta.gui.models.model_page import ModelPage
from puncta.gui.models.model_verbs import ModelVerbs
from puncta.gui.models.plan_page import PlanPage
from puncta.gui.models.said import told
from puncta.gui.models.words import UNDER_WAY, time_words
from puncta.gui.modes.models import ModelsBar

if TYPE_CHECKING:
    from puncta.gui.main_window import MainWindow
    from puncta.gui.models.training_desk import Learned
    from puncta.gui.models.training_page import TrainingPage
    from puncta.inference.registry import ModelCard
    from puncta.session.model_comparison import Comparison
    from puncta.session.retrain import JobStatus

CURVES_MS = 1500
"""Curves of a running training are read at most this often [ms]."""
PLAN = "plan"
LOOK_BACK_MS = 1500
"""Trainings of an earlier start are looked for this long after the window has come up [ms]."""


def load_plots() -> None:
    """Import what draws curves, in a thread: pyqtgraph takes a while, and the window does not wait for it."""
    importlib.import_module("puncta.gui.models.curves")


class Modeller(QObject):
    """The parts of one window that are about models.

    Attributes
    ----------
    desk : ModelDesk
    shown : (str, str)
        "model", "training" or "plan", and what of it.
    """

    def __init__(self, window: MainWindow) -> None:
        super().__init__(window)
        self.window = window
        self.desk = ModelDesk(lambda: window.annotator.store.where, self)
        theme, run = window.theme, window.does.run
        self.left = ModelsPanel(theme, self.show_thing, self.plan)
        self.bar = ModelsBar(theme, run)
        self.pages = QStackedWidget()
        self.model_page = ModelPage(theme)
        self.plan_page = PlanPage(self.desk, theme)
        self.training_page: TrainingPage | None = None
        self.verbs = ModelVerbs(self)
        self.shown = ("", "")
        self._before = ("", "")
        self._on = False
        self._played = self._wants_focus = False
        self.asking = ""
        self.trouble = ""
        self.judging = Judging(self)
        self._texts: dict[str, str] = {}
        self._goes_on: dict[str, str] = {}
        """Why a plugin runs with another model than the one in use."""
        self._paused: set[str] = set()
        self._curves = QTimer(self)
        self._curves.setSingleShot(True)
        self._curves.setInterval(CURVES_MS)
        self._curves.timeout.connect(self._read_curves)
        self._assemble()
        self._connect()
        for part in (self.left, self.pages):
            part.hide()
        self.desk.watch.begin()
        QTimer.singleShot(LOOK_BACK_MS, self, self._look_back)

    def _assemble(self) -> None:
        window = self.window
        around = window.sources.parentWidget()
        beside = around.layout() if around is not None else None
        stage = window.stage.layout()
        assert isinstance(beside, QVBoxLayout) and isinstance(stage, QVBoxLayout)
        beside.insertWidget(0, self.left)
        stage.insertWidget(stage.indexOf(window.stage.view), self.pages, 1)
        window.bottom.addWidget(self.bar)
        self.pages.addWidget(self.model_page)
        self.pages.addWidget(self.plan_page)

    def _connect(self) -> None:
        desk = self.desk
        desk.models_changed.connect(self._show_models)
        desk.used_elsewhere.connect(self._take_elsewhere)
        desk.trainings.changed.connect(self._show_trainings)
        desk.progressed.connect(self.follow)
        desk.failed.connect(self.say)
        self.plan_page.changed.connect(self.follow)
        self.window.desk.model_switched.connect(self._switched)

    # --- the mode ----------------------------------------------------------------------------------------------

    @property
    def on(self) -> bool:
        """Whether the window is in Models."""
        return self.window.mode == "models"

    def follow_mode(self) -> None:
        """Show or take away what belongs to Models; called by `MainWindow.set_mode`, after Annotate."""
        window, on = self.window, self.on
        if on == self._on:
            return
        self._on = on
        stage = window.stage
        if on:
            stage.banners.hush("open")  # it is of a source, and Models shows none
        pictured = (stage.view, *stage.buttons.values())
        for part in (self.left, self.pages):
            part.setVisible(on)
        for other in pictured:
            other.setVisible(not on)
        stage.try_card.set_steering(on)
        annotates = window.mode == "annotate"
        for other in (window.sources, window.layers, stage.read_outs, window.top.latency):
            other.setVisible(not on and not annotates)
        if annotates:
            stage.buttons["target"].hide()
        window.top.calibration.setVisible(not on)
        info = window.desk.info
        stage.simulated.setVisible(not on and info is not None and info.simulated)
        if on:
            stage.say_hint("")
            self._hold_picture()
            self.judging.forget()
            self.desk.look()
            self.desk.trainings.begin()
            window.jobs.run(load_plots)
            self.follow()
        else:
            self.asking = ""
            self.desk.stop_long(COMPARING)  # it would take its time from the picture
            self._go_on_playing()
            stage.view.setFocus(Qt.FocusReason.OtherFocusReason)
            window.annotator.redraw()
        window.room.restyle()
        self._wants_focus = on
        if on and self.left.rows:
            self._focus()

    def _focus(self) -> None:
        self._wants_focus = False
        self.left.focus_current()

    def _hold_picture(self) -> None:
        """Nobody sees the clip; a live picture goes on, since it may be recorded."""
        desk = self.window.desk
        self._played = desk.status.state is PlayState.PLAYING and not desk.is_live
        if self._played:
            desk.player.pause()

    def _go_on_playing(self) -> None:
        desk = self.window.desk
        if self._played and desk.status.state is PlayState.PAUSED and self.window.mode != "annotate":
            desk.player.play()
        self._played = False

    def take_source(self) -> None:
        """Another case is open: it plays as it was asked to."""
        self._played = False

    def set_keys(self, words: Mapping[str, str]) -> None:
        """Name the keys."""
        self.bar.set_keys(words)
        self.left.set_keys(dict(words))

    def close(self) -> None:
        """Pause what trains; at the next start it is said, with a button to go on."""
        self.desk.close()

    # --- what is shown -----------------------------------------------------------------------------------------

    def show_thing(self, kind: str, identity: str) -> None:
        """Show the page of a model or of a training."""
        self.asking, self.trouble = "", ""
        self.shown = (kind, identity)
        self.left.mark(kind, identity)
        if kind == MODEL:
            self._show_model()
        elif kind == TRAINING:
            self.judging.forget()
            self._training_page()
            self.show_training()
            self._read_curves()
        self.follow()

    def plan(self) -> None:
        """Plan a training, from the model that is shown."""
        card = self.card()
        shelf = self.desk.shelf
        if shelf is None or self.desk.trainings.trainer is None or not shelf.families:
            return
        plugin = card.plugin if card is not None else shelf.families[0].plugin
        self._open_plan(plugin, card.identity if card is not None else "")

    def _open_plan(self, plugin: str, base: str) -> None:
        self._before = self.shown
        self.trouble = ""
        self.shown = (PLAN, plugin)
        self.left.mark("", "")
        self.plan_page.begin(plugin, base)
        self.pages.setCurrentWidget(self.plan_page)
        self.follow()
        self.plan_page.plugins.setFocus(Qt.FocusReason.OtherFocusReason)

    def back(self) -> bool:
        """Leave a question or a plan; False where there is none."""
        if not self.on:
            return False
        if self.asking:
            self.asking = ""
            self.follow()
            return True
        if self.shown[0] == PLAN:
            self.desk.stop_long(MAKING)
            self.show_first(self._before)
            self.left.focus_current()  # the page with the keys has gone
            return True
        return False

    def card(self) -> ModelCard | None:
        """The model whose page is shown."""
        shelf = self.desk.shelf
        return shelf.find(self.shown[1]) if shelf is not None and self.shown[0] == MODEL else None

    @property
    def planning(self) -> bool:
        """Whether a training is being planned."""
        return self.shown[0] == PLAN

    def job(self) -> JobStatus | None:
        """The training whose page is shown."""
        return self.desk.trainings.all.get(self.shown[1]) if self.shown[0] == TRAINING else None

    def show_first(self, wanted: tuple[str, str] = ("", "")) -> None:
        shelf = self.desk.shelf
        if wanted[0] == TRAINING and wanted[1] in self.desk.trainings.all:
            self.show_thing(*wanted)
        elif shelf is not None and shelf.families:
            card = shelf.find(wanted[1]) if wanted[0] == MODEL else None
            self.show_thing(MODEL, (card or shelf.families[0].cards[0]).identity)

    def _show_models(self) -> None:
        shelf = self.desk.shelf
        if shelf is None:
            return
        self.left.show_models(shelf)
        if self.shown == ("", "") or (self.shown[0] == MODEL and shelf.find(self.shown[1]) is None):
            self.show_first()
        elif self.shown[0] == MODEL:
            self._show_model()
        else:
            self.show_training()  # its model may have come
        if self.on:
            if self._wants_focus:
                self._focus()
            self.window.room.restyle()
        self.follow()

    def _show_model(self) -> None:
        shelf, card = self.desk.shelf, self.card()
        if shelf is None or card is None:
            return
        self.pages.setCurrentWidget(self.model_page)
        goes_on = self._goes_on.get(card.plugin, "")
        self.model_page.show_model(shelf, card, self._texts.get(card.identity, ""), goes_on)
        self.desk.kept(card, partial(self._take_kept, card.identity))
        if card.identity not in self._texts:
            self.desk.read_card(card, partial(self._take_text, card.identity))

    def _take_text(self, identity: str, text: str) -> None:
        self._texts[identity] = text
        if self.shown == (MODEL, identity):
            self._show_model()

    def _take_kept(self, identity: str, kept: Sequence[Comparison]) -> None:
        if self.shown == (MODEL, identity) and self.desk.shelf is not None:
            self.model_page.show_judged(besides_of(self.desk.shelf, kept))

    def _training_page(self) -> TrainingPage:
        if self.training_page is None:
            from puncta.gui.models.training_page import TrainingPage

            self.training_page = TrainingPage(self.window.theme)
            self.pages.addWidget(self.training_page)
        return self.training_page

    def _show_trainings(self) -> None:
        self.left.show_trainings(tuple(self.desk.trainings.all.values()), self.desk.trainings.asked)
        self.show_training()
        if self.job() is not None and not self._curves.isActive():
            self._curves.start()
        # Also after a kill it is known at the next start what was under way.
        going = [job.id for job in self.desk.trainings.all.values() if job.state in UNDER_WAY]
        self.window.preferences.set("paused_trainings", going)
        active = self.desk.trainings.active()
        words = ""
        if active is not None:
            words = tr("Training")
            if active.left_s is not None and active.state != "waiting":
                words = f"{words}, {tr('{time} left').format(time=time_words(active.left_s))}"
        self.window.status_line.set_work(words)
        self.follow()

    def show_training(self) -> None:
        job = self.job()
        if job is None:
            if self.shown[0] == TRAINING and self.desk.trainings.trainer is not None:
                self.show_first((MODEL, self.verbs.lands_on(self.training_page)))
                if self.on:
                    self.left.focus_current()
            return
        page = self._training_page()
        recipe = next((r for r in self.desk.trainings.recipes if r.id == job.recipe), None)
        page.show_training(job, recipe, self.verbs.made_words(job))
        self.pages.setCurrentWidget(page)
        if job.state == "done" and self.on:
            self.judging.look(job)

    def _read_curves(self) -> None:
        job = self.job()
        if job is not None and self.on:
            self.desk.trainings.learned(job.id, partial(self._take_curves, job.id))

    def _take_curves(self, job: str, learned: Learned) -> None:
        if self.shown == (TRAINING, job) and self.training_page is not None:
            self.training_page.show_learned(learned)

    def _switched(self, plugin: str, _model: str, message: str) -> None:
        """What plays has taken another model, or has not; in every mode."""
        topic, self._goes_on[plugin] = f"model-{plugin}", told(message)
        if message:
            self.window.stage.banners.say(topic, "bad", told(message))
        else:
            self.window.stage.banners.hush(topic)
            self.verbs.tell_use(plugin)
        if self.shown[0] == MODEL:
            self._show_model()

    def _take_elsewhere(self) -> None:
        self.verbs.take_elsewhere(self.desk.elsewhere)

    # --- following ---------------------------------------------------------------------------------------------

    def follow(self) -> None:
        """Bring the bar up to what the page shows."""
        if self.on:
            offer = self.verbs.offer()
            self.bar.say(offer.words, offer.share)
            self.bar.show_verbs(offer.verbs)
            self.window.room.fit_bottom()

    def say(self, words: str) -> None:
        """Say something in the status line."""
        self.window.status_line.say(words)

    # --- at the start ------------------------------------------------------------------------------------------

    def _look_back(self) -> None:
        """Say what was under way when the program ended, with a button to go on."""
        kept = self.window.preferences.settings.paused_trainings
        if not kept:
            return
        self.desk.trainings.begin()
        self._paused = set(kept)
        self.desk.trainings.changed.connect(self._offer_resume, Qt.ConnectionType.SingleShotConnection)

    def _offer_resume(self) -> None:
        held = next((job for job in self.desk.trainings.held() if job.id in self._paused), None)
        if held is not None:
            paused = tr("The training {name} was paused when the program closed.")
            broken = tr("The training {name} was interrupted when the program ended.")
            words = (paused if held.state == "paused" else broken).format(name=held.name)
            self.window.status_line.say(words, (tr("Resume"), partial(self.desk.trainings.resume, held.id)))
