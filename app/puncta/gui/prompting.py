"""Showing the needle to a plugin that tracks it: draw along it, or a box round it, on the picture that is held."""

from __future__ import annotations

from typing import TYPE_CHECKING

from puncta.core.prompts import Prompt
from puncta.gui.i18n import tr
from puncta.gui.video.tools import Tool

if TYPE_CHECKING:
    from puncta.gui.main_window import MainWindow


class Prompting:
    """The tool that shows the needle, of one window. What it says goes through `Player.prompt`."""

    def __init__(self, window: MainWindow) -> None:
        self._window = window
        window.stage.view.sketched.connect(self._take_drawn)

    def begin(self) -> None:
        """Take the tool in hand, or put it down; a picture that can be held is held."""
        window = self._window
        stage = window.stage
        if stage.view.tool is Tool.NEEDLE or stage.view.analysis is None:
            self.put_down()
            return
        if not window.desk.player.promptable():
            window.status_line.say(tr("No plugin that runs takes a needle from you. Switch on Breast biopsy."))
            return
        if window.desk.info is not None and window.desk.info.seekable:
            window.desk.player.pause()
        stage.set_tool(Tool.NEEDLE)
        stage.say_hint(tr("Draw along the needle, or with Shift a box round it. Esc ends."))

    def _take_drawn(self) -> None:
        prompt = self._window.stage.view.drawn
        if prompt is not None:
            self.take(prompt)

    def take(self, prompt: Prompt) -> None:
        """Hand over what was drawn, for the frame on the screen."""
        window = self._window
        names = window.desk.player.promptable()
        if not names:
            return
        window.desk.player.prompt(names[0], prompt, window.desk.shown_index())
        window.status_line.say(tr("The needle is tracked from here on."))
        self.put_down()

    def forget(self) -> None:
        """Take back what was drawn on the frame on the screen."""
        window = self._window
        for name in window.desk.player.promptable():
            window.desk.player.prompt(name, None, window.desk.shown_index())
        window.status_line.say(tr("What was drawn on this frame no longer holds."))

    def put_down(self) -> None:
        """Put the tool down."""
        self._window.stage.set_tool(Tool.NONE)
        self._window.stage.say_hint("")
