"""Captured screens in Live: find the ultrasound region, have it confirmed, remember it, notice when it changes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QObject, QTimer
from PySide6.QtWidgets import QDialog

from puncta.core.frame import UltrasoundRegion
from puncta.gui.dialogs.region import Box, RegionDialog
from puncta.gui.i18n import tr
from puncta.gui.remembered import is_captured, region_identity
from puncta.gui.video.picture import picture_from_pixels, tone_table
from puncta.imaging.region_shape import RegionProposal, propose_region
from puncta.imaging.screen_layout import ScreenWatch

if TYPE_CHECKING:
    from puncta.gui.main_window import MainWindow

LOOK_MS = 500
SAMPLES = 6
"""Pictures that are looked at before a region is proposed, half a second apart."""


class Captured(QObject):
    """Does nothing unless what is open comes from a camera, a stream or a part of the screen."""

    def __init__(self, window: MainWindow) -> None:
        super().__init__(window)
        self._window = window
        self._samples: list[NDArray[np.uint8]] = []
        self._watch: ScreenWatch | None = None
        self._proposal: RegionProposal | None = None
        self._busy = False
        self._timer = QTimer(self)
        self._timer.setInterval(LOOK_MS)
        self._timer.timeout.connect(self.look)

    @property
    def proposal(self) -> RegionProposal | None:
        """What was found and waits for confirmation."""
        return self._proposal

    def take_source(self) -> None:
        """Another source is open."""
        self._begin_anew()
        window = self._window
        for topic in ("region", "layout"):
            window.stage.banners.hush(topic)
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
        if analysis is None or self._busy:
            return
        pixels = analysis.frame.pixels
        if self._watch is not None:
            if self._watch.look(pixels):
                self._changed()
            return
        if self._proposal is not None:
            return
        if self._samples and self._samples[0].shape != pixels.shape:
            self._samples.clear()
        self._samples.append(pixels)
        if len(self._samples) >= SAMPLES:
            self._busy = True
            samples, self._samples = self._samples, []
            self._window.jobs.run(lambda: propose_region(samples), self._found, self._not_found)

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
        for topic in ("region", "layout"):
            window.stage.banners.hush(topic)
        self._use(box)

    def _use(self, box: Box) -> None:
        self._proposal = None
        self._watch = ScreenWatch(box)
        self._window.desk.player.set_region(UltrasoundRegion(box, "user"))

    def _found(self, proposal: RegionProposal) -> None:
        self._busy = False
        if self._watch is not None:
            return  # a person was quicker
        self._proposal = proposal
        words = tr("The ultrasound picture was found. Confirm it, so that models see it alone.")
        if not proposal.sure:
            words = tr("The ultrasound picture is not clear on this screen. Please draw it.")
        self._window.stage.banners.say("region", "caution", words, (tr("Look at it"), self.ask))

    def _not_found(self, _error: Exception) -> None:
        self._busy = False

    def _changed(self) -> None:
        """Another depth or layout: no scale holds until somebody has confirmed it."""
        window = self._window
        self._begin_anew()
        window.desk.player.set_calibration(None)
        window.desk.player.set_region(None)
        words = tr("The machine's depth or layout has changed. Lengths are shown in pixels until you confirm it.")
        window.stage.banners.hush("region")
        window.stage.banners.say("layout", "bad", words, (tr("Look at it"), self.ask))

    def _begin_anew(self) -> None:
        self._samples.clear()
        self._watch = self._proposal = None
        self._busy = False
