"""Captured screens in Live: region and scale are found, confirmed, remembered, and dropped when the layout changes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QObject, QTimer
from PySide6.QtWidgets import QDialog

from puncta.core.frame import Calibration, CalibrationOrigin, UltrasoundRegion
from puncta.gui.dialogs.region import Box, RegionDialog
from puncta.gui.dialogs.scale import ScaleCanvas, ScaleDialog
from puncta.gui.i18n import tr
from puncta.gui.remembered import is_captured, keep_scale, kept_scale, region_identity
from puncta.gui.video.picture import picture_from_pixels, tone_table
from puncta.gui.video.tools import Tool
from puncta.imaging.depth_ticks import TickReading, read_depth_scale
from puncta.imaging.region_shape import RegionProposal, propose_region
from puncta.imaging.screen_layout import ScreenWatch

if TYPE_CHECKING:
    from puncta.gui.main_window import MainWindow

LOOK_MS = 500
SAMPLES = 6
"""Pictures that are looked at before a region or a scale is proposed, half a second apart."""
TOPICS = ("region", "layout", "scale")


class Captured(QObject):
    """Does nothing unless what is open comes from a camera, a stream or a part of the screen."""

    def __init__(self, window: MainWindow) -> None:
        super().__init__(window)
        self._window = window
        self._samples: list[NDArray[np.uint8]] = []
        self._watch: ScreenWatch | None = None
        self._proposal: RegionProposal | None = None
        self._reading: TickReading | None = None
        self._offer: Calibration | None = None
        self._busy = False
        self._turn = self._tries = 0
        self._seen_ns = 0
        self._timer = QTimer(self)
        self._timer.setInterval(LOOK_MS)
        self._timer.timeout.connect(self.look)

    @property
    def proposal(self) -> RegionProposal | None:
        """What was found and waits for confirmation."""
        return self._proposal

    @property
    def offer(self) -> Calibration | None:
        """A scale that was read or remembered and waits for confirmation."""
        return self._offer

    @property
    def watching(self) -> bool:
        """Whether a region is in use and its screen is watched for another depth or layout."""
        return self._watch is not None and not self._watch.learning

    def take_source(self) -> None:
        """Another source is open."""
        self._begin_anew()
        window = self._window
        for topic in TOPICS:
            window.stage.banners.hush(topic)
        shown = window.desk.analysis
        # The last picture of the same source may still stand: it is of another time, and maybe of another depth.
        self._seen_ns = shown.frame.t_ns if shown is not None else 0
        info = window.desk.info
        if info is None or not window.desk.is_live or not is_captured(info.uri):
            self._timer.stop()
            return
        kept = window.preferences.settings.regions.get(region_identity(info), [])
        if len(kept) == 4:
            self._use((kept[0], kept[1], kept[2], kept[3]))
            words = tr("The region confirmed before is used. Check it; millimetres need a ruler again.")
            window.stage.banners.say("region", "info", words, (tr("Look at it"), self.ask))
        self._timer.start()

    def look(self) -> None:
        """Take the picture on the screen: to find the region, or to see whether the layout still stands."""
        analysis = self._window.desk.analysis
        if analysis is None or self._busy or analysis.frame.t_ns <= self._seen_ns:
            return
        self._seen_ns = analysis.frame.t_ns
        pixels = analysis.frame.pixels
        if self._watch is not None:
            if self._watch.look(pixels):
                self._changed()
                return
            if self._reading is not None:
                return
        elif self._proposal is not None:
            return
        if self._samples and self._samples[0].shape != pixels.shape:
            self._samples.clear()
        self._samples.append(pixels)
        if len(self._samples) >= SAMPLES:
            self._propose()

    def _propose(self) -> None:
        """Look for the region, or for the scale of a region that is confirmed, in a job."""
        self._busy = True
        (samples, self._samples), turn = (self._samples, []), self._turn
        if self._watch is None:
            self._window.jobs.run(
                lambda: propose_region(samples), lambda found: self._found(turn, found), lambda _e: self._failed(turn)
            )
            return
        box = self._watch.box
        self._window.jobs.run(
            lambda: read_depth_scale(samples, box), lambda read: self._read(turn, read), lambda _e: self._failed(turn)
        )

    def ask(self) -> None:
        """Show the region for confirmation."""
        window, analysis = self._window, self._window.desk.analysis
        if analysis is None:
            return
        picture = picture_from_pixels(analysis.frame.pixels, tone_table(1.0, 1.0))
        proposal, watch = self._proposal, self._watch
        box = proposal.box if proposal is not None and proposal.sure else watch.box if watch is not None else None
        dialog = RegionDialog(picture, box, window.theme, window)

        def done(result: int) -> None:
            chosen = dialog.region()
            if result == QDialog.DialogCode.Accepted and chosen is not None:
                self.confirm(chosen)

        dialog.finished.connect(done)
        window.does.show_dialog(dialog, "region")

    def confirm(self, box: Box) -> None:
        """Use a region that a person has confirmed, and remember it for this device and picture size."""
        window, info = self._window, self._window.desk.info
        if info is None:
            return
        window.preferences.settings.regions[region_identity(info)] = list(box)
        window.preferences.touch("regions")
        for topic in TOPICS:
            window.stage.banners.hush(topic)
        self._use(box)

    def ask_scale(self) -> None:
        """Show the scale that was read or remembered, for confirmation."""
        window, analysis, offer = self._window, self._window.desk.analysis, self._offer
        if analysis is None or offer is None or self._watch is None:
            return
        reading = self._reading
        comb = reading.comb if reading is not None else None
        picture = picture_from_pixels(analysis.frame.pixels, tone_table(1.0, 1.0))
        scale = offer.mm_per_px[0]
        dialog = ScaleDialog(
            ScaleCanvas(picture, self._watch.box, comb, scale, window.theme), scale, offer.note, window
        )
        turn = self._turn

        def done(result: int) -> None:
            if turn != self._turn:
                return  # the screen has changed meanwhile
            if result == QDialog.DialogCode.Accepted:
                self.confirm_scale(offer)
            else:
                self._ask_for_ruler(tr("Lay a ruler on the marks of the machine to know millimetres."))

        dialog.finished.connect(done)
        window.does.show_dialog(dialog, "scale")

    def confirm_scale(self, calibration: Calibration) -> None:
        """Use a scale that a person has confirmed, and remember it for this device and layout."""
        window, info, watch = self._window, self._window.desk.info, self._watch
        if info is None or watch is None:
            return
        comb = self._reading.comb if self._reading is not None else None
        keep_scale(window.preferences, info, watch.box, comb, calibration)
        self._offer = None
        window.stage.banners.hush("scale")
        window.desk.player.set_calibration(calibration)

    def take_ruler(self, mm_per_px: float) -> bool:
        """Use a two-point ruler for the layout on the screen; False where what is open is no captured screen."""
        info = self._window.desk.info
        if info is None or not is_captured(info.uri):
            return False
        calibration = Calibration((mm_per_px, mm_per_px), CalibrationOrigin.RULER)
        if self._watch is None or self._reading is None:
            # Nobody knows yet which layout this is: it holds for now and is not remembered.
            self._offer = None
            self._window.desk.player.set_calibration(calibration)
        else:
            self.confirm_scale(calibration)
        return True

    def _use(self, box: Box) -> None:
        self._turn += 1
        self._tries = 0
        self._samples.clear()
        self._busy = False
        self._proposal = self._reading = self._offer = None
        self._watch = ScreenWatch(box)
        self._window.desk.player.set_region(UltrasoundRegion(box, "user"))

    def _found(self, turn: int, proposal: RegionProposal) -> None:
        if turn != self._turn:
            return  # another source, or a person was quicker
        self._busy = False
        self._proposal = proposal
        words = tr("The ultrasound picture was found. Confirm it, so that models see it alone.")
        if not proposal.sure:
            words = tr("The ultrasound picture is not clear on this screen. Please draw it.")
        self._window.stage.banners.say("region", "caution", words, (tr("Look at it"), self.ask))

    def _read(self, turn: int, reading: TickReading) -> None:
        """A depth scale was looked for: offer what is remembered of this layout or was read, or ask for a ruler."""
        window, info = self._window, self._window.desk.info
        if turn != self._turn or info is None or self._watch is None:
            return
        self._busy = False
        if reading.comb is None and self._tries == 0:
            # Somebody may have turned the depth knob while it was being looked at: once more, from the beginning.
            self._tries, self._watch = 1, ScreenWatch(self._watch.box)
            return
        self._reading = reading
        self._watch.follow(reading.comb)
        if window.desk.calibration is not None:
            return  # a person has laid a ruler meanwhile
        kept = kept_scale(window.preferences, info, self._watch.box, reading.comb)
        if reading.mm_per_px is not None:
            self._offer = Calibration((reading.mm_per_px, reading.mm_per_px), CalibrationOrigin.TICKS, reading.says)
            words = tr("The depth marks of the machine say {scale} mm/px. Confirm it to see millimetres.")
        elif kept is not None:
            self._offer = kept
            words = tr("This layout was measured before: {scale} mm/px. Confirm it to see millimetres.")
        else:
            self._ask_for_ruler(
                tr("No depth scale can be read for certain on this screen. Lay a ruler to know millimetres.")
            )
            return
        words = words.format(scale=f"{self._offer.mm_per_px[0]:#.3g}")
        window.stage.banners.say("scale", "info", words, (tr("Look at it"), self.ask_scale))

    def _ask_for_ruler(self, words: str) -> None:
        window = self._window

        def take() -> None:
            if window.stage.view.tool is not Tool.RULER:
                window.does.ruler()

        window.stage.banners.say("scale", "info", words, (tr("Take the ruler"), take))

    def _failed(self, turn: int) -> None:
        if turn == self._turn:
            self._busy = False

    def _changed(self) -> None:
        """Another depth or layout: no scale holds until somebody has confirmed it."""
        window = self._window
        self._begin_anew()
        window.desk.player.set_calibration(None)
        window.desk.player.set_region(None)
        words = tr("The machine's depth or layout has changed. Lengths are shown in pixels until you confirm it.")
        for topic in TOPICS:
            window.stage.banners.hush(topic)
        window.stage.banners.say("layout", "bad", words, (tr("Look at it"), self.ask))

    def _begin_anew(self) -> None:
        self._turn += 1
        self._samples.clear()
        self._watch = self._proposal = self._reading = self._offer = None
        self._busy = False
