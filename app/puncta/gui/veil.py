"""What plugins find, kept from somebody who reads the open case blind; and why the cards say nothing of a picture."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from puncta.core.events import PlayState
from puncta.core.results import Analysis, flags_of_frame
from puncta.gui.i18n import tr

if TYPE_CHECKING:
    from puncta.gui.desk import Desk


class Veil:
    """Lies over every picture on its way to whoever shows it, so that no view, figure or ribbon can forget to ask.

    Attributes
    ----------
    on : bool
        What plugins find is hidden: from a blind reader, or until it is known whether this is one.
    blind : bool
        It is known that the open case is read blind.
    whole : Analysis or None
        The last picture, with what was found on it.
    covering : bool
        The last picture is being covered while its source is taken over and the window is not laid out: nothing may be
        painted at once then, which has crashed the toolkit.
    """

    def __init__(self) -> None:
        self.on = self.blind = self.covering = self._covered = False
        self.whole: Analysis | None = None

    def settle(self, blind: bool | None) -> None:
        """Say whether the case is read blind; None is not known yet."""
        self.on, self.blind = blind is not False, blind is True

    def cover_now(self, show: Callable[[], None]) -> None:
        """Have the covered picture shown in place of the last one; it is painted when its turn comes."""
        self.covering = True
        try:
            show()
        finally:
            self.covering = False

    @property
    def is_due(self) -> bool:
        """Whether the last picture was covered as it should not be any more, or the other way round."""
        return self.whole is not None and self._covered is not self.on

    def cover(self, analysis: Analysis) -> Analysis:
        """Return a picture as it may be seen."""
        self.whole, self._covered = analysis, self.on
        return replace(analysis, outputs=(), flags=frozenset(flags_of_frame(analysis.frame))) if self.on else analysis


def blind_words() -> str:
    """Why nothing that plugins find is shown."""
    return tr("You read this case blind; what plugins find on it is hidden until you are done.")


def absence(desk: Desk) -> tuple[str, str]:
    """Say why the cards have nothing to say: a sentence, and a word for each card; empty where they have, or wait."""
    if desk.veil.blind:
        return blind_words(), tr("Hidden")
    if desk.status.state is PlayState.FAILED and desk.analysis is None:
        return desk.status.message or tr("This source cannot be opened."), tr("No picture")
    return "", ""
