"""Whether the rater reads the open case blind, in every mode: then what plugins find on it is hidden."""

from __future__ import annotations

from typing import TYPE_CHECKING

from puncta.annotation.reading import may_propose
from puncta.annotation.store import AnnotationStore
from puncta.gui.i18n import tr
from puncta.gui.veil import blind_words

if TYPE_CHECKING:
    from puncta.gui.annotate.annotator import Annotator


def nothing_proposed_words() -> str:
    """Why models propose nothing here."""
    return tr("This is a blind reading; models propose nothing here.")


class BlindReading:
    """Asks the store, and lets the desk hide or show."""

    def __init__(self, annotator: Annotator) -> None:
        self._a = annotator

    def begin(self) -> None:
        """Another case or another reader: nothing of the plugins is shown before it is known that it may be."""
        self._a.window.desk.set_blind(None)
        self.look()

    def show(self, blind: bool) -> None:
        """Hide what plugins find, or show it; with the blind reading goes what was said of it."""
        window = self._a.window
        window.desk.set_blind(blind)
        if not blind and window.status_line.message in {nothing_proposed_words(), blind_words()}:
            window.status_line.hush()

    def look(self) -> None:
        """Ask whether the open case is read blind now."""
        window = self._a.window
        info, rater = window.desk.info, window.preferences.settings.rater
        if info is None or not info.seekable or not rater:
            self.show(False)
            return

        def read(store: AnnotationStore) -> bool:
            case = store.find_case(info.stream, info.uri)
            known = case is not None and case.frame_count == info.frame_count
            return known and case is not None and not may_propose(store, case.id, rater)

        def show(blind: bool) -> None:
            now = window.desk.info
            same = now is not None and (now.stream, now.uri) == (info.stream, info.uri)
            if same and window.preferences.settings.rater == rater:
                self.show(blind)

        # A store that cannot be opened holds no reading either; Annotate says what is wrong with it.
        self._a.store.ask(read, show, lambda _error: show(False), quiet=True)
